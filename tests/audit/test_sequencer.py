"""The sequencer: events become tiles and checkpoints, in order, once, and never against what was published."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from accredit.audit import tree
from accredit.audit.checkpoint import Checkpoint, open_checkpoint, parse_vkey
from accredit.audit.errors import AlreadySequenced, LogBroken, LogSetBack
from accredit.audit.fsck import verify_data
from accredit.audit.publishers.filesystem import FilesystemPublisher
from accredit.errors import NotFound, Unavailable
from tests.audit.logs import RunningLog, a_log_of, open_log, with_log


def published(folder: Path) -> Checkpoint:
    keys = [parse_vkey(line) for line in (folder / "log" / "key").read_text().splitlines()]
    return open_checkpoint((folder / "log" / "checkpoint").read_text(), keys, every_key=True)


def test_a_new_log_publishes_its_keys_and_a_checkpoint_over_nothing(tmp_path: Path) -> None:
    with_log(tmp_path, lambda log: log.sequencer.advance())

    checkpoint = published(tmp_path)
    assert checkpoint.origin.startswith("accredit/")
    assert (checkpoint.size, checkpoint.root) == (0, tree.EMPTY_ROOT)


def test_the_logs_name_stays_the_same(tmp_path: Path) -> None:
    a_log_of(tmp_path, 1)
    name = published(tmp_path).origin

    a_log_of(tmp_path, 1)

    assert published(tmp_path).origin == name


def test_advancing_covers_every_committed_event(tmp_path: Path) -> None:
    a_log_of(tmp_path, 3, 300, 700)

    report = verify_data(tmp_path)
    assert (report.events, report.size, report.uncovered) == (700, 700, 0)


def test_a_backlog_larger_than_a_transaction_is_taken_in_steps(tmp_path: Path) -> None:
    a_log_of(tmp_path, 17_000)

    assert verify_data(tmp_path).size == 17_000


def test_only_the_partial_tiles_that_are_still_needed_remain(tmp_path: Path) -> None:
    a_log_of(tmp_path, 3, 200, 256, 258)

    files = sorted(str(path.relative_to(tmp_path / "log")) for path in (tmp_path / "log").rglob("*") if path.is_file())
    assert files == [
        "checkpoint",
        "key",
        "lock",
        "tile/0/000",
        "tile/0/001.p/2",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/2",
    ]


def test_when_nothing_is_new_nothing_is_written(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(5)
        await log.sequencer.advance()
        before = state_of(tmp_path)

        await log.sequencer.advance()

        assert state_of(tmp_path) == before

    with_log(tmp_path, act)


def test_covering_an_event_makes_a_checkpoint_at_once(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(5)

        notes = await asyncio.gather(*[log.sequencer.cover(seq) for seq in range(5)])

        assert set(notes) == {log.sequencer.checkpoint}
        assert published(tmp_path).size == 5

    with_log(tmp_path, act)


@pytest.mark.parametrize("seq", [-1, 5, 10**15])
def test_an_event_that_does_not_exist_cannot_be_covered(tmp_path: Path, seq: int) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(5)

        with pytest.raises(NotFound):
            await log.sequencer.cover(seq)

    with_log(tmp_path, act)


def test_closing_leaves_a_checkpoint_over_everything(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(5)
        await log.sequencer.close()

    with_log(tmp_path, act)

    assert published(tmp_path).size == 5


def test_a_log_that_is_not_open_signs_nothing(tmp_path: Path) -> None:
    async def act() -> None:
        async with open_log(tmp_path) as log:
            await log.append(1)
            with pytest.raises(Unavailable, match="not open"):
                await log.sequencer.advance()

            await log.sequencer.start()
            await log.sequencer.close()
            await log.sequencer.close()

            await log.append(1)
            with pytest.raises(Unavailable, match="not open"):
                await log.sequencer.cover(1)

    asyncio.run(act())

    assert published(tmp_path).size == 1


def test_a_second_sequencer_is_turned_away_until_the_first_is_gone(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        async with open_log(tmp_path) as second:
            with pytest.raises(AlreadySequenced):
                await second.sequencer.start()

            await log.sequencer.close()
            await second.sequencer.start()

    with_log(tmp_path, act)


def test_a_database_that_was_set_back_is_not_signed_for(tmp_path: Path) -> None:
    a_log_of(tmp_path, 5)
    shutil.copy(tmp_path / "accredit.db", tmp_path / "backup.db")
    a_log_of(tmp_path, 9)
    note = (tmp_path / "log" / "checkpoint").read_text()

    shutil.copy(tmp_path / "backup.db", tmp_path / "accredit.db")

    with pytest.raises(LogSetBack, match="a checkpoint over 14 events was published, and the database's tree holds 5"):
        a_log_of(tmp_path, 0)
    assert (tmp_path / "log" / "checkpoint").read_text() == note


def test_a_database_that_was_set_back_and_went_on_differently_is_not_signed_for(tmp_path: Path) -> None:
    a_log_of(tmp_path, 5)
    shutil.copytree(tmp_path, tmp_path / "copy")
    a_log_of(tmp_path, 4)
    a_log_of(tmp_path / "copy", 300)

    shutil.copy(tmp_path / "copy" / "accredit.db", tmp_path / "accredit.db")

    with pytest.raises(LogSetBack, match="the root over its first 9 events"):
        a_log_of(tmp_path, 0)


def test_a_published_log_without_a_database_is_not_begun_anew(tmp_path: Path) -> None:
    a_log_of(tmp_path, 5)

    (tmp_path / "accredit.db").unlink()

    with pytest.raises(LogSetBack, match="the database has none"):
        a_log_of(tmp_path, 0)


def test_a_published_checkpoint_of_somebody_else_stops_the_log(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        a_log_of(tmp_path / name, 5)

    shutil.copy(tmp_path / "one" / "log" / "checkpoint", tmp_path / "two" / "log" / "checkpoint")

    with pytest.raises(LogBroken, match="not one that this log signed"):
        a_log_of(tmp_path / "two", 0)


def test_a_published_log_that_was_deleted_is_published_again(tmp_path: Path) -> None:
    a_log_of(tmp_path, 600)
    before = tree_of(tmp_path / "log" / "tile")

    shutil.rmtree(tmp_path / "log")
    a_log_of(tmp_path, 0)

    assert tree_of(tmp_path / "log" / "tile") == before
    assert verify_data(tmp_path).size == 600


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ("UPDATE tiles SET data = zeroblob(32 * 5)", "do not lead to the stored root"),
        ("UPDATE tiles SET data = zeroblob(32 * 4)", "has not the width"),
        ("UPDATE log SET root = zeroblob(32)", "do not lead to the stored root"),
    ],
)
def test_stored_tiles_and_root_that_do_not_agree_stop_the_log(tmp_path: Path, change: str, finding: str) -> None:
    a_log_of(tmp_path, 5)
    alter(tmp_path, change)

    with pytest.raises(LogBroken, match=finding):
        a_log_of(tmp_path, 0)


def test_a_stored_tile_with_other_bytes_stops_the_log(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(5)
        await log.sequencer.advance()
        alter(tmp_path, "UPDATE tiles SET data = zeroblob(32 * 5)")
        await log.append(1)

        with pytest.raises(LogBroken, match="stored with other bytes"):
            await log.sequencer.advance()

    with_log(tmp_path, act)
    assert published(tmp_path).size == 5


def test_a_published_tile_with_other_bytes_stops_the_log(tmp_path: Path) -> None:
    planted = tmp_path / "log" / "tile" / "0" / "000.p" / "5"
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"planted")

    with pytest.raises(LogBroken, match="published with other bytes"):
        a_log_of(tmp_path, 5)
    assert published(tmp_path).size == 0


def test_a_missing_event_stops_the_log_and_is_named(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(5)
        alter(tmp_path, "DELETE FROM events WHERE seq = 3")

        with pytest.raises(LogBroken, match="event 3: an event is missing") as raised:
            await log.sequencer.advance()

        assert raised.value.seq == 3

    with_log(tmp_path, act)


def test_events_that_the_tree_holds_cannot_be_forgotten_by_the_counter(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(5)
        await log.sequencer.advance()
        alter(tmp_path, "UPDATE head SET next_event = 3")

        with pytest.raises(LogBroken, match="events are missing"):
            await log.sequencer.advance()

    with_log(tmp_path, act)


def test_what_is_published_is_readable_while_it_is_replaced(tmp_path: Path) -> None:
    async def act() -> None:
        publisher = FilesystemPublisher(tmp_path)
        await publisher.replace("checkpoint", b"one")

        await publisher.replace("checkpoint", b"two")

        assert await publisher.read("checkpoint") == b"two"
        assert await publisher.read("nothing") is None

    asyncio.run(act())

    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def alter(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "accredit.db", isolation_level=None)) as connection:
        connection.execute(statement)


def tree_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def state_of(folder: Path) -> tuple[dict[str, tuple[int, int]], list[object]]:
    """Every published file with its inode and time, and how often the database was written."""
    files = {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in (folder / "log").rglob("*")}
    with closing(sqlite3.connect(folder / "accredit.db")) as connection:
        rows = connection.execute("SELECT * FROM log").fetchall() + connection.execute("SELECT * FROM tiles").fetchall()
    wal = folder / "accredit.db-wal"
    return files, [rows, wal.stat().st_size if wal.exists() else 0]
