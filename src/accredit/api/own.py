"""`/api/v1/self`: what an agent may know of itself, and of what a person lets it do."""

import asyncio
from typing import Annotated

import msgspec

from accredit.agents.model import Agent, AgentStatus, CredentialKind
from accredit.api.audit import EventJson, Seq
from accredit.api.own_endpoint import AgentToken, AnyOwnEndpoint, LacksScope, OwnCall, OwnEndpoint
from accredit.api.parsing import Nothing
from accredit.audit.reading import PAGE_LIMIT, AuditLog, LoggedEvent
from accredit.clock import rfc3339
from accredit.delegations.model import ActionDetails, Delegation
from accredit.delegations.register import Delegations
from accredit.ids import PersonId
from accredit.people.directory import People
from accredit.policy.decide import Policy
from accredit.systems.model import Effect, Operation, System
from accredit.systems.registry import Systems

READ_SELF = "agent:read"
READ_DELEGATIONS = "user:delegate:read"


class OwnCredential(msgspec.Struct, frozen=True, kw_only=True):
    """That there is a credential, and whether it still holds; nothing of what it is made of."""

    id: str
    kind: CredentialKind
    created_at: str
    revoked_at: str | None


class OwnRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The agent that asks, as it is now. `owner` is an e-mail address."""

    id: str
    client_id: str
    name: str
    owner: str
    type: str
    roles: tuple[str, ...]
    systems: tuple[str, ...]
    capability_level: int
    status: AgentStatus
    max_session_seconds: int
    created_at: str
    credentials: tuple[OwnCredential, ...]


class OwnPermit(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that some arguments would be permitted for. `sensitivity` is 0 to 4; `scope` what a token needs."""

    system: str
    action: str
    effect: Effect
    sensitivity: int
    scope: str


class OwnPermits(msgspec.Struct, frozen=True, kw_only=True):
    """What policy could permit now, at once or after an approval, on the systems that are allowed."""

    permits: tuple[OwnPermit, ...]


class OwnEventPage(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's own events, newest first, among 1,000 of the log.

    `next` is the `before` that goes on from here, null at the log's beginning. A page without events may have one.
    """

    events: tuple[EventJson, ...]
    next: int | None


class OwnEventQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page: the events before a number, or the newest."""

    before: Seq | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_LIMIT)] = 100


class OwnDelegation(msgspec.Struct, frozen=True, kw_only=True):
    """What the person lets this agent do on one system. `details` narrows the scopes to single actions."""

    id: str
    system: str
    scopes: tuple[str, ...]
    details: tuple[ActionDetails, ...]
    expires_at: str


class OwnDelegations(msgspec.Struct, frozen=True, kw_only=True):
    """Those that hold now, the newest first."""

    delegations: tuple[OwnDelegation, ...]


class OwnEndpoints:
    """What an agent can ask of itself, with `token`."""

    def __init__(
        self,
        token: AgentToken,
        systems: Systems,
        policy: Policy,
        log: AuditLog,
        people: People,
        delegations: Delegations,
    ) -> None:
        self.token = token
        self._systems = systems
        self._policy = policy
        self._log = log
        self._people = people
        self._delegations = delegations

    def endpoints(self) -> tuple[AnyOwnEndpoint, ...]:
        """The rows of the table."""
        return (
            OwnEndpoint(
                path="/api/v1/self",
                summary="Show the agent that asks",
                scope=READ_SELF,
                act=self._show,
                query=Nothing,
                answer=OwnRecord,
            ),
            OwnEndpoint(
                path="/api/v1/self/permits",
                summary="List what policy could permit to the agent that asks",
                scope=READ_SELF,
                act=self._permits,
                query=Nothing,
                answer=OwnPermits,
            ),
            OwnEndpoint(
                path="/api/v1/self/events",
                summary="Read the events of the agent that asks",
                scope=READ_SELF,
                act=self._events,
                query=OwnEventQuery,
                answer=OwnEventPage,
            ),
            OwnEndpoint(
                path="/api/v1/self/delegations",
                summary="List what the person whom the token is for lets the agent that asks do",
                scope=READ_DELEGATIONS,
                act=self._delegated,
                query=Nothing,
                answer=OwnDelegations,
            ),
        )

    async def _show(self, call: OwnCall[Nothing]) -> OwnRecord:
        return _record(call.caller.agent)

    async def _permits(self, call: OwnCall[Nothing]) -> OwnPermits:
        agent, evidence = call.caller.agent, call.caller.evidence
        found: list[OwnPermit] = []
        for name in sorted(agent.systems):
            system = self._systems.get(name)
            if system is None:
                continue
            found += [
                _permit(system, one)
                for one in system.operations
                if self._policy.could_permit(agent, system, one, evidence=evidence)
            ]
            # Policies are evaluated on the event loop: others have their turn between two systems.
            await asyncio.sleep(0)
        return OwnPermits(permits=tuple(found))

    async def _events(self, call: OwnCall[OwnEventQuery]) -> OwnEventPage:
        before, limit = call.query.before, call.query.limit
        looked_at = await (self._log.latest(PAGE_LIMIT) if before is None else self._log.before(before, PAGE_LIMIT))
        # Of an event whose body was removed nobody can say whose it was.
        own = [one for one in looked_at if isinstance(one, LoggedEvent) and one.event.agent == call.caller.agent.id]
        shown = own[:limit]
        last = shown[-1] if len(own) > limit else looked_at[-1] if looked_at else None
        return OwnEventPage(
            events=tuple(msgspec.Raw(one.json()) for one in shown),
            next=last.seq if last is not None and last.seq > 0 else None,
        )

    async def _delegated(self, call: OwnCall[Nothing]) -> OwnDelegations:
        named = call.caller.evidence.person
        person = None if named is None else await self._people.get(PersonId(named))
        if person is None:
            raise LacksScope.of(call.caller, READ_DELEGATIONS)
        found = await self._delegations.between(person.id, call.caller.agent.id)
        return OwnDelegations(delegations=tuple(_delegation(one) for one in found))


def _record(agent: Agent) -> OwnRecord:
    return OwnRecord(
        id=agent.id,
        client_id=agent.client_id,
        name=agent.name,
        owner=agent.owner_email,
        type=agent.type,
        roles=agent.roles,
        systems=agent.systems,
        capability_level=agent.capability_level,
        status=agent.status,
        max_session_seconds=agent.max_session_seconds,
        created_at=rfc3339(agent.created_at),
        credentials=tuple(
            OwnCredential(
                id=one.id,
                kind=one.kind,
                created_at=rfc3339(one.created_at),
                revoked_at=None if one.revoked_at is None else rfc3339(one.revoked_at),
            )
            for one in agent.credentials
        ),
    )


def _permit(system: System, operation: Operation) -> OwnPermit:
    return OwnPermit(
        system=system.name,
        action=operation.action,
        effect=operation.effect,
        sensitivity=operation.sensitivity,
        scope=operation.scope,
    )


def _delegation(one: Delegation) -> OwnDelegation:
    return OwnDelegation(
        id=one.id, system=one.system, scopes=one.scopes, details=one.details, expires_at=rfc3339(one.expires_at)
    )
