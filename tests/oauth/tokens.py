"""Tokens of other agents beside the endpoint's own, and what is asked of them."""

from dataclasses import dataclass
from typing import Any

import httpx2

from accredit.agents.model import Agent
from accredit.agents.new_agent import NewAgent
from accredit.ids import DelegationId, FamilyId, PersonId, new_id
from accredit.oauth.grants.token_exchange import ACCESS_TOKEN, GRANT_TYPE
from accredit.tokens.refresh import RefreshFamily
from tests.oauth.endpoint import CRM_RESOURCE, Endpoint
from tests.rooms import ADMINISTRATOR


@dataclass(frozen=True, slots=True)
class Client:
    """An agent with a secret."""

    agent: Agent
    secret: str

    @property
    def form(self) -> dict[str, str]:
        return {"client_id": self.agent.id, "client_secret": self.secret}


def own(endpoint: Endpoint) -> Client:
    return Client(endpoint.agent, endpoint.secret)


async def another(
    endpoint: Endpoint,
    name: str = "other",
    roles: tuple[str, ...] = ("ai-agent-readonly",),
    systems: tuple[str, ...] = ("crm",),
    may_act: tuple[str, ...] = (),
) -> Client:
    new = NewAgent(name=name, owner="ana@example.com", roles=roles, systems=systems, may_act=may_act)
    agent = await endpoint.rooms.agents.create(new, ADMINISTRATOR)
    _, secret = await endpoint.rooms.agents.add_client_secret(name, ADMINISTRATOR)
    return Client(agent, secret.reveal())


async def token_of(endpoint: Endpoint, client: Client, **more: str) -> str:
    form = {"grant_type": "client_credentials", "resource": CRM_RESOURCE, **client.form, **more}
    answer = await endpoint.client.post("/oauth/token", data=form)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


async def exchanged(endpoint: Endpoint, client: Client, subject_token: str) -> str:
    form = {"grant_type": GRANT_TYPE, "subject_token": subject_token, "subject_token_type": ACCESS_TOKEN, **client.form}
    answer = await endpoint.client.post("/oauth/token", data=form)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def a_family(endpoint: Endpoint, client: Client, **more: Any) -> RefreshFamily:
    given: dict[str, Any] = {
        "id": FamilyId(new_id("rfm")),
        "generation": 0,
        "agent": client.agent.id,
        "epoch": client.agent.epoch,
        "person": PersonId("per_1"),
        "delegation": DelegationId(new_id("dlg")),
        "audience": CRM_RESOURCE,
        "scopes": ("crm:contacts.read",),
        "expires_at": endpoint.rooms.clock.now + 3_600,
    }
    return RefreshFamily(**{**given, **more})


async def introspect(endpoint: Endpoint, client: Client, token: str, **headers: str) -> httpx2.Response:
    return await endpoint.client.post("/oauth/introspect", data={**client.form, "token": token}, headers=headers)


async def is_active(endpoint: Endpoint, client: Client, token: str) -> bool:
    answer = await introspect(endpoint, client, token)
    assert answer.status_code == 200, answer.text
    active: bool = answer.json()["active"]
    return active


async def revoke(endpoint: Endpoint, client: Client, token: str, **more: str) -> httpx2.Response:
    return await endpoint.client.post("/oauth/revoke", data={**client.form, "token": token, **more})
