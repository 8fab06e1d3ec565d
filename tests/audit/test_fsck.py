"""Offline verification: a log that is whole passes, and one changed byte is found and the event named."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from accredit.audit.errors import LogBroken
from accredit.audit.fsck import verify_data, verify_export
from accredit.audit.group import commit_to
from accredit.errors import InputRefused, NotFound
from tests.audit.logs import SIGNER, RunningLog, with_log

EVENTS = 600
COVERED = 590
# First and last of a tile, and one within.
SOME_EVENTS = [0, 17, 255, 256, 511, 512, 589]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 600 events, 590 of them under the checkpoint, and an export of all."""
    folder = tmp_path_factory.mktemp("whole")

    async def act(log: RunningLog) -> None:
        await log.append(COVERED)
        await log.sequencer.advance()
        await log.append(EVENTS - COVERED)

    with_log(folder, act)
    exported = tmp_path_factory.mktemp("exported")
    shutil.copytree(folder, exported / "data")
    with_log(exported / "data", lambda log: log.export_to(folder / "export"))
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "data"))


@pytest.fixture
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / "accredit.db", isolation_level=None)) as connection:
        yield connection


def the_finding(folder: Path) -> LogBroken:
    with pytest.raises(LogBroken) as raised:
        verify_data(folder)
    return raised.value


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def test_a_whole_log_passes_and_is_described(whole: Path) -> None:
    report = verify_data(whole)

    assert (report.events, report.size, report.uncovered, report.removed) == (EVENTS, COVERED, 10, 0)
    assert report.origin.startswith("accredit/")
    assert not report.key_given


def test_a_key_that_the_auditor_has_is_what_trust_comes_from(whole: Path) -> None:
    mine, *_ = SIGNER.verifier_keys(verify_data(whole).origin)
    strangers, *_ = SIGNER.verifier_keys("accredit/another")

    assert verify_data(whole, mine.text()).key_given
    assert verify_export(whole / "export", mine.text()).key_given
    with pytest.raises(LogBroken, match="no trusted key"):
        verify_data(whole, strangers.text())
    with pytest.raises(LogBroken, match="no trusted key"):
        verify_export(whole / "export", strangers.text())
    with pytest.raises(InputRefused):
        verify_data(whole, "not a key")


def test_a_log_is_verified_on_a_medium_that_cannot_be_written(folder: Path) -> None:
    (folder / "accredit.db-wal").unlink(missing_ok=True)
    (folder / "accredit.db-shm").unlink(missing_ok=True)
    folder.chmod(0o500)

    assert verify_data(folder).events == EVENTS


def test_a_log_is_verified_beside_the_server_that_writes_it(folder: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(3)
        assert verify_data(folder).events == EVENTS + 3

    with_log(folder, act)


@pytest.mark.parametrize("seq", [*SOME_EVENTS, 590, 599])
@pytest.mark.parametrize("column", ["body", "nonce", "commitment"])
def test_one_byte_of_a_stored_event_is_found(folder: Path, database: sqlite3.Connection, seq: int, column: str) -> None:
    (value,) = database.execute(f"SELECT {column} FROM events WHERE seq = ?", (seq,)).fetchone()
    database.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (flipped(value, len(value) // 2), seq))

    finding = the_finding(folder)

    assert finding.seq == seq
    assert finding.explanation.startswith(f"event {seq}: ")


def test_the_first_of_several_bad_events_is_named(folder: Path, database: sqlite3.Connection) -> None:
    database.execute("UPDATE events SET nonce = zeroblob(32) WHERE seq IN (300, 20, 21)")

    assert the_finding(folder).seq == 20


def test_a_body_changed_with_sql_is_found_though_its_type_changes_too(
    folder: Path, database: sqlite3.Connection
) -> None:
    database.execute("UPDATE events SET body = replace(body, 'permit', 'denied') WHERE seq = 17")

    assert the_finding(folder).seq == 17


@pytest.mark.parametrize("value", ["NULL", "17", "'text'", "1.5"])
@pytest.mark.parametrize("column", ["body", "nonce"])
def test_a_value_that_is_no_bytes_is_found(folder: Path, database: sqlite3.Connection, column: str, value: str) -> None:
    database.execute(f"UPDATE events SET {column} = {value} WHERE seq = 17")

    assert the_finding(folder).seq == 17


def test_an_event_rewritten_with_a_commitment_that_fits_is_found(folder: Path, database: sqlite3.Connection) -> None:
    nonce, body = database.execute("SELECT nonce, body FROM events WHERE seq = 300").fetchone()
    forged = body.replace(b'"permit"', b'"deny"')
    change = "UPDATE events SET body = ?, commitment = ? WHERE seq = 300"
    database.execute(change, (forged, commit_to(nonce, forged)))

    assert the_finding(folder).seq == 300


def test_an_event_stored_under_the_id_of_another_is_found(folder: Path, database: sqlite3.Connection) -> None:
    database.execute("UPDATE events SET id = 'evt_other' WHERE seq = 300")

    assert the_finding(folder).seq == 300


@pytest.mark.parametrize("seq", [0, 17, 256, 589, 595, 599])
def test_a_deleted_event_is_found(folder: Path, database: sqlite3.Connection, seq: int) -> None:
    database.execute("DELETE FROM events WHERE seq = ?", (seq,))

    assert the_finding(folder).seq == seq


def test_events_cut_off_at_the_end_are_found(folder: Path, database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM events WHERE seq >= 520")

    assert the_finding(folder).seq == 520


def test_a_body_that_was_removed_breaks_no_proof(folder: Path, database: sqlite3.Connection) -> None:
    database.execute("UPDATE events SET body = NULL, nonce = NULL WHERE seq IN (3, 300)")

    assert verify_data(folder).removed == 2


@pytest.mark.parametrize(
    ("level", "number", "position", "first_bad"),
    [(0, 0, 17, 0), (0, 1, 32 * 44, 300), (0, 2, 32 * 77, 589), (1, 0, 3, 0), (1, 0, 35, 256)],
)
def test_one_byte_of_a_tile_in_the_database_is_found(
    folder: Path, database: sqlite3.Connection, level: int, number: int, position: int, first_bad: int
) -> None:
    where = "WHERE level = ? AND number = ?"
    (data,) = database.execute(f"SELECT data FROM tiles {where}", (level, number)).fetchone()
    database.execute(f"UPDATE tiles SET data = ? {where}", (flipped(data, position), level, number))

    assert the_finding(folder).seq == first_bad


def test_a_tile_that_is_missing_from_the_database_is_found(folder: Path, database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM tiles WHERE level = 0 AND number = 1")

    assert the_finding(folder).seq == 256


@pytest.mark.parametrize(
    ("path", "position", "first_bad"),
    [
        ("tile/0/000", 32 * 20, 20),
        ("tile/0/002.p/78", 32 * 77 + 31, 589),
        ("tile/1/000.p/2", 40, 256),
        ("tile/entries/001", 35 * 44 + 20, 300),
        ("tile/entries/002.p/78", 0, 512),
    ],
)
def test_one_byte_of_a_published_file_is_found(folder: Path, path: str, position: int, first_bad: int) -> None:
    file = folder / "log" / path
    file.write_bytes(flipped(file.read_bytes(), position))

    assert the_finding(folder).seq == first_bad


@pytest.mark.parametrize("path", ["tile/0/001", "tile/entries/001"])
def test_a_published_file_that_is_missing_is_found(folder: Path, path: str) -> None:
    (folder / "log" / path).unlink()

    assert the_finding(folder).seq == 256


def test_every_byte_of_the_published_checkpoint_and_keys_counts(folder: Path) -> None:
    for name, step in [("checkpoint", 97), ("key", 61)]:
        file = folder / "log" / name
        good = file.read_bytes()
        for position in [*range(0, 140), *range(140, len(good), step)]:
            file.write_bytes(flipped(good, position))
            with pytest.raises(LogBroken):
                verify_data(folder)
        file.write_bytes(good)


@pytest.mark.parametrize("column", ["origin", "tree_size", "root", "checkpoint"])
def test_a_change_of_the_logs_row_is_found(folder: Path, database: sqlite3.Connection, column: str) -> None:
    changed = {"origin": "'accredit/x'", "tree_size": "589", "root": "zeroblob(32)", "checkpoint": "checkpoint || 'x'"}
    database.execute(f"UPDATE log SET {column} = {changed[column]}")

    the_finding(folder)


def test_a_database_that_was_set_back_is_found(folder: Path, whole: Path, tmp_path: Path) -> None:
    with_log(folder, lambda log: log.sequencer.advance())
    shutil.copy(whole / "accredit.db", folder / "accredit.db")

    assert "set back" in the_finding(folder).explanation


def test_a_missing_checkpoint_is_found(folder: Path) -> None:
    (folder / "log" / "checkpoint").unlink()

    assert "missing" in the_finding(folder).explanation


def test_a_log_that_was_named_and_never_published_is_not_called_broken(
    folder: Path, database: sqlite3.Connection
) -> None:
    database.execute("UPDATE log SET tree_size = 0, checkpoint = ''")
    (folder / "log" / "checkpoint").unlink()

    with pytest.raises(NotFound, match="never published"):
        verify_data(folder)


def test_a_database_file_that_is_no_database_is_found(folder: Path) -> None:
    for left in folder.glob("accredit.db-*"):
        left.unlink()
    (folder / "accredit.db").write_bytes(b"not a database" * 1_000)

    assert "damaged" in the_finding(folder).explanation


def test_where_there_is_no_log_that_is_what_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"holds no accredit\.db"):
        verify_data(tmp_path)
    with pytest.raises(NotFound, match="cannot be read"):
        verify_export(tmp_path / "nothing")


def test_progress_is_told(whole: Path) -> None:
    told: list[int] = []

    verify_data(whole, progress=told.append)

    assert told == [256, 512, 600]
