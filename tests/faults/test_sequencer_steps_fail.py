"""Every step of the sequencer fails, or fails after it has happened; then it goes on, or the process begins again."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from accredit.audit.checkpoint import Checkpoint, VerifierKey, open_checkpoint, parse_vkey
from accredit.audit.errors import LogBroken, LogSetBack
from accredit.audit.fsck import verify_data
from accredit.audit.publishers.filesystem import FilesystemPublisher
from accredit.audit.sequencer import Sequencer
from accredit.clock import SystemClock
from accredit.errors import Unavailable
from accredit.storage.schema import Recorded
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx
from tests.audit.logs import SIGNER, RunningLog, open_log

T = TypeVar("T")

# Over the end of a tile, so that the second advance writes a full tile and removes a partial one.
FIRST, SECOND = 200, 300
START = ["name the log", "publish the keys", "publish the first checkpoint", "keep it"]
ADVANCE = ["store tiles, size and root", "publish tiles", "publish the checkpoint", "keep it"]
STEPS = [f"start: {step}" for step in START] + [f"advance {n}: {step}" for n in (1, 2) for step in ADVANCE]


class Fault:
    """Counts the writes of the sequencer, and lets one of them fail."""

    def __init__(self, at: int, *, happened: bool) -> None:
        self._left = at
        self._happened = happened
        self.writes = 0

    def before(self) -> None:
        self.writes += 1
        if self._left == 0 and not self._happened:
            self._fail()

    def after(self) -> None:
        if self._left == 0 and self._happened:
            self._fail()
        self._left -= 1

    def _fail(self) -> None:
        self._left = -1
        raise Unavailable("a fault was planted here")


class FaultyTransactions(Transactions):
    """Transactions whose changes go through a fault."""

    def __init__(self, real: Transactions, fault: Fault) -> None:
        self._real = real
        self._fault = fault

    async def read(self, query: Callable[..., T]) -> T:
        return await self._real.read(query)

    async def change(self, run: Callable[[Tx], T]) -> tuple[T, Recorded]:
        self._fault.before()
        result = await self._real.change(run)
        self._fault.after()
        return result


class FaultyPublisher(FilesystemPublisher):
    """A folder whose writes go through a fault."""

    def __init__(self, folder: Path, fault: Fault) -> None:
        super().__init__(folder)
        self._fault = fault

    async def add(self, files: Mapping[str, bytes]) -> None:
        self._fault.before()
        await super().add(files)
        self._fault.after()

    async def replace(self, path: str, data: bytes) -> None:
        self._fault.before()
        await super().replace(path, data)
        self._fault.after()


class WitnessedSigner:
    """The real signer, and a memory of every promise that was ever signed."""

    def __init__(self) -> None:
        self.signed: list[Checkpoint] = []

    def verifier_keys(self, origin: str) -> tuple[VerifierKey, ...]:
        return SIGNER.verifier_keys(origin)

    def sign(self, checkpoint: Checkpoint, seconds: int) -> str:
        self.signed.append(checkpoint)
        return SIGNER.sign(checkpoint, seconds)


def a_sequencer(log: RunningLog, fault: Fault, signer: WitnessedSigner) -> tuple[Sequencer, FaultyPublisher]:
    publisher = FaultyPublisher(log.folder / "log", fault)
    return Sequencer(FaultyTransactions(log.transactions, fault), signer, publisher, SystemClock()), publisher


async def grow(log: RunningLog, sequencer: Sequencer) -> None:
    """Append up to each size, and advance."""
    for size in (FIRST, SECOND):
        await log.append(max(0, size - await log.audit.count()))
        await sequencer.advance()


async def go_on(log: RunningLog, sequencer: Sequencer, *, started: bool) -> None:
    if not started:
        await sequencer.start()
    await grow(log, sequencer)


@pytest.mark.parametrize("again", ["the same process goes on", "a new process begins"])
@pytest.mark.parametrize("happened", [False, True], ids=["failed", "failed but happened"])
@pytest.mark.parametrize("step", range(len(STEPS)), ids=STEPS)
def test_a_failed_step_leaves_nothing_that_is_not_made_good(
    tmp_path: Path, step: int, happened: bool, again: str
) -> None:
    signer = WitnessedSigner()

    async def act() -> None:
        async with open_log(tmp_path) as log:
            sequencer, publisher = a_sequencer(log, Fault(step, happened=happened), signer)
            started = False
            with pytest.raises(Unavailable, match="planted"):
                await sequencer.start()
                started = True
                await grow(log, sequencer)

            if again == "a new process begins":
                await publisher.release()
                sequencer, publisher = a_sequencer(log, Fault(-1, happened=False), signer)
                started = False
            await go_on(log, sequencer, started=started)
            await publisher.release()

    asyncio.run(act())

    report = verify_data(tmp_path)
    assert (report.events, report.size, report.uncovered) == (SECOND, SECOND, 0)
    assert_no_two_promises_differ(signer.signed)


def test_the_steps_above_are_all_the_writes_that_there_are(tmp_path: Path) -> None:
    fault = Fault(-1, happened=False)

    async def act() -> None:
        async with open_log(tmp_path) as log:
            sequencer, publisher = a_sequencer(log, fault, WitnessedSigner())
            await go_on(log, sequencer, started=False)
            await publisher.release()

    asyncio.run(act())

    assert fault.writes == len(STEPS)


def test_after_a_step_that_failed_the_old_checkpoint_still_stands(tmp_path: Path) -> None:
    async def act() -> None:
        async with open_log(tmp_path) as log:
            fault = Fault(STEPS.index("advance 2: publish the checkpoint"), happened=False)
            sequencer, publisher = a_sequencer(log, fault, WitnessedSigner())
            with pytest.raises(Unavailable, match="planted"):
                await go_on(log, sequencer, started=False)

            note = (tmp_path / "log" / "checkpoint").read_text()
            keys = [parse_vkey(line) for line in sequencer.keys.splitlines()]
            assert open_checkpoint(note, keys).size == FIRST
            assert sequencer.checkpoint == await log.audit.checkpoint() == note
            assert verify_data(tmp_path).uncovered == SECOND - FIRST
            await publisher.release()

    asyncio.run(act())


def test_a_log_that_refuses_to_go_on_refuses_every_time(tmp_path: Path) -> None:
    async def act() -> None:
        async with open_log(tmp_path) as log:
            await log.sequencer.start()
            await log.append(3)
            await log.sequencer.advance()
            (tmp_path / "log" / "checkpoint").write_text("something else")
            await log.append(3)
            (tmp_path / "log" / "tile" / "0" / "000.p" / "6").write_bytes(b"planted")

            for _ in range(3):
                with pytest.raises((LogBroken, LogSetBack)):
                    await log.sequencer.advance()

    asyncio.run(act())


def assert_no_two_promises_differ(signed: list[Checkpoint]) -> None:
    roots: dict[int, bytes] = {}
    for promise in signed:
        assert roots.setdefault(promise.size, promise.root) == promise.root
    sizes = [promise.size for promise in signed]
    assert sizes == sorted(sizes), "a size was signed after a larger one"
