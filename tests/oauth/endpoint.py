"""The token endpoint with everything below it, called as an ASGI application."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx2
import msgspec
import uvloop
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from sqlalchemy import select

from accredit.agents.credentials import hash_client_secret
from accredit.agents.model import Agent
from accredit.agents.registry import NewAgent
from accredit.audit.event import AuditEvent
from accredit.ids import KeyId, new_id
from accredit.keys.signer import AccessTokenSigner
from accredit.oauth.client_auth import ClientAuthentication
from accredit.oauth.client_auths import CLIENT_AUTHS
from accredit.oauth.discovery import Discovery
from accredit.oauth.grants import make_grants
from accredit.oauth.resources import Resources
from accredit.oauth.token import TokenEndpoint
from accredit.policy.cedar import compile_policies
from accredit.policy.decide import Policy
from accredit.policy.settle import Settlement
from accredit.policy.starter import starter_sources
from accredit.storage.schema import events
from accredit.tokens.issue import Issuer
from accredit.tokens.verify import Verifier
from tests.rooms import ADMINISTRATOR, CRM, SECRET_KEY, Rooms, open_rooms

T = TypeVar("T")
ISSUER = "http://localhost:8400"
CRM_RESOURCE = f"{ISSUER}/gateway/crm/mcp"
SIGNER = AccessTokenSigner(KeyId("key_test"), generate_private_key(SECP256R1()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The endpoint, an agent named `reader` that may read the CRM, and its secret."""

    rooms: Rooms
    client: httpx2.AsyncClient
    verifier: Verifier
    policy: Policy
    settlement: Settlement
    discovery: Discovery
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


@asynccontextmanager
async def open_endpoint(folder: Path) -> AsyncIterator[Endpoint]:
    async with open_rooms(folder) as rooms:
        await rooms.systems.add(CRM, "crm.toml", ADMINISTRATOR)
        new = NewAgent(name="reader", owner="ana@example.com", roles=("ai-agent-readonly",), systems=("crm",))
        agent = await rooms.agents.create(new, ADMINISTRATOR)
        _, secret = await rooms.agents.add_client_secret("reader", ADMINISTRATOR)
        policy = Policy(
            rooms.group, rooms.clock, new_id, lambda: rooms.feed.applied, compile_policies(starter_sources())
        )
        settlement = Settlement(policy, rooms.agents, rooms.feed)
        resources = Resources(ISSUER, rooms.systems)
        hash_secret = functools.partial(hash_client_secret, SECRET_KEY)
        authentication = ClientAuthentication(
            tuple(make(rooms.agents, hash_secret, rooms.clock, ISSUER) for make in CLIENT_AUTHS)
        )
        grants = make_grants(policy, Issuer(ISSUER, SIGNER, rooms.clock, 300), resources, new_id)
        endpoint = TokenEndpoint(authentication, grants, settlement, rooms.group, rooms.clock, new_id)
        transport = httpx2.ASGITransport(app=endpoint)
        async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as client:
            yield Endpoint(
                rooms=rooms,
                client=client,
                verifier=Verifier(ISSUER, (SIGNER,), rooms.agents, rooms.clock),
                policy=policy,
                settlement=settlement,
                discovery=Discovery(ISSUER, rooms.systems, resources, tuple(grants), authentication.names),
                agent=agent,
                secret=secret.reveal(),
            )


def with_endpoint(folder: Path, act: Callable[[Endpoint], Awaitable[T]]) -> T:
    """Run one coroutine with the endpoint open."""

    async def run() -> T:
        async with open_endpoint(folder) as endpoint:
            return await act(endpoint)

    return uvloop.run(run())
