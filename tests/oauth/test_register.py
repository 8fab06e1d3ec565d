"""Clients that register themselves: who may, what is made of them, and what they can change of it."""

import asyncio
import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import msgspec
import pytest
import uvloop
from joserfc.jwk import ECKey
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl
from sqlalchemy import select
from starlette.applications import Starlette

from accredit.agents.credentials import hash_client_secret
from accredit.agents.model import Agent, AgentStatus, RegistrationToken
from accredit.agents.new_agent import NewAgent
from accredit.agents.registration_tokens import RegistrationTokens
from accredit.agents.registrations import Registrations
from accredit.audit.event import AuditEvent
from accredit.errors import InputRefused, NotFound
from accredit.ids import new_id
from accredit.oauth.client_auth import ClientRequest
from accredit.oauth.client_auths.client_secret import ClientSecret
from accredit.oauth.errors import InvalidClient
from accredit.oauth.register import RegistrationEndpoint
from accredit.outbound.guarded import Guarded
from accredit.storage.schema import agents, events, registration_tokens
from tests.rooms import ADMINISTRATOR, CRM, SECRET_KEY, Rooms, open_rooms

T = TypeVar("T")
ISSUER = "https://accredit.example"
URI = "https://client.example/callback"
PUBLIC = {"redirect_uris": [URI], "client_name": "Reader", "token_endpoint_auth_method": "none"}
CONFIDENTIAL = {"redirect_uris": [URI], "client_name": "Reader"}
KEY = ECKey.generate_key("P-256")
hash_secret = functools.partial(hash_client_secret, SECRET_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The endpoint with everything below it, and an initial access token for 100 clients of the CRM."""

    rooms: Rooms
    client: httpx2.AsyncClient
    tokens: RegistrationTokens
    token: RegistrationToken
    secret: str

    async def register(self, members: Any, secret: str | None = None) -> httpx2.Response:
        headers = {"authorization": f"Bearer {secret or self.secret}"}
        return await self.client.post("/oauth/register", json=members, headers=headers)

    async def manage(self, method: str, answer: Any, members: Any = None) -> httpx2.Response:
        """As the client, with the token of the registration that `answer` tells of."""
        headers = {"authorization": f"Bearer {answer['registration_access_token']}"}
        path = answer["registration_client_uri"].removeprefix(ISSUER)
        return await self.client.request(method, path, json=members, headers=headers)

    async def agent(self, client_id: str) -> Agent:
        found = await self.rooms.agents.get(client_id)
        assert found is not None
        return found

    async def events(self) -> list[AuditEvent]:
        query = select(events.c.body).order_by(events.c.seq)
        bodies = await self.rooms.transactions.read(lambda c: list(c.execute(query).scalars()))
        return [msgspec.json.decode(body, type=AuditEvent) for body in bodies]

    async def uses_left(self) -> int:
        return (await self.tokens.list())[0].uses_left

    async def may_use(self, client_id: str, secret: str) -> bool:
        """Whether this secret authenticates the client at the token endpoint."""
        form = {"client_id": client_id, "client_secret": secret}
        try:
            await ClientSecret(self.rooms.agents, hash_secret).authenticate(
                ClientRequest(form=form, authorization=None)
            )
        except InvalidClient:
            return False
        return True


@asynccontextmanager
async def _open(folder: Path, uses: int) -> AsyncIterator[Server]:
    async with open_rooms(folder) as rooms:
        await rooms.systems.add(CRM, "crm.toml", ADMINISTRATOR)
        tokens = RegistrationTokens(
            rooms.transactions, rooms.people, rooms.clock, new_id, hash_secret, rooms.systems.exists
        )
        registrations = Registrations(rooms.transactions, rooms.agents, tokens, hash_secret)
        token, secret = await tokens.create(
            "ana@example.com", ADMINISTRATOR, roles=("ai-agent-readonly",), systems=("crm",), uses=uses
        )
        app = Starlette(routes=RegistrationEndpoint(registrations, Guarded(("127.0.0.1",)), ISSUER).routes())
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=ISSUER) as client:
            yield Server(rooms=rooms, client=client, tokens=tokens, token=token, secret=secret.reveal())


def _with(folder: Path, act: Callable[[Server], Awaitable[T]], uses: int = 100) -> T:
    async def run() -> T:
        async with _open(folder, uses) as server:
            return await act(server)

    return uvloop.run(run())


def test_a_client_becomes_an_agent_with_the_rights_of_its_token(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        answer = await server.register(PUBLIC)

        assert answer.status_code == 201
        assert answer.headers["cache-control"] == "no-store"
        members = answer.json()
        agent = await server.agent(members["client_id"])
        assert (agent.name, agent.type, agent.owner_email) == ("Reader", "client", "ana@example.com")
        assert (agent.roles, agent.systems, agent.credentials) == (("ai-agent-readonly",), ("crm",), ())
        assert agent.client is not None and agent.client.redirect_uris == (URI,)
        assert members["registration_client_uri"] == f"{ISSUER}/oauth/register/{agent.id}"
        assert members["client_id_issued_at"] == int(agent.created_at)
        assert "client_secret" not in members and "client_secret_expires_at" not in members
        assert None not in members.values()
        event = (await server.events())[-1]
        assert (event.type, event.agent, event.person) == ("agent.created", agent.id, server.token.owner)
        assert event.authentication == "registration_token"

    _with(tmp_path, act)


def test_a_client_cannot_give_itself_rights(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        greedy = PUBLIC | {
            "roles": ["ai-agent-admin"],
            "systems": ["erp"],
            "owner": "eve@example.com",
            "type": "worker",
        }

        agent = await server.agent((await server.register(greedy)).json()["client_id"])

        assert (agent.roles, agent.systems, agent.owner_email) == (("ai-agent-readonly",), ("crm",), "ana@example.com")
        assert agent.type == "client"

    _with(tmp_path, act)


@pytest.mark.parametrize("method", [None, "client_secret_basic", "client_secret_post"])
def test_a_confidential_client_gets_a_secret_that_works(tmp_path: Path, method: str | None) -> None:
    async def act(server: Server) -> None:
        members = CONFIDENTIAL | ({} if method is None else {"token_endpoint_auth_method": method})

        answer = (await server.register(members)).json()

        assert answer["token_endpoint_auth_method"] == (method or "client_secret_basic")
        assert answer["client_secret_expires_at"] == 0
        assert await server.may_use(answer["client_id"], answer["client_secret"])

    _with(tmp_path, act)


def test_a_client_may_prove_itself_with_its_own_key_and_gets_no_secret(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        keys = {"keys": [KEY.as_dict(private=False)]}

        answer = (
            await server.register(PUBLIC | {"token_endpoint_auth_method": "private_key_jwt", "jwks": keys})
        ).json()

        assert answer["jwks"]["keys"][0]["x"] == keys["keys"][0]["x"]
        assert "client_secret" not in answer

    _with(tmp_path, act)


def test_what_was_registered_is_told_with_its_defaults(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        answer = (await server.register({"redirect_uris": [URI], "unknown": 1, "logo_uri": None})).json()

        assert answer["grant_types"] == ["authorization_code", "refresh_token"]
        assert answer["response_types"] == ["code"]
        assert "unknown" not in answer and "logo_uri" not in answer

    _with(tmp_path, act)


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, 'Bearer realm="accredit"'),
        ("Basic YTpi", 'Bearer realm="accredit"'),
        ("Bearer wrong", 'Bearer realm="accredit", error="invalid_token"'),
        ("Bearer", 'Bearer realm="accredit", error="invalid_token"'),
        ("Bearer \xff", 'Bearer realm="accredit", error="invalid_token"'),
    ],
    ids=["none", "basic", "wrong", "empty", "not ascii"],
)
def test_without_a_token_nobody_registers(tmp_path: Path, authorization: str | None, challenge: str) -> None:
    async def act(server: Server) -> None:
        headers = {} if authorization is None else {b"authorization": authorization.encode("latin-1")}

        answer = await server.client.post("/oauth/register", json=PUBLIC, headers=headers)

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == challenge
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["error"] == "invalid_token"
        assert await server.rooms.agents.list("", 10) == []

    _with(tmp_path, act)


def test_two_tokens_at_once_are_refused(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        headers = [("authorization", f"Bearer {server.secret}"), ("authorization", f"Bearer {server.secret}")]

        assert (await server.client.post("/oauth/register", json=PUBLIC, headers=headers)).status_code == 401

    _with(tmp_path, act)


def test_a_token_in_the_body_or_the_query_lets_nobody_in(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        answer = await server.client.post(
            "/oauth/register", json=PUBLIC | {"access_token": server.secret}, params={"access_token": server.secret}
        )

        assert answer.status_code == 401

    _with(tmp_path, act)


def test_who_has_no_token_is_told_nothing_of_the_body(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        assert (await server.register({"redirect_uris": 1}, "wrong")).status_code == 401

    _with(tmp_path, act)


def test_a_token_registers_as_many_clients_as_it_has_uses_even_at_once(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        answers = await asyncio.gather(*(server.register(PUBLIC) for _ in range(6)))

        assert sorted(one.status_code for one in answers) == [201, 201, 401, 401, 401, 401]
        assert len(await server.rooms.agents.list("", 10)) == 2
        assert await server.uses_left() == 0

    _with(tmp_path, act, uses=2)


@pytest.mark.parametrize("body", [{"redirect_uris": []}, {"redirect_uris": ["javascript:x"]}, []], ids=repr)
def test_a_registration_that_is_refused_costs_no_use(tmp_path: Path, body: object) -> None:
    async def act(server: Server) -> None:
        assert (await server.register(body)).status_code == 400
        assert await server.uses_left() == 100

    _with(tmp_path, act)


def test_a_token_that_is_too_old_registers_nobody(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        server.rooms.clock.move(7 * 86_400)

        assert (await server.register(PUBLIC)).status_code == 401

    _with(tmp_path, act)


def test_a_revoked_token_registers_nobody_and_its_clients_live_on(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        answer = (await server.register(PUBLIC)).json()

        await server.tokens.revoke(server.token.id, ADMINISTRATOR)

        assert (await server.register(PUBLIC)).status_code == 401
        assert (await server.agent(answer["client_id"])).status is AgentStatus.ACTIVE
        assert (await server.manage("GET", answer)).status_code == 200
        with pytest.raises(NotFound):
            await server.tokens.revoke(server.token.id, ADMINISTRATOR)

    _with(tmp_path, act)


def test_no_token_is_stored_as_it_is(tmp_path: Path) -> None:
    async def act(server: Server) -> tuple[str, ...]:
        answer = (await server.register(CONFIDENTIAL)).json()
        secrets = (server.secret, answer["registration_access_token"], answer["client_secret"])

        initial, own = await server.rooms.transactions.read(
            lambda c: (
                c.execute(select(registration_tokens.c.token_hash)).scalar_one(),
                c.execute(select(agents.c.registration_hash)).scalar_one(),
            )
        )

        # Keyed: a hash that everybody can compute would let a copy of the database be searched.
        assert initial == hash_secret(secrets[0]) and own == hash_secret(secrets[1])
        assert initial != hashlib.sha256(secrets[0].encode()).digest()
        return secrets

    secrets = _with(tmp_path, act)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"Reader" in stored
    assert not any(secret.encode() in stored for secret in secrets)


def test_a_token_names_only_systems_that_are_there(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        with pytest.raises(NotFound):
            await server.tokens.create("ana@example.com", ADMINISTRATOR, systems=("erp",))

    _with(tmp_path, act)


@pytest.mark.parametrize(("uses", "days"), [(0, 1), (-1, 1), (10_001, 1), (1, 0), (1, 367)])
def test_a_token_is_bounded(tmp_path: Path, uses: int, days: int) -> None:
    async def act(server: Server) -> None:
        with pytest.raises(InputRefused):
            await server.tokens.create("ana@example.com", ADMINISTRATOR, uses=uses, days=days)

    _with(tmp_path, act)


INVALID: dict[str, tuple[Any, str]] = {
    "no redirect uri": ({}, "invalid_redirect_uri"),
    "http redirect uri": ({"redirect_uris": ["http://client.example/cb"]}, "invalid_redirect_uri"),
    "fragment": ({"redirect_uris": [URI + "#f"]}, "invalid_redirect_uri"),
    "script": ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
    "a list": ([], "invalid_client_metadata"),
    "unknown method": (PUBLIC | {"token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"),
    "certificate": (PUBLIC | {"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
    "key without keys": (PUBLIC | {"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
    "keys by http": (
        PUBLIC | {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://client.example/k"},
        "invalid_client_metadata",
    ),
    "keys at another port": (
        PUBLIC | {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://client.example:6379/k"},
        "invalid_client_metadata",
    ),
    "logout by http": (PUBLIC | {"backchannel_logout_uri": "http://client.example/out"}, "invalid_client_metadata"),
    "ping to an address in disguise": (
        PUBLIC
        | {
            "backchannel_token_delivery_mode": "ping",
            "backchannel_client_notification_endpoint": "https://2130706433/ping",
        },
        "invalid_client_metadata",
    ),
}


@pytest.mark.parametrize(("members", "code"), [pytest.param(*row, id=name) for name, row in INVALID.items()])
def test_metadata_that_is_not_allowed_is_refused_with_its_code(tmp_path: Path, members: Any, code: str) -> None:
    async def act(server: Server) -> None:
        answer = await server.register(members)

        assert (answer.status_code, answer.json()["error"]) == (400, code)
        assert answer.headers["cache-control"] == "no-store"
        assert await server.rooms.agents.list("", 10) == []

    _with(tmp_path, act)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"redirect_uris=x"),
        ("application/json", b"{"),
        ("application/json", b'{"redirect_uris":[],"redirect_uris":["https://client.example/cb"]}'),
        ("application/json", b'{"a":' + b"[" * 20_000),
        ("application/json", b'{"client_name":"' + b"x" * 70_000 + b'"}'),
    ],
    ids=["a form", "not JSON", "a name twice", "nested", "too large"],
)
def test_a_body_that_is_no_metadata_is_refused(tmp_path: Path, content_type: str, body: bytes) -> None:
    async def act(server: Server) -> None:
        headers = {"authorization": f"Bearer {server.secret}", "content-type": content_type}

        answer = await server.client.post("/oauth/register", content=body, headers=headers)

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")

    _with(tmp_path, act)


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ("Reader", "Reader"),
        ("", "client"),
        ("agt_01ABC", "client agt_01ABC"),
        ("a/b?c#d", "a b c d"),
        ("..", "client"),
        ("<script>alert(1)</script>", "script alert 1 script"),
        ("Łódź  Reader", "Łódź Reader"),
        ("x" * 200, "x" * 48),
        ("😀", "client"),
        ("Ｆｕｌｌ", "Full"),
    ],
)
def test_the_agents_name_is_made_safe_of_what_the_client_calls_itself(tmp_path: Path, wanted: str, named: str) -> None:
    async def act(server: Server) -> str:
        answer = await server.register(PUBLIC | {"client_name": wanted})
        return (await server.agent(answer.json()["client_id"])).name

    assert _with(tmp_path, act) == named


def test_the_agents_name_is_made_unique(tmp_path: Path) -> None:
    async def act(server: Server) -> list[str]:
        await server.rooms.agents.create(NewAgent(name="Reader", owner="bo@example.com"), ADMINISTRATOR)
        for _ in range(20):
            assert (await server.register(PUBLIC)).status_code == 201
        return [agent.name for agent in await server.rooms.agents.list("", 100)]

    names = _with(tmp_path, act)

    assert len(set(names)) == 21
    assert {"Reader", "Reader 2", "Reader 3"} <= set(names)


def test_a_client_reads_its_own_registration_and_no_secret(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        answer = (await server.register(CONFIDENTIAL)).json()

        found = await server.manage("GET", answer)

        assert found.status_code == 200
        assert found.headers["cache-control"] == "no-store"
        expected = {name: value for name, value in answer.items() if not name.startswith("client_secret")}
        assert found.json() == expected

    _with(tmp_path, act)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("whose", ["nobody's", "the initial", "another's", "none"])
def test_a_registration_is_managed_with_its_own_token_alone(tmp_path: Path, method: str, whose: str) -> None:
    async def act(server: Server) -> None:
        mine, other = (await server.register(PUBLIC)).json(), (await server.register(PUBLIC)).json()
        token = {
            "nobody's": "x",
            "the initial": server.secret,
            "another's": other["registration_access_token"],
            "none": "",
        }[whose]

        answer = await server.manage(
            method, mine | {"registration_access_token": token}, PUBLIC | {"client_id": mine["client_id"]}
        )

        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
        assert (await server.agent(mine["client_id"])).status is AgentStatus.ACTIVE

    _with(tmp_path, act)


def test_an_agent_that_did_not_register_itself_has_no_registration(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        mine = (await server.register(PUBLIC)).json()
        agent = await server.rooms.agents.create(NewAgent(name="scout", owner="bo@example.com"), ADMINISTRATOR)
        unknown = [agent.id, "agt_nobody", "scout", "Reader"]

        answers = [
            await server.manage("GET", mine | {"registration_client_uri": f"{ISSUER}/oauth/register/{name}"})
            for name in unknown
        ]

        assert [one.status_code for one in answers] == [401] * 4
        assert len({one.content for one in answers}) == 1

    _with(tmp_path, act)


def test_a_client_changes_its_registration_and_its_token_is_exchanged(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        before = (await server.register(PUBLIC)).json()
        changed = PUBLIC | {"client_id": before["client_id"], "redirect_uris": [URI, URI + "2"]}

        after = await server.manage("PUT", before, changed)

        assert after.status_code == 200
        assert after.json()["redirect_uris"] == [URI, URI + "2"]
        assert after.json()["client_id"] == before["client_id"]
        assert after.json()["registration_access_token"] != before["registration_access_token"]
        assert (await server.manage("GET", before)).status_code == 401
        assert (await server.manage("GET", after.json())).status_code == 200
        agent = await server.agent(before["client_id"])
        assert agent.client is not None and agent.client.redirect_uris == (URI, URI + "2")
        assert (agent.roles, agent.systems) == (("ai-agent-readonly",), ("crm",))
        assert (await server.events())[-1].type == "client.changed"

    _with(tmp_path, act)


def test_of_two_changes_at_once_with_one_token_one_is_made(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        before = (await server.register(PUBLIC)).json()
        changed = PUBLIC | {"client_id": before["client_id"]}

        answers = await asyncio.gather(*(server.manage("PUT", before, changed) for _ in range(4)))

        assert sorted(one.status_code for one in answers) == [200, 401, 401, 401]

    _with(tmp_path, act)


@pytest.mark.parametrize(
    "members",
    [PUBLIC, PUBLIC | {"client_id": "agt_other"}, PUBLIC | {"client_id": None}, {"client_id": "%ID%"},
     PUBLIC | {"client_id": "%ID%", "client_secret": "guess"}, PUBLIC | {"client_id": "%ID%", "client_secret": 1}],
    ids=["no client_id", "another client_id", "null", "no redirect uri", "a secret of its own", "no text"],
)  # fmt: skip
def test_a_change_that_is_not_allowed_changes_nothing(tmp_path: Path, members: dict[str, Any]) -> None:
    async def act(server: Server) -> None:
        before = (await server.register(PUBLIC)).json()
        sent = {name: before["client_id"] if value == "%ID%" else value for name, value in members.items()}

        answer = await server.manage("PUT", before, sent)

        assert answer.status_code == 400
        assert answer.json()["error"] in ("invalid_client_metadata", "invalid_redirect_uri")
        assert (await server.manage("GET", before)).json() == before

    _with(tmp_path, act)


def test_a_client_that_becomes_confidential_gets_a_secret_and_one_that_becomes_public_loses_it(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        public = (await server.register(PUBLIC)).json()
        id_ = {"client_id": public["client_id"]}

        confidential = (await server.manage("PUT", public, CONFIDENTIAL | id_)).json()
        secret = confidential["client_secret"]
        assert await server.may_use(public["client_id"], secret)
        same = (await server.manage("PUT", confidential, CONFIDENTIAL | id_ | {"client_secret": secret})).json()
        assert "client_secret" not in same
        assert await server.may_use(public["client_id"], secret)
        await server.manage("PUT", same, PUBLIC | id_)

        assert not await server.may_use(public["client_id"], secret)

    _with(tmp_path, act)


def test_a_client_ends_itself(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        answer = (await server.register(PUBLIC)).json()
        epoch = (await server.agent(answer["client_id"])).epoch

        gone = await server.manage("DELETE", answer)

        assert (gone.status_code, gone.content) == (204, b"")
        agent = await server.agent(answer["client_id"])
        assert (agent.status, agent.epoch) == (AgentStatus.RETIRED, epoch + 1)
        assert (await server.manage("GET", answer)).status_code == 401
        assert (await server.manage("DELETE", answer)).status_code == 401

    _with(tmp_path, act)


def test_a_suspended_client_cannot_change_itself_back(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        answer = (await server.register(PUBLIC)).json()
        await server.rooms.agents.suspend(answer["client_id"], ADMINISTRATOR)

        for method in ("GET", "PUT", "DELETE"):
            sent = PUBLIC | {"client_id": answer["client_id"]}
            assert (await server.manage(method, answer, sent)).status_code == 401

    _with(tmp_path, act)


@pytest.mark.parametrize("path", ["/oauth/register", "/oauth/register/agt_1"])
def test_a_page_of_any_origin_may_ask_but_brings_no_cookie(tmp_path: Path, path: str) -> None:
    async def act(server: Server) -> None:
        origin = {"origin": "http://localhost:6274", "access-control-request-method": "POST"}

        preflight = await server.client.options(path, headers=origin)
        refused = await server.client.request("POST" if path.endswith("register") else "GET", path, headers=origin)

        assert preflight.status_code == 204
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        assert preflight.headers["access-control-allow-origin"] == refused.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in preflight.headers
        assert refused.headers["access-control-expose-headers"] == "WWW-Authenticate"

    _with(tmp_path, act)


def test_no_secret_stands_in_an_event(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        answer = (await server.register(CONFIDENTIAL)).json()
        after = (await server.manage("PUT", answer, CONFIDENTIAL | {"client_id": answer["client_id"]})).json()
        told = msgspec.json.encode(await server.events()).decode()

        for secret in (
            server.secret,
            answer["client_secret"],
            answer["registration_access_token"],
            after["registration_access_token"],
        ):
            assert secret not in told

    _with(tmp_path, act)


def test_the_official_sdk_reads_the_answer(tmp_path: Path) -> None:
    async def act(server: Server) -> None:
        sent = OAuthClientMetadata(
            redirect_uris=[AnyUrl("http://localhost:3030/callback")],
            client_name="MCP client",
            token_endpoint_auth_method="none",
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
        )

        answer = await server.register(sent.model_dump(mode="json"))

        read = OAuthClientInformationFull.model_validate_json(answer.content)
        assert answer.status_code == 201
        assert (read.client_id, read.client_secret) == (answer.json()["client_id"], None)
        assert [str(uri) for uri in read.redirect_uris or []] == ["http://localhost:3030/callback"]

    _with(tmp_path, act)
