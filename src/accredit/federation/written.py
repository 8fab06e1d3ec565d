"""How names, roles, domains and single words are written in the descriptions of providers and of issuers."""

import re

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
ROLE = re.compile(r"[a-z][a-z0-9-]{0,62}\Z")
PLAIN = re.compile(r"[\x21-\x7e]{1,1024}\Z")
# At least two labels: `localhost` is the domain of the local administrator, whom nobody else may speak for.
DOMAIN = re.compile(r"(?=.{3,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]\Z")
