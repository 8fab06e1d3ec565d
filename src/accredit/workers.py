"""The background jobs of a process: each is a task that is owned here, named, and stopped at shutdown."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from accredit.errors import Error

END_STREAMS_SIGNAL = signal.SIGUSR1
"""Sent by the server to its worker processes when it stops, before they wait for what is in flight."""

_log = structlog.get_logger("accredit.workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something done again and again. One that takes longer than `limit_seconds` is given up until next time."""

    name: str
    period_seconds: float
    limit_seconds: float
    run: Callable[[], Awaitable[None]]


class Workers:
    """Runs jobs until it is stopped. A job that fails is logged and tried again after its period."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every job's task."""
        self._tasks = [asyncio.create_task(_repeat(job), name=f"accredit-{job.name}") for job in self._jobs]

    async def stop(self) -> None:
        """Cancel every task and wait until it is gone."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _repeat(job: Job) -> None:
    failing = False
    while True:
        try:
            async with asyncio.timeout(job.limit_seconds):
                await job.run()
        except Exception as error:  # noqa: BLE001  # one bad turn must not end the job; it is told once, and when over
            if not failing:
                detail = error.explanation if isinstance(error, Error) else repr(error)
                _log.error("job failed", job=job.name, error=detail)
            failing = True
        else:
            if failing:
                _log.info("job works again", job=job.name)
            failing = False
        await asyncio.sleep(job.period_seconds)
