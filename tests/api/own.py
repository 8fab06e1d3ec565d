"""`/api/v1/self` beside the authorization server: agents with tokens of theirs, and a person who lets one act."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from starlette.applications import Starlette

from accredit.api.own import OwnEndpoints
from accredit.api.own_endpoint import AgentToken
from accredit.api.routes import api_routes
from accredit.audit.checkpoint import LogSigner
from accredit.audit.event import AuditEvent
from accredit.audit.publishers.filesystem import FilesystemPublisher
from accredit.audit.reading import AuditLog
from accredit.audit.sequencer import Sequencer
from accredit.clock import rfc3339
from accredit.delegations.model import ActionDetails, Delegation
from accredit.ids import AgentId, EventId, PersonId, new_id
from accredit.sensitive import Sensitive
from tests.oauth.asking import Asking, with_asking
from tests.oauth.authorizing import READ
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER

SELF = "/api/v1/self"
PATHS = {
    SELF: "agent:read",
    f"{SELF}/permits": "agent:read",
    f"{SELF}/events": "agent:read",
    f"{SELF}/delegations": "user:delegate:read",
}
MANAGEMENT_TOKEN = "mgt_test-token"


@dataclass(slots=True, kw_only=True)
class Own:
    """The API for agents, beside the authorization server and a person who lets `speaker` act."""

    asking: Asking
    api: httpx2.AsyncClient

    async def get(self, path: str, token: str, scheme: str = "Bearer", **headers: str) -> httpx2.Response:
        return await self.api.get(path, headers={"Authorization": f"{scheme} {token}", **headers})

    async def shown(self, path: str, token: str) -> Any:
        answer = await self.get(path, token)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def reader(self, resource: str = ISSUER, **form: str) -> str:
        """A token of `reader` for itself."""
        answer = await self.asking.endpoint.token({"resource": resource, **form})
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    async def speaker(self, scope: str = "user:delegate:read", **headers: str) -> str:
        """A token of `speaker` for the person."""
        return await allowed(self.asking, scope, ISSUER, **headers)

    async def fitting(self, path: str) -> str:
        """A token that this path takes."""
        return await (self.reader() if PATHS[path] == "agent:read" else self.speaker())

    async def add_events(self, agent: AgentId, count: int) -> None:
        rooms = self.asking.endpoint.rooms
        for number in range(count):
            event = AuditEvent(
                id=EventId(new_id("evt")),
                time=rfc3339(rooms.clock.seconds()),
                type="call.decided",
                agent=agent,
                reason=f"{agent} {number}",
            )
            await rooms.group.add(event)


async def allowed(one: Asking, scope: str, resource: str, **headers: str) -> str:
    asked = await one.device(scope=scope, resource=resource)
    await one.allow_device(asked)
    answer = await one.poll_device(asked["device_code"], None, **headers)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


@asynccontextmanager
async def open_own(one: Asking, folder: Path) -> AsyncIterator[Own]:
    rooms, oauth = one.endpoint.rooms, one.endpoint.oauth
    signer = LogSigner(Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
    sequencer = Sequencer(rooms.transactions, signer, FilesystemPublisher(folder / "log"), rooms.clock)
    own = OwnEndpoints(
        AgentToken(oauth.bearer, rooms.group, ISSUER, f"{ISSUER}/.well-known/oauth-protected-resource"),
        rooms.systems,
        one.endpoint.policy,
        AuditLog(rooms.transactions, sequencer),
        rooms.people,
        rooms.delegations,
    )
    routes = api_routes(
        (),
        own=own,
        token=Sensitive(MANAGEMENT_TOKEN),
        administrator=await rooms.people.administrator(),
        issuer=ISSUER,
        body_limit_bytes=65_536,
    )
    transport = httpx2.ASGITransport(app=Starlette(routes=routes))
    async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as api:
        yield Own(asking=one, api=api)


def with_own(folder: Path, act: Callable[[Own], Awaitable[None]], **settings: object) -> None:
    async def run(one: Asking) -> None:
        async with open_own(one, folder) as own:
            await act(own)

    with_asking(folder, run, **settings)


async def delegate(own: Own, person: PersonId, details: tuple[ActionDetails, ...]) -> Delegation:
    """Write a delegation to `speaker`."""
    rooms, client = own.asking.endpoint.rooms, own.asking.client
    now = rooms.clock.seconds()
    made = Delegation(
        id=rooms.delegations.new_id(),
        person=person,
        agent=client.id,
        system="crm",
        audience=CRM_RESOURCE,
        scopes=(READ,),
        details=details,
        remembered=False,
        created_at=now,
        expires_at=now + 600,
    )
    await rooms.transactions.change(lambda tx: rooms.delegations.make(tx, made, client, None, "passkey"))
    return made


async def bound(own: Own, path: str, proof: str) -> str:
    if PATHS[path] != "agent:read":
        return await own.speaker(DPoP=proof)
    endpoint = own.asking.endpoint
    form = {"grant_type": "client_credentials", "client_id": endpoint.agent.id, "client_secret": endpoint.secret}
    answer = await endpoint.client.post("/oauth/token", data={**form, "resource": ISSUER}, headers={"DPoP": proof})
    assert answer.json()["token_type"] == "DPoP", answer.text
    token: str = answer.json()["access_token"]
    return token
