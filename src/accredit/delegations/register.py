"""The register of delegations: made with a person's consent, ended by them, and with it all that came of it."""

from collections.abc import Collection

from accredit.agents.model import Agent
from accredit.agents.revocations import Revocations
from accredit.audit.event import Actor, AuditEvent
from accredit.audit.group import record
from accredit.clock import Clock, rfc3339
from accredit.delegations.model import Delegation
from accredit.delegations.store import (
    count_living,
    end_delegation,
    insert_delegation,
    load_delegation,
    load_living,
    load_living_of_agent,
    load_living_of_person,
)
from accredit.errors import NotFound
from accredit.ids import AgentId, DelegationId, EventId, NewId, PersonId
from accredit.people.model import Session
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx


class Delegations:
    """Delegations by person. Each change is one transaction with its event."""

    def __init__(self, transactions: Transactions, revocations: Revocations, clock: Clock, new_id: NewId) -> None:
        self._transactions = transactions
        self._revocations = revocations
        self._clock = clock
        self._new_id = new_id

    async def get(self, delegation: str) -> Delegation | None:
        """One delegation, whether it holds or not. Raises Unavailable."""
        return await self._transactions.read(lambda c: load_delegation(c, delegation))

    async def of_person(self, person: PersonId) -> list[Delegation]:
        """What a person has delegated and what holds now. Raises Unavailable."""
        now = self._clock.seconds()
        return await self._transactions.read(lambda c: load_living_of_person(c, person, now))

    async def between(self, person: PersonId, agent: AgentId) -> list[Delegation]:
        """What a person has delegated to one agent and what holds now. Raises Unavailable."""
        now = self._clock.seconds()
        return await self._transactions.read(lambda c: load_living(c, person, agent, now))

    async def of_agent(self, agent: AgentId, limit: int) -> list[Delegation]:
        """What was delegated to an agent and what holds now, the newest `limit` of it. Raises Unavailable."""
        now = self._clock.seconds()
        return await self._transactions.read(lambda c: load_living_of_agent(c, agent, now, limit))

    async def count(self, people: Collection[PersonId]) -> dict[PersonId, int]:
        """How many delegations of these people hold now; one who has none is left out. Raises Unavailable."""
        now = self._clock.seconds()
        return await self._transactions.read(lambda c: count_living(c, people, now))

    def make(self, tx: Tx, delegation: Delegation, agent: Agent, session: Session | None, authentication: str) -> None:
        """Write a delegation and its event in the caller's transaction. `authentication`: how the person proved it."""
        insert_delegation(tx.connection, delegation)
        self._record(tx, "delegation.created", delegation, agent.name, session, authentication)

    async def end(self, person: PersonId, delegation_id: str, session: Session) -> None:
        """End one's own delegation, and every token and refresh chain that came of it. Raises NotFound, Unavailable."""

        def write(tx: Tx) -> None:
            found = load_delegation(tx.connection, delegation_id)
            if found is None or found.person != person:
                raise NotFound("there is no such delegation", next_step="the page shows those that hold")
            self.end_in(tx, found, session, session.authentication)

        await self._transactions.change(write)

    async def end_for(self, holder: PersonId | AgentId, delegation_id: str, actor: Actor) -> None:
        """End what this person delegated, or what was delegated to this agent, by an administrator's word.

        One that ended before stays so. Raises NotFound, Unavailable.
        """

        def write(tx: Tx) -> None:
            found = load_delegation(tx.connection, delegation_id)
            if found is None or holder not in (found.person, found.agent):
                raise NotFound("there is no such delegation", next_step="the list shows those that hold")
            self.end_in(tx, found, None, actor.authentication, by=actor)

        await self._transactions.change(write)

    def end_in(
        self,
        tx: Tx,
        delegation: Delegation,
        session: Session | None,
        authentication: str,
        by: Actor | None = None,
    ) -> None:
        """End a delegation in the caller's transaction; one that ended before stays so, without a second event.

        `by` is the administrator who ended it; the event is the person's all the same.
        """
        if end_delegation(tx.connection, delegation.id, self._clock.seconds()):
            self._revocations.end(tx, delegation.id, delegation.expires_at)
            self._record(tx, "delegation.ended", delegation, None, session, authentication, by)

    def _record(
        self,
        tx: Tx,
        kind: str,
        one: Delegation,
        agent_name: str | None,
        session: Session | None,
        authentication: str,
        by: Actor | None = None,
    ) -> None:
        event = AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type=kind,
            agent=one.agent,
            agent_name=agent_name,
            authentication=authentication,
            session=None if session is None else session.id,
            person=one.person,
            action=kind,
            system=one.system,
            resource=one.audience,
            delegation=one.id,
            reason=" ".join(one.scopes) if by is None else f"ended by {by.person}: {' '.join(one.scopes)}",
            outcome="ok",
        )
        record(tx, event)

    def new_id(self) -> DelegationId:
        """An id for one that is to be made."""
        return DelegationId(self._new_id("dlg"))
