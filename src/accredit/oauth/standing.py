"""Whether what a token would come of still stands, looked at just before the decision (rule 3 of the spine).

A request that waits for the database lets the change feed go on: a decision that is taken then knows of changes that
what was checked before did not know of, and would not be taken again.
"""

from collections.abc import Iterable

from accredit.agents.model import Agent, AgentStatus
from accredit.agents.registry import Agents
from accredit.agents.revocations import Revocations
from accredit.policy.request import EarlierActor

_TRIES = 3


class Standing:
    """Looks at agents and at what was ended."""

    def __init__(self, agents: Agents, revocations: Revocations) -> None:
        self._agents = agents
        self._revocations = revocations

    async def holds(self, actors: Iterable[EarlierActor], lineage: Iterable[str]) -> bool:
        """Whether every agent is of the epoch that it had, and nothing of this was ended.

        It waits only for agents that are not in memory, and looks at all again then. Raises Unavailable.
        """
        wanted = tuple(actors)
        for _ in range(_TRIES):
            known = [self._agents.peek(actor.agent) for actor in wanted]
            if None not in known:
                break
            known = [await self._agents.get(actor.agent) for actor in wanted]
            if not _stand(known, wanted):
                return False
        return _stand(known, wanted) and not self._revocations.is_known_ended(lineage)


def _stand(known: list[Agent | None], wanted: tuple[EarlierActor, ...]) -> bool:
    return all(
        agent is not None and agent.status is AgentStatus.ACTIVE and agent.epoch == actor.epoch
        for agent, actor in zip(known, wanted, strict=True)
    )
