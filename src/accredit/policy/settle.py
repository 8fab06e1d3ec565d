"""Rule 3 of the spine: when a permit's commit shows a newer change, decide again before the effect."""

from accredit.agents.registry import Agents
from accredit.policy.decide import Policy
from accredit.policy.permit import Decision, Permit
from accredit.storage.feed import Feed
from accredit.storage.schema import Recorded


class Settlement:
    """Waits until a permit is on record, and until nothing newer speaks against it."""

    def __init__(self, policy: Policy, agents: Agents, feed: Feed) -> None:
        self._policy = policy
        self._agents = agents
        self._feed = feed

    async def settle(self, permit: Permit) -> tuple[Recorded, Decision]:
        """The record of the decision that holds now: the same permit, or the refusal that took its place.

        Raises UsedBefore, and Unavailable if the log cannot be written or the state cannot be known.
        """
        recorded = await permit.ruling.recorded
        if recorded.change <= permit.ruling.change:
            return recorded, permit
        await self._feed.catch_up(recorded.change)
        agent = await self._agents.get(permit.ruling.request.agent.id)
        decision = self._policy.again(permit, agent)
        if isinstance(decision, Permit):
            return recorded, decision
        return await decision.ruling.recorded, decision
