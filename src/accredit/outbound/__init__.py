"""The only way out: a strict HTTP/1.1 client that follows nothing, decompresses nothing and obeys no environment."""

from accredit.outbound.client import Outbound as Outbound
