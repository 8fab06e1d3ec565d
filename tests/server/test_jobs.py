"""Background jobs: one bad turn does not end a job, and a stop ends them all."""

import asyncio

from accredit.errors import Unavailable
from accredit.workers import Job, Workers


def test_a_job_that_fails_or_hangs_is_tried_again_and_the_stop_leaves_no_task() -> None:
    async def act() -> None:
        turns: list[str] = []
        enough = asyncio.Event()

        async def run() -> None:
            turns.append("turn")
            if len(turns) == 1:
                raise Unavailable("no database")
            if len(turns) == 2:
                await asyncio.sleep(3600)
            if len(turns) == 5:
                enough.set()

        workers = Workers((Job(name="test", period_seconds=0.001, limit_seconds=0.05, run=run),))
        workers.start()
        async with asyncio.timeout(20):
            await enough.wait()
        await workers.stop()

        count = len(turns)
        await asyncio.sleep(0.02)
        assert len(turns) == count
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("accredit-")] == []

    asyncio.run(act())
