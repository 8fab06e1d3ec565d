"""What is in flight, by agent: whatever outlives a suspension is cut (rule 3 of the spine)."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

import structlog

from accredit.agents.model import Agent, AgentStatus
from accredit.errors import Error
from accredit.gateway.lifeline import AGENT_ENDED, SERVER_STOPPING, Lifeline

_log = structlog.get_logger("accredit.gateway")


class LiveStreams:
    """Knows every request and stream that is open. `fresh` reads an agent as it is now."""

    def __init__(self, fresh: Callable[[str], Awaitable[Agent | None]]) -> None:
        self._fresh = fresh
        self._open: defaultdict[str, set[Lifeline]] = defaultdict(set)
        self._checks: set[asyncio.Task[None]] = set()

    def add(self, agent_id: str, lifeline: Lifeline) -> None:
        """A request of this agent begins."""
        self._open[agent_id].add(lifeline)

    def remove(self, agent_id: str, lifeline: Lifeline) -> None:
        """It ended."""
        mine = self._open[agent_id]
        mine.discard(lifeline)
        if not mine:
            del self._open[agent_id]

    def count(self, agent_id: str) -> int:
        """How many are open for an agent."""
        return len(self._open.get(agent_id, ()))

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
        for lifeline in list(self._open.get(agent_id, ())):
            if agent is None or agent.status is not AgentStatus.ACTIVE or agent.epoch != lifeline.epoch:
                lifeline.cut(AGENT_ENDED)
