"""Clients that are known by their metadata document: shown as not verified, registered when a person consents."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import uvloop

from accredit.delegations.consent import Asked
from accredit.errors import InputRefused
from tests.gateway.upstreams import Received, Upstream, scripted
from tests.oauth.authorizing import (
    EMAIL,
    READ,
    REDIRECT,
    WRITE,
    Authorizing,
    answer_of,
    open_authorizing,
    with_authorizing,
)
from tests.oauth.endpoint import open_endpoint
from tests.rooms import ADMINISTRATOR

OPEN = {"private_hosts": ("127.0.0.1",), "open_client_systems": ("crm",)}


class Document:
    """A client's own server: what its document says can be changed."""

    def __init__(self) -> None:
        self.members: dict[str, object] = {"client_name": "Desk of elsewhere", "redirect_uris": [REDIRECT]}
        self.upstream: Upstream

    @property
    def url(self) -> str:
        return self.upstream.url.removesuffix("/mcp") + "/client.json"

    @property
    def host(self) -> str:
        return self.url.split("/")[2]

    async def answer(self, _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = msgspec.json.encode({"client_id": self.url, **self.members})
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        writer.write(head + body)


@asynccontextmanager
async def served() -> AsyncIterator[Document]:
    document = Document()
    async with scripted(document.answer) as upstream:
        document.upstream = upstream
        yield document


def with_document(folder: Path, act: Callable[[Authorizing, Document], Awaitable[None]], **settings: object) -> None:
    async def run() -> None:
        async with served() as document, open_endpoint(folder, **{**OPEN, **settings}) as endpoint:
            await act(await open_authorizing(endpoint), document)

    uvloop.run(run())


def test_a_person_is_told_that_nobody_has_vouched_for_it(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        asked = await one.begin(client_id=document.url)

        assert isinstance(asked, Asked)
        assert (asked.name, asked.host, asked.owner) == ("Desk of elsewhere", document.host, None)
        assert [item.scope for item in asked.scopes] == [READ]

    with_document(tmp_path, act)


def test_it_is_registered_when_a_person_consents_and_not_before(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        agents = one.endpoint.rooms.agents
        await one.begin(client_id=document.url)
        before = await agents.of_client(document.url)

        code = await one.code(client_id=document.url)
        made = await agents.of_client(document.url)
        response = await one.redeem(code, client_id=document.url)

        assert before is None
        assert made is not None
        assert (made.type, made.owner_email, made.client_url) == ("client", EMAIL, document.url)
        assert (made.roles, made.systems) == (("ai-agent-readonly",), ("crm",))
        assert made.name.startswith("127.0.0.1-")
        assert (response.status_code, response.json()["scope"]) == (200, READ)
        types = [event.type for event in await one.endpoint.events()]
        assert types[-3:] == ["agent.created", "delegation.created", "token.issued"]
        created = next(event for event in await one.endpoint.events() if event.agent == made.id)
        assert (created.person, created.authentication) == (one.person.id, "passkey")

    with_document(tmp_path, act)


def test_a_second_person_consents_to_the_same_agent(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        first = await one.redeem(await one.code(client_id=document.url), client_id=document.url)
        again = await one.redeem(await one.code(client_id=document.url), client_id=document.url)

        assert (first.status_code, again.status_code) == (200, 200)
        assert [event.type for event in await one.endpoint.events()].count("agent.created") == 3

    with_document(tmp_path, act)


def test_it_gets_no_system_that_is_not_open_to_such_clients(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        closed = await one.begin(client_id=document.url)

        assert isinstance(closed, Asked)
        assert closed.scopes == ()

    with_document(tmp_path, act, open_client_systems=("mail",))


@pytest.mark.parametrize(
    ("roles", "offered"),
    [((), ()), (("ai-agent-readonly",), (READ,)), (("ai-agent-operator",), (READ, WRITE))],
    ids=["no role", "reads", "reads and writes"],
)
def test_it_may_do_what_the_roles_of_such_clients_may(
    tmp_path: Path, roles: tuple[str, ...], offered: tuple[str, ...]
) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        asked = await one.begin(client_id=document.url, scope=f"{READ} {WRITE}")

        assert isinstance(asked, Asked)
        assert tuple(scope.scope for scope in asked.scopes) == offered

    with_document(tmp_path, act, open_client_roles=roles)


def test_it_grows_by_a_system_when_a_person_consents_to_that(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        await one.code(client_id=document.url, scope="openid", resource=None)
        first = await one.endpoint.rooms.agents.of_client(document.url)
        await one.code(client_id=document.url)
        second = await one.endpoint.rooms.agents.of_client(document.url)

        assert first is not None
        assert second is not None
        assert (first.systems, second.systems) == ((), ("crm",))
        assert (second.id, second.epoch) == (first.id, first.epoch)
        events = await one.endpoint.events()
        assert ("agent.system_allowed", "crm") in [(event.type, event.resource) for event in events]

    with_document(tmp_path, act)


def test_what_it_says_now_counts_when_it_is_answered(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        sealed = await one.sealed(client_id=document.url)
        document.members["redirect_uris"] = ["https://desk.example/other"]
        one.endpoint.rooms.clock.move(61)

        with pytest.raises(InputRefused, match="redirect_uri"):
            await one.consents.begin(sealed, one.session)

    with_document(tmp_path, act)


def test_a_changed_document_changes_the_agent_at_the_next_consent(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        await one.code(client_id=document.url)
        document.members["grant_types"] = ["authorization_code"]
        one.endpoint.rooms.clock.move(61)

        body = (await one.redeem(await one.code(client_id=document.url), client_id=document.url)).json()

        assert "refresh_token" not in body

    with_document(tmp_path, act)


def test_a_suspended_document_client_may_not_ask(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        await one.code(client_id=document.url)
        made = await one.endpoint.rooms.agents.of_client(document.url)
        assert made is not None
        await one.endpoint.rooms.agents.suspend(made.id, ADMINISTRATOR)

        assert (await one.authorize(client_id=document.url)).status_code == 400
        assert (await one.authorize(client_id=made.id)).status_code == 400

    with_document(tmp_path, act)


def test_it_pushes_a_request_before_anybody_has_consented(tmp_path: Path) -> None:
    async def act(one: Authorizing, document: Document) -> None:
        pushed = await one.endpoint.client.post("/oauth/par", data=one.parameters(client_id=document.url))
        params = {"client_id": document.url, "request_uri": pushed.json()["request_uri"]}
        brought = await one.endpoint.client.get("/oauth/authorize", params=params)

        assert (pushed.status_code, brought.status_code) == (201, 303)
        assert "/console/consent?request=" in brought.headers["location"]

    with_document(tmp_path, act)


def test_a_known_one_is_told_of_its_errors_and_an_unknown_one_is_not(tmp_path: Path) -> None:
    """RFC 9700 §4.11.2: an error of a client that nobody knows would lead to any page."""

    async def act(one: Authorizing, document: Document) -> None:
        unknown = await one.authorize(client_id=document.url, scope="none")
        await one.code(client_id=document.url)
        known = await one.authorize(client_id=document.url, scope="none")

        assert (unknown.status_code, "location" in unknown.headers) == (400, False)
        assert document.host in unknown.text
        assert "error=invalid_scope" in unknown.text
        assert answer_of(known.headers["location"])["error"] == "invalid_scope"

    with_document(tmp_path, act)


def test_where_no_host_is_accepted_none_is_asked(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.authorize(client_id="https://desk.example/client.json")

        assert (response.status_code, "location" in response.headers) == (400, False)

    with_authorizing(tmp_path, act, client_metadata_hosts=())
