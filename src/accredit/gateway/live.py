"""What is in flight: whatever outlives what it came of is cut (rule 3 of the spine).

By agent, for those that act and those behind them; and by the ids of what can be revoked: a token, a delegation.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

import structlog

from accredit.agents.model import Agent, AgentStatus
from accredit.errors import Error
from accredit.gateway.lifeline import AGENT_ENDED, SERVER_STOPPING, TOKEN_ENDED, Lifeline
from accredit.tokens.model import Caller

_log = structlog.get_logger("accredit.gateway")


class LiveStreams:
    """Knows every request and stream that is open. `fresh` reads an agent as it is now."""

    def __init__(self, fresh: Callable[[str], Awaitable[Agent | None]]) -> None:
        self._fresh = fresh
        # The epoch under which each agent stands behind a request.
        self._open: defaultdict[str, dict[Lifeline, int]] = defaultdict(dict)
        self._by_lineage: defaultdict[str, set[Lifeline]] = defaultdict(set)
        self._checks: set[asyncio.Task[None]] = set()

    def add(self, caller: Caller, lifeline: Lifeline) -> None:
        """A request of this caller begins."""
        self._open[caller.agent.id][lifeline] = caller.epoch
        for actor in caller.evidence.actors:
            self._open[actor.agent][lifeline] = actor.epoch
        for thing in caller.evidence.lineage:
            self._by_lineage[thing].add(lifeline)

    def remove(self, caller: Caller, lifeline: Lifeline) -> None:
        """It ended."""
        evidence = caller.evidence
        for agent_id in (caller.agent.id, *(actor.agent for actor in evidence.actors)):
            behind = self._open.get(agent_id)
            if behind is not None:
                behind.pop(lifeline, None)
                if not behind:
                    del self._open[agent_id]
        for thing in evidence.lineage:
            of_thing = self._by_lineage.get(thing)
            if of_thing is not None:
                of_thing.discard(lifeline)
                if not of_thing:
                    del self._by_lineage[thing]

    def count(self, agent_id: str) -> int:
        """How many are open for an agent, and for those whom it stands behind."""
        return len(self._open.get(agent_id, ()))

    def end_revoked(self, subject: str) -> None:
        """The feed named a revocation (see `agents.revocations`): cut what came of it."""
        thing, _, _ = subject.rpartition(" ")
        for lifeline in tuple(self._by_lineage.get(thing, ())):
            lifeline.cut(TOKEN_ENDED)

    def end_stale(self, agent_id: str) -> None:
        """The feed named a change of this agent: cut what it holds from another epoch, or all if it is not active.

        Returns at once; the agent is read in a task of its own. If it cannot be read, everything is cut.
        """
        if agent_id not in self._open:
            return
        task = asyncio.get_running_loop().create_task(self._end_stale(agent_id))
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    def end_streams(self) -> None:
        """The server stops: end the streams that would not end by themselves; calls go on to their answers."""
        for lifelines in list(self._open.values()):
            for lifeline in list(lifelines):
                if lifeline.is_endless:
                    lifeline.cut(SERVER_STOPPING)

    async def _end_stale(self, agent_id: str) -> None:
        try:
            agent = await self._fresh(agent_id)
        except Error as error:
            _log.warning("streams cut: the agent's state is not known", agent=agent_id, detail=error.detail)
            agent = None
        for lifeline, epoch in list(self._open.get(agent_id, {}).items()):
            if agent is None or agent.status is not AgentStatus.ACTIVE or agent.epoch != epoch:
                lifeline.cut(AGENT_ENDED)
