"""The client under test of the MCP conformance suite: the official SDK, with this package's auth in its HTTP client.

    python -m tests.conformance.mcp_client http://localhost:1234/mcp

What to do, the suite says in `MCP_CONFORMANCE_SCENARIO`, `…_CONTEXT` and `…_PROTOCOL_VERSION`.
"""

import asyncio
import json
import os
import sys
from urllib.parse import urljoin

import httpx2

from accredit.client import (
    AuthorizationCode,
    AuthorizationResponse,
    ClientSecret,
    DpopKey,
    IdentityAssertion,
    JwtBearer,
    NewClient,
    OAuth,
    PrivateKey,
    PublicClient,
    connect,
)

MODERN = "2026-07-28"
DOCUMENT = "https://conformance-test.local/client-metadata.json"
CALLBACK = "http://127.0.0.1:8765/callback"


class Headless:
    """A person who agrees at once: the suite's authorization endpoint answers with a redirect."""

    redirect_uri = CALLBACK

    async def authorize(self, url: str) -> AuthorizationResponse:
        async with httpx2.AsyncClient(timeout=10, trust_env=False) as browser:
            answer = await browser.get(url)
        return AuthorizationResponse.from_url(urljoin(url, answer.headers["location"]))


def auth_for(scenario: str, context: dict[str, str], url: str) -> OAuth:
    """What a program would write for each kind of client."""
    person = AuthorizationCode(Headless())
    match scenario:
        case "auth/client-credentials-jwt":
            return OAuth(url, PrivateKey(context["client_id"], context["private_key_pem"]))
        case "auth/client-credentials-basic":
            return OAuth(url, ClientSecret(context["client_id"], context["client_secret"], issuer=None))
        case "auth/pre-registration":
            known = ClientSecret(context["client_id"], context["client_secret"], issuer=context["issuer"])
            return OAuth(url, known, grant=person)
        case "auth/wif-jwt-bearer":
            return OAuth(url, PublicClient(context["client_id"]), grant=JwtBearer(context["valid_jwt"]))
        case "auth/enterprise-managed-authorization":
            grant = IdentityAssertion(
                context["idp_id_token"],
                provider=context["idp_issuer"],
                provider_client=PublicClient(context["idp_client_id"]),
            )
            return OAuth(url, ClientSecret(context["client_id"], context["client_secret"], issuer=None), grant=grant)
        case "auth/dpop" | "auth/dpop-nonce":
            return OAuth(url, NewClient("conformance"), grant=person, dpop=DpopKey.generate())
        case "auth/offline-access-scope":
            # Without a document, so that the suite sees which grants are registered.
            return OAuth(url, NewClient("conformance"), grant=person)
        case _:
            return OAuth(url, NewClient("conformance", document=DOCUMENT), grant=person)


async def main() -> None:
    """Connect, list the tools, call one. An error ends the process and is seen by the suite."""
    url = sys.argv[-1]
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    version = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION") or MODERN
    auth = auth_for(os.environ["MCP_CONFORMANCE_SCENARIO"], context, url)
    async with connect(url, auth, mode=MODERN if version == MODERN else "legacy") as client:
        await client.list_tools()
        await client.call_tool("test-tool", {})


if __name__ == "__main__":
    asyncio.run(main())
