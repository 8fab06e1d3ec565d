"""What people have let agents do: seen, and ended, from the person's side and from the agent's."""

from typing import Annotated

import msgspec

from accredit.agents.registry import Agents
from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.clock import rfc3339
from accredit.delegations.model import ActionDetails, Delegation
from accredit.delegations.register import Delegations
from accredit.people.directory import People


class DelegationView(msgspec.Struct, frozen=True, kw_only=True):
    """What a person lets an agent do, and until when. `audience` is the one resource that it holds for.

    `details` narrows the scopes to single actions. `agent_name` is null for an agent that is not there any more.
    """

    id: str
    person: str
    email: str | None
    agent: str
    agent_name: str | None
    system: str
    audience: str
    scopes: tuple[str, ...]
    details: tuple[ActionDetails, ...]
    remembered: bool
    created_at: str
    expires_at: str


class DelegationList(msgspec.Struct, frozen=True, kw_only=True):
    """Those that hold now, the newest first."""

    delegations: tuple[DelegationView, ...]


class DelegationLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many, the newest first."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class DelegationEndpoints:
    """What can be done with delegations. A person is named by id or address, an agent by id or name."""

    def __init__(self, delegations: Delegations, people: People, agents: Agents) -> None:
        self._delegations = delegations
        self._people = people
        self._agents = agents

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        of_person, of_agent = "/api/v1/people/{person}/delegations", "/api/v1/agents/{agent}/delegations"
        return (
            Endpoint(
                method="GET",
                path=of_person,
                summary="List what a person lets agents do",
                act=self._delegations_of_person,
                body=Nothing,
                query=Nothing,
                answer=DelegationList,
            ),
            Endpoint(
                method="DELETE",
                path=f"{of_person}/{{delegation}}",
                summary="End what a person lets an agent do, with every token that came of it",
                act=self._end_for_person,
                body=Nothing,
                query=Nothing,
                answer=None,
                status=204,
            ),
            Endpoint(
                method="GET",
                path=of_agent,
                summary="List for whom an agent may act",
                act=self._delegations_to_agent,
                body=Nothing,
                query=DelegationLimit,
                answer=DelegationList,
            ),
            Endpoint(
                method="DELETE",
                path=f"{of_agent}/{{delegation}}",
                summary="End what was delegated to an agent, with every token that came of it",
                act=self._end_for_agent,
                body=Nothing,
                query=Nothing,
                answer=None,
                status=204,
            ),
        )

    async def _delegations_of_person(self, call: Call[Nothing, Nothing]) -> DelegationList:
        person = await self._people.named(call.path["person"])
        return await self._shown(await self._delegations.of_person(person.id))

    async def _end_for_person(self, call: Call[Nothing, Nothing]) -> None:
        person = await self._people.named(call.path["person"])
        await self._delegations.end_for(person.id, call.path["delegation"], call.actor)

    async def _delegations_to_agent(self, call: Call[Nothing, DelegationLimit]) -> DelegationList:
        agent = await self._agents.named(call.path["agent"])
        return await self._shown(await self._delegations.of_agent(agent.id, call.query.limit))

    async def _end_for_agent(self, call: Call[Nothing, Nothing]) -> None:
        agent = await self._agents.named(call.path["agent"])
        await self._delegations.end_for(agent.id, call.path["delegation"], call.actor)

    async def _shown(self, found: list[Delegation]) -> DelegationList:
        return DelegationList(delegations=tuple([await self._view(one) for one in found]))

    async def _view(self, one: Delegation) -> DelegationView:
        person, agent = await self._people.get(one.person), await self._agents.get(one.agent)
        return DelegationView(
            id=one.id,
            person=one.person,
            email=None if person is None else person.email,
            agent=one.agent,
            agent_name=None if agent is None else agent.name,
            system=one.system,
            audience=one.audience,
            scopes=one.scopes,
            details=one.details,
            remembered=one.remembered,
            created_at=rfc3339(one.created_at),
            expires_at=rfc3339(one.expires_at),
        )
