"""Appends events with many tasks and prints the number of each when it is durable, until it is killed.

Run by `test_log_survives_kill.py` with the data folder as its argument.
"""

import asyncio
import os
import sys
from pathlib import Path

from tests.audit.logs import RunningLog, an_event, open_log

TASKS = 24


async def append(log: RunningLog) -> None:
    while True:
        recorded = await log.group.add(an_event())
        # One write call a line, so that a kill cannot leave half of one.
        os.write(1, f"{recorded.seq}\n".encode())


async def advance(log: RunningLog) -> None:
    while True:
        await log.sequencer.advance()
        await asyncio.sleep(0.01)


async def main(folder: Path) -> None:
    async with open_log(folder) as log:
        await log.sequencer.start()
        os.write(1, b"started\n")
        await asyncio.gather(advance(log), *[append(log) for _ in range(TASKS)])


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
