"""A process that writes the log is killed at random moments: nothing that it acknowledged is lost."""

import random
import subprocess
import sys
import time
from pathlib import Path

from accredit.audit.fsck import verify_data
from tests.audit.logs import with_log

ROUNDS = 4
PROJECT = Path(__file__).parents[2]


def test_kill_9_loses_no_event_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random()
    acknowledged: set[int] = set()

    for _ in range(ROUNDS):
        acknowledged |= append_and_kill(tmp_path, chance.uniform(0.01, 0.3))

        # Whatever the kill left, nothing contradicts what was published …
        before = verify_data(tmp_path)
        assert max(acknowledged) < before.events
        # … and the next start makes the rest good.
        with_log(tmp_path, lambda log: log.sequencer.advance())
        after = verify_data(tmp_path)
        assert (after.events, after.uncovered) == (before.events, 0)

    assert len(acknowledged) > ROUNDS


def append_and_kill(folder: Path, seconds: float) -> set[int]:
    """Let a process append until it is killed; returns the numbers that it printed."""
    command = [sys.executable, "-m", "tests.faults.append_until_killed", str(folder)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        time.sleep(seconds)
        process.kill()
        return {int(line) for line in process.stdout.read().splitlines()}
