"""Ends a refresh family, and with it every token that came of it (RFC 9700 §4.14.2)."""

from accredit.agents.model import Agent
from accredit.agents.revocations import Revocations
from accredit.audit.event import AuditEvent
from accredit.audit.group import record
from accredit.clock import Clock, rfc3339
from accredit.delegations.register import Delegations
from accredit.ids import EventId, NewId
from accredit.oauth.rooms import OAuthRooms
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx
from accredit.tokens.refresh import RefreshFamily


class Families:
    """Each end is one transaction with its event."""

    def __init__(
        self,
        transactions: Transactions,
        revocations: Revocations,
        delegations: Delegations,
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._transactions = transactions
        self._revocations = revocations
        self._delegations = delegations
        self._clock = clock
        self._new_id = new_id

    async def end(self, family: RefreshFamily, agent: Agent, reason: str, *, with_delegation: bool = False) -> None:
        """End a family of an agent; `with_delegation`: what the person gave for it too. Raises Unavailable."""
        delegation = await self._delegations.get(family.delegation) if with_delegation else None

        def write(tx: Tx) -> None:
            self._revocations.end(tx, family.id, family.expires_at)
            if delegation is not None:
                self._delegations.end_in(tx, delegation, None, "reuse")
            event = AuditEvent(
                id=EventId(self._new_id("evt")),
                time=rfc3339(self._clock.seconds()),
                type="token_family.ended",
                action="token_family.ended",
                agent=agent.id,
                agent_name=agent.name,
                person=family.person,
                delegation=family.delegation,
                session=family.session,
                resource=family.id,
                reason=reason,
                outcome="ok",
            )
            record(tx, event)

        await self._transactions.change(write)


def open_families(rooms: OAuthRooms) -> Families:
    """As the server is wired."""
    return Families(rooms.transactions, rooms.revocations, rooms.delegations, rooms.clock, rooms.new_id)
