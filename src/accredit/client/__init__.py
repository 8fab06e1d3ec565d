"""The SDK for an agent's own code: tokens for httpx2 and the MCP SDK, and errors that say what to do next.

    me = ClientSecret("agt_1", secret, issuer="https://accredit.example")
    auth = OAuth("https://accredit.example/gateway/crm", me)
    httpx2.get("https://accredit.example/gateway/crm/contacts", auth=auth)

It speaks to any authorization server, and imports no other part of Accredit.
"""

from accredit.client.auth import Grant, OAuth
from accredit.client.authorization import AuthorizationCode, AuthorizationResponse, Redirect
from accredit.client.credentials import (
    ClientSecret,
    Credential,
    Identity,
    NewClient,
    PrivateKey,
    PublicClient,
    WorkloadAssertion,
)
from accredit.client.dpop import DpopKey
from accredit.client.errors import (
    ApprovalRequired,
    AuthorizationFailed,
    ClientError,
    CredentialRefused,
    Denied,
    DiscoveryFailed,
    Misconfigured,
    StepUpRequired,
    Unavailable,
)
from accredit.client.grants import ClientCredentials, IdentityAssertion, JwtBearer, TokenExchange
from accredit.client.loopback import LoopbackRedirect
from accredit.client.mcp import connect, error_of, raise_for_decision, typed_errors
from accredit.client.sources import Source, from_file
from accredit.client.steps import Http
from accredit.client.tokens import FileStore, MemoryStore, Store, Token

__all__ = [
    "ApprovalRequired",
    "AuthorizationCode",
    "AuthorizationFailed",
    "AuthorizationResponse",
    "ClientCredentials",
    "ClientError",
    "ClientSecret",
    "Credential",
    "CredentialRefused",
    "Denied",
    "DiscoveryFailed",
    "DpopKey",
    "FileStore",
    "Grant",
    "Http",
    "Identity",
    "IdentityAssertion",
    "JwtBearer",
    "LoopbackRedirect",
    "MemoryStore",
    "Misconfigured",
    "NewClient",
    "OAuth",
    "PrivateKey",
    "PublicClient",
    "Redirect",
    "Source",
    "StepUpRequired",
    "Store",
    "Token",
    "TokenExchange",
    "Unavailable",
    "WorkloadAssertion",
    "connect",
    "error_of",
    "from_file",
    "raise_for_decision",
    "typed_errors",
]
