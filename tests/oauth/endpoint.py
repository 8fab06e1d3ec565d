"""The token endpoint with everything below it, called as an ASGI application."""

import dataclasses
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx2
import msgspec
import uvloop
from sqlalchemy import select
from starlette.applications import Starlette

from accredit.agents.credentials import hash_client_secret
from accredit.agents.model import Agent
from accredit.agents.new_agent import NewAgent
from accredit.audit.event import AuditEvent
from accredit.federation.trust import open_trust
from accredit.ids import new_id
from accredit.keys.seal import Sealer
from accredit.oauth.rooms import OAuthRooms, open_oauth_rooms
from accredit.oauth.routes import AuthorizationServer, authorization_server
from accredit.outbound import Outbound
from accredit.outbound.guarded import Guarded
from accredit.policy.cedar import compile_policies
from accredit.policy.decide import Policy
from accredit.policy.settle import Settlement
from accredit.policy.starter import starter_sources
from accredit.settings import Settings, load_settings
from accredit.storage.outbox import Outbox
from accredit.storage.schema import events
from accredit.tokens.verify import Verifier
from accredit.web.asgi import Receive, Scope, Send
from tests.rooms import ADMINISTRATOR, CRM, SECRET_KEY, Rooms, open_rooms

T = TypeVar("T")
ISSUER = "http://localhost:8400"
CRM_RESOURCE = f"{ISSUER}/gateway/crm/mcp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The endpoint, an agent named `reader` that may read the CRM, and its secret."""

    rooms: Rooms
    oauth: OAuthRooms
    client: httpx2.AsyncClient
    verifier: Verifier
    policy: Policy
    settlement: Settlement
    agent: Agent
    secret: str

    async def token(self, form: Mapping[str, str] | None = None, **more: str) -> httpx2.Response:
        """Ask for a token as `reader` by client_secret_post, with some parameters set otherwise or left out."""
        given = {
            "grant_type": "client_credentials",
            "client_id": self.agent.id,
            "client_secret": self.secret,
            **(form or {}),
            **more,
        }
        return await self.client.post("/oauth/token", data={k: v for k, v in given.items() if v})

    async def events(self) -> list[AuditEvent]:
        """Every event, in order."""
        query = select(events.c.body).order_by(events.c.seq)
        bodies = await self.rooms.transactions.read(lambda c: list(c.execute(query).scalars()))
        return [msgspec.json.decode(body, type=AuditEvent) for body in bodies]


def settings_for(folder: Path, **more: object) -> Settings:
    """The settings of a test's server: the defaults, with some set otherwise."""
    defaults = load_settings({"ACCREDIT_DATA": str(folder), "ACCREDIT_ISSUER": ISSUER}, folder)
    return dataclasses.replace(defaults, **more)  # type: ignore[arg-type]  # the names are of Settings


def oauth_rooms(rooms: Rooms, settings: Settings) -> OAuthRooms:
    """What issues and verifies tokens, on top of a test's rooms."""
    policy = Policy(rooms.group, rooms.clock, new_id, lambda: rooms.feed.applied, compile_policies(starter_sources()))
    return open_oauth_rooms(
        settings=settings,
        clock=rooms.clock,
        new_id=new_id,
        keyring=rooms.keyring,
        transactions=rooms.transactions,
        group=rooms.group,
        people=rooms.people,
        systems=rooms.systems,
        agents=rooms.agents,
        revocations=rooms.revocations,
        delegations=rooms.delegations,
        hash_secret=functools.partial(hash_client_secret, SECRET_KEY),
        policy=policy,
        settlement=Settlement(policy, rooms.agents, rooms.people, rooms.revocations, rooms.feed),
        guarded=Guarded(settings.private_hosts),
        trust=open_trust(
            transactions=rooms.transactions,
            feed=rooms.feed,
            agents=rooms.agents,
            clock=rooms.clock,
            new_id=new_id,
            outbound=Outbound(),
            own_issuer=settings.issuer,
        ),
        outbox=Outbox(rooms.transactions, rooms.clock, new_id, Sealer(rooms.keyring.session)),
    )


class Served:
    """The whole authorization server as one ASGI application: hot paths first, then its routes."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._endpoints = server.endpoints
        self._routes = Starlette(routes=server.routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._endpoints.get(scope["path"], self._routes)(scope, receive, send)


@asynccontextmanager
async def open_endpoint(folder: Path, **more: object) -> AsyncIterator[Endpoint]:
    """Open it; `more` are settings."""
    async with open_rooms(folder) as rooms:
        await rooms.systems.add(CRM, "crm.toml", ADMINISTRATOR)
        new = NewAgent(name="reader", owner="ana@example.com", roles=("ai-agent-readonly",), systems=("crm",))
        agent = await rooms.agents.create(new, ADMINISTRATOR)
        _, secret = await rooms.agents.add_client_secret("reader", ADMINISTRATOR)
        oauth = oauth_rooms(rooms, settings_for(folder, **more))
        transport = httpx2.ASGITransport(app=Served(authorization_server(oauth)))
        async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as client:
            yield Endpoint(
                rooms=rooms,
                oauth=oauth,
                client=client,
                verifier=oauth.verifier,
                policy=oauth.policy,
                settlement=oauth.settlement,
                agent=agent,
                secret=secret.reveal(),
            )
        oauth.guarded.close()


def with_endpoint(folder: Path, act: Callable[[Endpoint], Awaitable[T]], **more: object) -> T:
    """Run one coroutine with the endpoint open."""

    async def run() -> T:
        async with open_endpoint(folder, **more) as endpoint:
            return await act(endpoint)

    return uvloop.run(run())
