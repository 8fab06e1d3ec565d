"""The OAuth of the official MCP SDK, unchanged, against the gateway: it finds everything by the gateway's 401.

Each way in lists the tools and calls one, in every revision that the gateway speaks.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc.jwk import ECKey
from mcp import Client, MCPError
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from accredit.people.directory import LOCAL_ADMINISTRATOR_EMAIL
from tests.conformance.authlib_client import as_client, with_code
from tests.conformance.documents import Documents, serving
from tests.conformance.peers import a_client, a_secret, claims_of, resource
from tests.conformance.person import Person, sign_in
from tests.examples.conftest import RunningCrm
from tests.server.running import MODERN, Running, running

REVISIONS = ["2025-06-18", "2025-11-25", MODERN]
CALLBACK = "http://127.0.0.1:8765/callback"
READ = "crm:contacts.read"
DEALS = "crm:deals.read"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture(params=REVISIONS)
def revision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The revision that the client opens with."""
    chosen = str(request.param)
    if chosen != MODERN:
        monkeypatch.setattr("mcp.client.session.LATEST_HANDSHAKE_VERSION", chosen)
    return chosen


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Documents]:
    with serving(tmp_path_factory.mktemp("documents")) as documents:
        yield documents


def settings_for(documents: Documents) -> dict[str, Any]:
    """Take documents from this machine, and let their clients have the CRM."""
    return {
        "SSL_CERT_FILE": str(documents.authority),
        "ACCREDIT_PRIVATE_HOSTS": documents.host,
        "ACCREDIT_OPEN_CLIENT_SYSTEMS": "crm",
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crm: RunningCrm, documents: Documents) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("sdk") / "data", **settings_for(documents)) as server:
        server.add_crm(crm.url)
        yield server


@dataclass(slots=True)
class Storage:
    """Where the SDK keeps what it was given."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass(slots=True)
class Browser:
    """The SDK's two handlers, with the person behind them. `without`: what they untick, each time but the last."""

    person: Person
    without: list[tuple[str, ...]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    answer: str = ""

    async def open(self, url: str) -> None:
        turn = len(self.asked)
        self.asked.append({name: values[0] for name, values in parse_qs(urlsplit(url).query).items()})
        assert turn < 5, "the client asks without end"
        without = self.without[turn] if turn < len(self.without) else ()
        self.answer = await asyncio.to_thread(lambda: self.person.allow(url, without=without))

    async def wait(self) -> AuthorizationCodeResult:
        found = {name: values[0] for name, values in parse_qs(urlsplit(self.answer).query).items()}
        return AuthorizationCodeResult(code=found.get("code", ""), state=found.get("state"), iss=found.get("iss"))


def for_a_person(server: Running, browser: Browser, storage: Storage, **more: Any) -> OAuthClientProvider:
    metadata = OAuthClientMetadata.model_validate(
        {"client_name": "sdk", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}
    )
    return OAuthClientProvider(resource(server), metadata, storage, browser.open, browser.wait, **more)


@asynccontextmanager
async def connected(
    server: Running, auth: httpx2.Auth, revision: str, hooks: dict[str, list[Any]] | None = None
) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(auth=auth, timeout=30, trust_env=False, event_hooks=hooks or {}) as http,
        Client(
            streamable_http_client(resource(server), http_client=http), mode=MODERN if revision == MODERN else "legacy"
        ) as client,
    ):
        yield client


def read_one(server: Running, auth: httpx2.Auth, revision: str, hooks: dict[str, list[Any]] | None = None) -> None:
    """List the tools and call one."""

    async def act() -> None:
        async with connected(server, auth, revision, hooks) as client:
            assert client.protocol_version == revision
            assert "get_contact" in [tool.name for tool in (await client.list_tools()).tools]
            found = await client.call_tool("get_contact", {"id": 1})
            assert found.structured_content is not None
            assert found.structured_content["name"] == "Amara Okafor"

    asyncio.run(act())


def test_a_client_known_by_its_document_acts_for_a_person(
    server: Running, person: Person, documents: Documents, revision: str
) -> None:
    url = documents.publish(
        f"client-{revision}.json", redirect_uris=[CALLBACK], grant_types=["authorization_code", "refresh_token"]
    )
    browser, storage = Browser(person), Storage()

    read_one(server, for_a_person(server, browser, storage, client_metadata_url=url), revision)

    assert len(browser.asked) == 1
    assert browser.asked[0]["client_id"] == url
    assert browser.asked[0]["resource"] == resource(server)
    assert storage.tokens is not None and storage.tokens.refresh_token
    assert READ in (storage.tokens.scope or "").split()
    assert documents.asked.count(f"/client-{revision}.json") == 1


def test_a_client_that_registers_itself_with_an_initial_access_token_acts_for_a_person(
    server: Running, person: Person, revision: str
) -> None:
    new = {"owner": "ana@example.com", "roles": ["ai-agent-readonly"], "systems": ["crm"]}
    initial = server.api("POST", "/api/v1/registration-tokens", new)["token"]
    browser, storage = Browser(person), Storage()

    async def add_token(request: httpx2.Request) -> None:
        # The SDK has no place for the token: the HTTP client's own hook adds it.
        if request.url.path == "/oauth/register":
            request.headers["authorization"] = f"Bearer {initial}"

    read_one(server, for_a_person(server, browser, storage), revision, {"request": [add_token]})

    assert storage.client is not None and storage.client.client_id is not None
    assert storage.client.client_id.startswith("agt_")
    assert browser.asked[0]["client_id"] == storage.client.client_id


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_an_agent_acts_as_itself_with_a_secret(server: Running, revision: str, method: Any) -> None:
    client_id, secret = server.add_agent(f"secret-{revision}-{method}".replace("_", "-"), "ai-agent-readonly")

    auth = ClientCredentialsOAuthProvider(
        resource(server), Storage(), client_id, secret, token_endpoint_auth_method=method, issuer=server.issuer
    )

    read_one(server, auth, revision)


def test_an_agent_acts_as_itself_with_a_key(server: Running, revision: str) -> None:
    key = ECKey.generate_key("P-256", {"kid": "k"}, private=True)
    client_id, _ = server.add_agent(f"key-{revision}", "ai-agent-readonly")
    jwks = {"keys": [key.as_dict(private=False)]}
    server.api("POST", f"/api/v1/agents/{client_id}/credentials", {"kind": "public_key", "jwks": jwks})
    signing = SignedJWTParameters(
        issuer=client_id,
        subject=client_id,
        signing_key=key.as_pem(private=True).decode(),
        signing_algorithm="ES256",
    )

    auth = PrivateKeyJWTOAuthProvider(
        resource(server), Storage(), client_id, signing.create_assertion_provider(), issuer=server.issuer
    )

    read_one(server, auth, revision)


def test_a_scope_that_a_person_left_out_is_asked_for_once_more_and_then_there(
    server: Running, person: Person, documents: Documents, revision: str
) -> None:
    url = documents.publish(f"steps-up-{revision}.json", redirect_uris=[CALLBACK])
    browser, storage = Browser(person, without=[(DEALS,)]), Storage()
    auth = for_a_person(server, browser, storage, client_metadata_url=url)

    async def act() -> None:
        async with connected(server, auth, revision) as client:
            await client.call_tool("get_contact", {"id": 1})
            deals = await client.call_tool("list_deals", {})
            assert not deals.is_error
            await client.call_tool("get_contact", {"id": 1})

    asyncio.run(act())

    assert len(browser.asked) == 2
    assert DEALS in browser.asked[1]["scope"].split() and READ in browser.asked[1]["scope"].split()
    assert storage.tokens is not None and {READ, DEALS} <= set((storage.tokens.scope or "").split())


def test_a_scope_that_a_person_never_gives_is_not_asked_for_without_end(
    server: Running, person: Person, documents: Documents, revision: str
) -> None:
    url = documents.publish(f"never-{revision}.json", redirect_uris=[CALLBACK])
    browser, storage = Browser(person, without=[(DEALS,)] * 9), Storage()
    auth = for_a_person(server, browser, storage, client_metadata_url=url)

    async def act() -> None:
        async with connected(server, auth, revision) as client:
            await client.call_tool("get_contact", {"id": 1})
            await client.call_tool("list_deals", {})

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(act())

    # The gateway's second 403, and not the browser's complaint.
    assert raised.group_contains(MCPError, match="Server returned an error response")
    assert len(browser.asked) == 2
    assert storage.tokens is not None and DEALS not in (storage.tokens.scope or "").split()


def test_what_policy_would_refuse_anyway_asks_nobody(
    server: Running, person: Person, documents: Documents, revision: str
) -> None:
    url = documents.publish(f"refused-{revision}.json", redirect_uris=[CALLBACK])
    browser = Browser(person)
    auth = for_a_person(server, browser, Storage(), client_metadata_url=url)

    async def act() -> None:
        async with connected(server, auth, revision) as client:
            refused = await client.call_tool("delete_contact", {"id": 1})
            assert refused.is_error
            assert refused.meta is not None and refused.meta["accredit/policies"] == ["default-deny"]

    asyncio.run(act())

    assert len(browser.asked) == 1


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory, crm: RunningCrm, documents: Documents) -> Iterator[Running]:
    """A server whose access tokens are over after two seconds."""
    folder = tmp_path_factory.mktemp("brief") / "data"
    with running(folder, ACCREDIT_ACCESS_TOKEN_SECONDS="2", **settings_for(documents)) as server:
        server.add_crm(crm.url)
        yield server


def test_a_token_that_is_over_is_refreshed_and_the_person_is_not_asked_again(
    brief: Running, documents: Documents, revision: str
) -> None:
    url = documents.publish(
        f"refreshes-{revision}.json", redirect_uris=[CALLBACK], grant_types=["authorization_code", "refresh_token"]
    )
    browser, storage = Browser(sign_in(brief)), Storage()
    auth = for_a_person(brief, browser, storage, client_metadata_url=url)
    given = set()

    async def act() -> None:
        async with connected(brief, auth, revision) as client:
            for _ in range(3):
                found = await client.call_tool("get_contact", {"id": 1})
                assert not found.is_error
                assert storage.tokens is not None
                given.add(storage.tokens.refresh_token)
                await asyncio.sleep(2.2)

    asyncio.run(act())

    assert len(browser.asked) == 1
    assert len(given) == 3


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A second Accredit: the company's identity provider, where the person is signed in."""
    with running(tmp_path_factory.mktemp("provider") / "data") as provider:
        yield provider


def test_a_person_who_is_signed_in_at_another_accredit_is_vouched_for_there(
    server: Running, provider: Running, revision: str
) -> None:
    there = sign_in(provider, "bo@acme.example")
    name = f"vouched-{revision}"
    client_here, secret_here = server.add_agent(name, "ai-agent-readonly")
    client_there = a_client(
        provider, name, systems=(), redirect_uris=[CALLBACK], grant_types=["authorization_code", EXCHANGE]
    )
    secret_there = a_secret(provider, client_there)
    subject_token, person_there = id_token(provider, there, client_there, secret_there)
    trust_each_other(server, provider, client_there, client_here, person_there, again=revision != REVISIONS[0])

    async def ask_provider(audience: str, asked: str) -> str:
        form = {
            "grant_type": EXCHANGE,
            "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
            "subject_token": subject_token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "audience": audience,
            "resource": asked,
        }
        async with httpx2.AsyncClient(timeout=30, trust_env=False) as http:
            answer = await http.post(
                f"{provider.issuer}/oauth/token", data=form, auth=httpx2.BasicAuth(client_there, secret_there)
            )
        assert answer.status_code == 200, answer.text
        assert answer.json()["token_type"] == "N_A"
        assertion: str = answer.json()["access_token"]
        return assertion

    auth = IdentityAssertionOAuthProvider(
        resource(server), Storage(), client_here, secret_here, server.issuer, ask_provider
    )

    read_one(server, auth, revision)

    decided = [one for one in server.events() if one["agent"] == client_here and one["action"] == "crm.contacts.get"]
    assert decided and all(one["person"].startswith("per_") for one in decided)


def id_token(provider: Running, there: Person, client_id: str, secret: str) -> tuple[str, str]:
    """Sign in at the provider as a client of it; the ID token and its subject."""
    with as_client(provider, client_id, secret, redirect_uri=CALLBACK, scope="openid") as client:
        tokens = with_code(client, provider, there)
    token: str = tokens["id_token"]
    return token, str(claims_of(token)["sub"])


def trust_each_other(
    server: Running, provider: Running, client_there: str, client_here: str, subject: str, *, again: bool
) -> None:
    """What the two administrators set up: who vouches for whom, where, as which client, and who the subject is."""
    peer = f'''name = "here"
issuer = "{server.issuer}"
kind = "provider"
[peer.resources]
"{resource(server)}" = ["{READ}"]
[peer.clients]
{client_there} = "{client_here}"
'''
    provider.api("POST", "/api/v1/trusted-issuers", {"configuration": peer, "replace": again})
    if again:
        return
    vouching = f'name = "acme"\nissuer = "{provider.issuer}"\nkind = "provider"\n[people]\n'
    server.api("POST", "/api/v1/trusted-issuers", {"configuration": vouching})
    sign_on = f'kind = "oidc"\nname = "acme"\ntitle = "Acme"\nissuer = "{provider.issuer}"\nclient_id = "c"\n'
    server.api("POST", "/api/v1/sign-in-providers", {"configuration": sign_on, "secret": "unused"})
    identity = {"subject": subject, "email": LOCAL_ADMINISTRATOR_EMAIL}
    server.api("POST", "/api/v1/sign-in-providers/acme/identities", identity)
