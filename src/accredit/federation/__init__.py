"""Federation: whose word is taken about who somebody is. People sign on at their company's provider."""
