"""Lets an answer go, or a write be sent: once its event is durable and its permit still holds (rules 2 and 3)."""

import asyncio

from accredit.gateway.protocol import Stamp
from accredit.policy.permit import Permit, Refusal, StepUp
from accredit.policy.request import Evidence
from accredit.policy.settle import Settlement


class Withdrawn(Exception):
    """The permit does not hold any more: the decision was taken again before its effect, and is another."""

    def __init__(self, decision: Refusal | StepUp, stamp: Stamp) -> None:
        super().__init__(decision.reason)
        self.decision = decision
        self.stamp = stamp


class Settled:
    """Called before the effect; asked twice, it waits once."""

    __slots__ = ("_permit", "_settlement", "_stamp")

    def __init__(self, settlement: Settlement, permit: Permit) -> None:
        self._settlement = settlement
        self._permit = permit
        self._stamp: Stamp | None = None

    @property
    def evidence(self) -> Evidence:
        """How the caller proved who it is, as it was decided on."""
        return self._permit.ruling.request.evidence

    @property
    def permit(self) -> Permit:
        """What the call is made with."""
        return self._permit

    async def __call__(self) -> Stamp:
        """Wait, and say what the record is. Raises Withdrawn, Unavailable."""
        if self._stamp is None:
            # A request that is cut while it waits must not cancel the future: the answer to it waits for it again.
            await asyncio.shield(self._permit.ruling.recorded)
            recorded, decision = await self._settlement.settle(self._permit)
            stamp = Stamp(recorded.seq, decision.ruling.policies)
            if not isinstance(decision, Permit):
                raise Withdrawn(decision, stamp)
            self._stamp = stamp
        return self._stamp
