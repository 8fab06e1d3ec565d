"""What tests of token exchange do: agents in a chain, their tokens, and an exchange."""

from typing import Any

import httpx2
import msgspec
from joserfc import jws

from accredit.agents.model import Agent
from accredit.delegations.model import Delegation
from accredit.ids import PersonId
from accredit.oauth.client_auth import AuthenticatedClient
from accredit.oauth.grant import TokenRequest
from accredit.oauth.grants import make_grants
from accredit.oauth.issuance import Ground
from accredit.storage.writer import Tx
from accredit.tokens.errors import InvalidToken
from tests.oauth.endpoint import CRM_RESOURCE, Endpoint
from tests.oauth.trusting import ACCESS_TOKEN, EXCHANGE, new_agent

BOTH = "crm:contacts.read crm:contacts.write"
OPERATOR: dict[str, Any] = {"roles": ("ai-agent-operator",), "systems": ("crm",)}


async def token_of(endpoint: Endpoint, agent: Agent, secret: str, **more: str) -> str:
    """An access token of an agent as itself."""
    answer = await endpoint.token({"client_id": agent.id, "client_secret": secret, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def exchange(endpoint: Endpoint, agent: Agent, secret: str, subject: str, **more: str) -> httpx2.Response:
    form = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS_TOKEN}
    return await endpoint.token({**form, "client_id": agent.id, "client_secret": secret, **more})


async def person_token(endpoint: Endpoint, agent: Agent, person: PersonId, **ground: Any) -> tuple[str, Delegation]:
    """A token with which an agent acts for a person, by a delegation."""
    delegations, now = endpoint.rooms.delegations, endpoint.rooms.clock.seconds()
    made = Delegation(
        id=delegations.new_id(),
        person=person,
        agent=agent.id,
        system="crm",
        audience=CRM_RESOURCE,
        scopes=tuple(BOTH.split()),
        details=ground.get("details", ()),
        remembered=False,
        created_at=now,
        expires_at=now + 3_600,
    )

    def write(tx: Tx) -> None:
        delegations.make(tx, made, agent, None, "test")

    await endpoint.rooms.transactions.change(write)
    request = TokenRequest(client=AuthenticatedClient(agent=agent, method="test"), parameters={})
    on = Ground(person=person, delegation=made.id, lineage=(made.id,), **ground)
    issuance, system = endpoint.oauth.issuance, endpoint.rooms.systems.get("crm")
    assert system is not None
    token, permit = await issuance.issue(request, system, made.scopes, issuance.evidence(request, on), on)
    await endpoint.settlement.settle(permit)
    return token.token.reveal(), made


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(jws.extract_compact(token.encode()).payload)
    return found


async def chain(endpoint: Endpoint, *names: str) -> list[tuple[Agent, str]]:
    """Agents of whom each may act with the tokens of the one before."""
    made: list[tuple[Agent, str]] = []
    for name in reversed(names):
        may_act = (made[0][0].id,) if made else ()
        made.insert(0, await new_agent(endpoint, name, may_act=may_act, **OPERATOR))
    return made


async def is_good(endpoint: Endpoint, token: str) -> bool:
    try:
        await endpoint.verifier.verify(token, CRM_RESOURCE)
    except InvalidToken:
        return False
    return True


async def end(endpoint: Endpoint, thing: str) -> None:
    def write(tx: Tx) -> None:
        endpoint.rooms.revocations.end(tx, thing, endpoint.rooms.clock.seconds() + 3_600)

    await endpoint.rooms.transactions.change(write)


def exchange_grant(endpoint: Endpoint) -> Any:
    return make_grants(endpoint.oauth)[EXCHANGE]
