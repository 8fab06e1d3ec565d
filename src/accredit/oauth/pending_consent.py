"""Asking a person about a request that came from elsewhere: a device's (RFC 8628 §3.3), or one made to them (CIBA §8).

An answer is one transaction: the delegation, the answer that the client polls for, their events, and the ping.
"""

from accredit.agents.model import Agent, AgentStatus
from accredit.agents.registry import Agents
from accredit.audit.event import AuditEvent
from accredit.audit.group import record
from accredit.canonical import base64url, from_base64url
from accredit.clock import Clock, rfc3339
from accredit.delegations.consent import Asked, AskedScope, Choice, Waiting
from accredit.delegations.model import Delegation
from accredit.delegations.register import Delegations
from accredit.errors import InputRefused, NotFound
from accredit.ids import EventId, FamilyId, NewId
from accredit.oauth.asking import as_client
from accredit.oauth.backchannel_authentication import Pings
from accredit.oauth.clients import Client
from accredit.oauth.consent import offered_operations, offered_times, take_choice
from accredit.oauth.errors import InvalidScope
from accredit.oauth.pending import PendingAuthorization, PendingAuthorizations, shown_user_code
from accredit.oauth.resources import ACCREDIT
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.scopes import cut_delegated, delegable_scopes, expected_evidence, person_scopes
from accredit.oauth.store import insert_session_client
from accredit.people.model import Session
from accredit.policy.decide import Policy
from accredit.settings import Settings
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx
from accredit.systems.model import System
from accredit.systems.registry import Systems
from accredit.tokens.refresh import RefreshFamily

_NEXT = "have the device or the agent begin anew"


class PendingConsents:
    """What the console asks of the authorization server; `console.view.PendingConsents` says how."""

    def __init__(
        self,
        *,
        pending: PendingAuthorizations,
        agents: Agents,
        systems: Systems,
        delegations: Delegations,
        policy: Policy,
        pings: Pings,
        transactions: Transactions,
        settings: Settings,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._pending = pending
        self._agents = agents
        self._systems = systems
        self._delegations = delegations
        self._policy = policy
        self._pings = pings
        self._transactions = transactions
        self._longest = settings.delegation_seconds
        self._clock = clock
        self._new_id = new_id

    async def of_user_code(self, user_code: str) -> str | None:
        """The reference of the device request that waits under a code. Raises Unavailable."""
        one = await self._pending.by_user_code(user_code)
        return None if one is None else base64url(one.key)

    async def waiting(self, session: Session) -> list[Waiting]:
        """What agents ask of this person now, the newest first. Raises Unavailable."""
        found = []
        for one in await self._pending.of_person(session.person.id):
            agent = await self._agents.get(one.agent)
            if agent is not None and agent.status is AgentStatus.ACTIVE:
                found.append(_waiting(one, as_client(agent)))
        return found

    async def count(self, session: Session) -> int:
        """How many requests wait for this person. Raises Unavailable."""
        return await self._pending.count_of_person(session.person.id)

    async def show(self, reference: str, session: Session) -> tuple[Waiting, Asked]:
        """What a person is asked. Raises NotFound if it is not theirs to answer, or was answered; Unavailable."""
        one = await self._find(reference, session)
        agent, system = await self._parties(one)
        client = as_client(agent)
        try:
            offered = self._offered(one, agent, system, session)
        except InvalidScope:
            # The person is shown that there is nothing, and can say no.
            offered = ()
        asked = Asked(
            identity=agent.id,
            name=client.name,
            # Who comes by a metadata document was vouched for by nobody here, however it asks.
            host=client.host,
            owner=None if client.host is not None else agent.owner_email,
            redirect_uri="",
            system=system,
            scopes=tuple(
                AskedScope(scope=scope, operations=offered_operations(system, one.request.details, scope))
                for scope in offered
            ),
            details=one.request.details,
            choices=offered_times(self._longest),
            may_remember=False,
            person_may=bool(person_scopes(self._policy, session.person, system, expected_evidence(session))),
        )
        return _waiting(one, client), asked

    async def approve(self, reference: str, session: Session, choice: Choice) -> None:
        """Let the agent act. Raises NotFound, Conflict, InputRefused for a choice that was not offered; Unavailable."""
        one = await self._find(reference, session)
        agent, system = await self._parties(one)
        try:
            offered = self._offered(one, agent, system, session)
        except InvalidScope as error:
            raise InputRefused(error.explanation, next_step="refuse it, or ask an administrator for a role") from error
        scopes = take_choice(offered, offered_times(self._longest), choice)
        now, ping = self._clock.seconds(), self._pending.ping_of(one)
        delegation = Delegation(
            id=self._delegations.new_id(),
            person=session.person.id,
            agent=agent.id,
            system=system.name,
            audience=one.request.resource,
            scopes=scopes,
            details=one.request.details,
            remembered=False,
            created_at=now,
            expires_at=now + choice.seconds,
        )
        family = RefreshFamily(
            id=FamilyId(self._new_id("rfm")),
            generation=0,
            agent=agent.id,
            epoch=agent.epoch,
            person=session.person.id,
            delegation=delegation.id,
            audience=one.request.resource,
            scopes=scopes,
            expires_at=min(delegation.expires_at, now + agent.max_session_seconds),
            details=one.request.details,
            session=session.id,
            acr=session.acr,
            amr=session.amr,
            auth_time=session.auth_time,
        )

        def write(tx: Tx) -> None:
            self._pending.answer(tx, one, session.person.id, family)
            self._delegations.make(tx, delegation, agent, session, session.authentication)
            if "openid" in scopes:
                # Its ID token will name the session: it hears of its end.
                insert_session_client(tx.connection, session.id, agent.id)
            self._pings.put(tx, agent, ping)

        await self._transactions.change(write)

    async def refuse(self, reference: str, session: Session) -> None:
        """Say no. Raises NotFound, Conflict, Unavailable."""
        one = await self._find(reference, session)
        agent, system = await self._parties(one)
        ping = self._pending.ping_of(one)

        def write(tx: Tx) -> None:
            self._pending.answer(tx, one, session.person.id, None)
            event = AuditEvent(
                id=EventId(self._new_id("evt")),
                time=rfc3339(self._clock.seconds()),
                type="delegation.refused",
                action="delegation.refused",
                agent=agent.id,
                agent_name=agent.name,
                authentication=session.authentication,
                session=session.id,
                person=session.person.id,
                system=system.name,
                resource=one.request.resource,
                reason="the person said no",
                outcome="refused",
            )
            record(tx, event)
            self._pings.put(tx, agent, ping)

        await self._transactions.change(write)

    async def _find(self, reference: str, session: Session) -> PendingAuthorization:
        try:
            one = await self._pending.get(from_base64url(reference))
        except InputRefused as error:
            raise _gone() from error
        if one is None or one.status != "pending" or one.expires_at <= self._clock.seconds():
            raise _gone()
        # A device's request is for whoever holds its code; one made to a person is theirs alone.
        if one.kind == "ciba" and one.person != session.person.id:
            raise _gone()
        return one

    async def _parties(self, one: PendingAuthorization) -> tuple[Agent, System]:
        agent = await self._agents.get(one.agent)
        system = ACCREDIT if one.request.system == ACCREDIT.name else self._systems.get(one.request.system)
        if agent is None or agent.status is not AgentStatus.ACTIVE or system is None:
            raise _gone()
        return agent, system

    def _offered(self, one: PendingAuthorization, agent: Agent, system: System, session: Session) -> tuple[str, ...]:
        evidence = expected_evidence(session)
        return cut_delegated(one.request.scope, delegable_scopes(self._policy, agent, session.person, system, evidence))


def _waiting(one: PendingAuthorization, client: Client) -> Waiting:
    return Waiting(
        reference=base64url(one.key),
        identity=one.agent,
        name=client.name,
        message=one.request.binding_message,
        created_at=one.created_at,
        expires_at=one.expires_at,
        user_code=None if one.user_code is None else shown_user_code(one.user_code),
    )


def _gone() -> NotFound:
    return NotFound("there is no such request, or it was answered", next_step=_NEXT)


def open_pending_consent(rooms: OAuthRooms) -> PendingConsents:
    """As the server is wired."""
    return PendingConsents(
        pending=rooms.pending,
        agents=rooms.agents,
        systems=rooms.systems,
        delegations=rooms.delegations,
        policy=rooms.policy,
        pings=Pings(rooms.outbox, rooms.guarded),
        transactions=rooms.transactions,
        settings=rooms.settings,
        clock=rooms.clock,
        new_id=rooms.new_id,
    )
