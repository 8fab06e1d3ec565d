"""A small CRM with contacts and deals, served over MCP."""
