"""The token endpoint, and an issuer of somebody else's that it can be told to trust."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import uvloop
from sqlalchemy import update

from accredit.agents.model import Agent
from accredit.agents.new_agent import NewAgent
from accredit.audit.event import AuditEvent
from accredit.people.model import Person
from accredit.storage.schema import people
from tests.federation.foreign import DOMAIN, Foreign, describe, issuer_of, open_foreign
from tests.oauth.endpoint import Endpoint, open_endpoint
from tests.rooms import ADMINISTRATOR

T = TypeVar("T")
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_SPIFFE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
PEOPLE = """
[people]
authoritative_domains = ["acme.example"]
create_people = true
roles = ["delegator"]
"""
PINS = {"github_actions": {"repository_owner_id": "123456"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusting:
    """Both of them. `endpoint.agent` is `reader`, which may read the CRM."""

    endpoint: Endpoint
    foreign: Foreign

    async def trust(self, kind: str, more: str = "", **keys: str) -> None:
        """Trust the issuer for this kind of workload."""
        keys = {"jwks_uri": self.foreign.jwks_uri, **keys}
        issuer = issuer_of(self.foreign, {"github_actions": "github"}.get(kind, kind))
        text = describe("there", issuer, kind, more, **keys)
        await self.endpoint.oauth.trust.issuers.add(text, "there.toml", ADMINISTRATOR)

    async def trust_people(self, more: str = PEOPLE) -> None:
        """Trust the issuer to vouch for people."""
        text = describe("acme", self.foreign.url, "provider", more)
        await self.endpoint.oauth.trust.issuers.add(text, "acme.toml", ADMINISTRATOR)

    async def is_workload(self, subject: str, name: str = "reader", issuer: str = "", **claims: str) -> str:
        """Give an agent a federated credential; returns its id."""
        known = await self.endpoint.oauth.trust.issuers.all()
        issuer = issuer or known[0].issuer
        added = await self.endpoint.rooms.agents.add_workload(name, issuer, subject, claims, ADMINISTRATOR)
        return added.id

    async def as_workload(self, assertion: str, **more: str) -> httpx2.Response:
        """The jwt-bearer grant, with nothing but the assertion."""
        form = {"grant_type": JWT_BEARER, "assertion": assertion, **more}
        return await self.endpoint.client.post("/oauth/token", data=form)

    async def as_client(self, assertion: str, kind: str = CLIENT_ASSERTION, **more: str) -> httpx2.Response:
        """Client credentials, with the assertion as the client's proof."""
        form = {"grant_type": "client_credentials", "client_assertion_type": kind, "client_assertion": assertion}
        return await self.endpoint.client.post("/oauth/token", data={**form, **more})

    async def for_person(self, assertion: str, **more: str) -> httpx2.Response:
        """The jwt-bearer grant with an ID-JAG, as `reader`."""
        return await self.endpoint.token({"grant_type": JWT_BEARER, "assertion": assertion, **more})

    async def person(self, email: str) -> Person | None:
        return await self.endpoint.rooms.people.by_email(email)


@asynccontextmanager
async def open_trusting(folder: Path, **settings: object) -> AsyncIterator[Trusting]:
    async with open_endpoint(folder, **settings) as endpoint, open_foreign(endpoint.rooms.clock) as foreign:
        yield Trusting(endpoint=endpoint, foreign=foreign)


def with_trusting(folder: Path, act: Callable[[Trusting], Awaitable[T]], **settings: object) -> T:
    """Run one coroutine with both open."""

    async def run() -> T:
        async with open_trusting(folder, **settings) as both:
            return await act(both)

    return uvloop.run(run())


async def new_agent(endpoint: Endpoint, name: str, **more: Any) -> tuple[Agent, str]:
    """Another agent that may read the CRM, and its secret."""
    given: dict[str, Any] = {"roles": ("ai-agent-readonly",), "systems": ("crm",), **more}
    agent = await endpoint.rooms.agents.create(NewAgent(name=name, owner="ana@example.com", **given), ADMINISTRATOR)
    _, secret = await endpoint.rooms.agents.add_client_secret(name, ADMINISTRATOR)
    return agent, secret.reveal()


async def new_person(endpoint: Endpoint, email: str, roles: str = '["delegator"]') -> Person:
    """A person with roles of their own."""
    await endpoint.rooms.people.invite(email, ADMINISTRATOR)

    def give(tx: Any) -> None:
        tx.connection.execute(update(people).where(people.c.email == email).values(roles=roles))

    await endpoint.rooms.transactions.change(give)
    person = await endpoint.rooms.people.by_email(email)
    assert person is not None
    return person


async def last_event(endpoint: Endpoint) -> AuditEvent:
    return (await endpoint.events())[-1]


SCOUT = f"{DOMAIN}/ns/prod/sa/scout"
