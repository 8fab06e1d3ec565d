"""Rule 3 of the spine: when a permit's commit shows a newer change, decide again before the effect."""

from accredit.agents.model import AgentStatus
from accredit.agents.registry import Agents
from accredit.agents.revocations import Revocations
from accredit.people.directory import People
from accredit.policy.decide import Policy
from accredit.policy.permit import Decision, Permit
from accredit.policy.request import Evidence
from accredit.storage.feed import Feed
from accredit.storage.schema import Recorded


class Settlement:
    """Waits until a permit is on record, and until nothing newer speaks against it."""

    def __init__(self, policy: Policy, agents: Agents, people: People, revocations: Revocations, feed: Feed) -> None:
        self._policy = policy
        self._people = people
        self._agents = agents
        self._revocations = revocations
        self._feed = feed

    async def settle(self, permit: Permit) -> tuple[Recorded, Decision]:
        """The record of the decision that holds now: the same permit, or the refusal that took its place.

        Raises UsedBefore, and Unavailable if the log cannot be written or the state cannot be known.
        """
        recorded = await permit.ruling.recorded
        if recorded.change <= permit.ruling.change:
            return recorded, permit
        await self._feed.catch_up(recorded.change)
        request = permit.ruling.request
        agent = await self._agents.get(request.agent.id)
        # Rights that the person has lost meanwhile count too.
        person = None if request.person is None else await self._people.get(request.person.id)
        ended = await self._has_ended(request.evidence)
        decision = self._policy.again(permit, agent, person=person, ended=ended)
        if isinstance(decision, Permit):
            return recorded, decision
        return await decision.ruling.recorded, decision

    async def _has_ended(self, evidence: Evidence) -> bool:
        if evidence.lineage and await self._revocations.is_ended(evidence.lineage):
            return True
        for actor in evidence.actors:
            agent = await self._agents.get(actor.agent)
            if agent is None or agent.status is not AgentStatus.ACTIVE or agent.epoch != actor.epoch:
                return True
        return False
