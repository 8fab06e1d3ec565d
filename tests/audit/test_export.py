"""An export: one file that verifies offline, in which every byte counts."""

import base64
import json
import random
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from accredit.audit.errors import LogBroken
from accredit.audit.fsck import verify_export
from tests.audit.logs import RunningLog, reference_root, with_log

EVENTS = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose log has 300 events, and an export of them."""
    folder = tmp_path_factory.mktemp("log")

    async def act(log: RunningLog) -> None:
        await log.append(EVENTS)
        await log.export_to(folder / "export")

    with_log(folder, act)
    return folder


@pytest.fixture
def lines(folder: Path) -> list[bytes]:
    return (folder / "export").read_bytes().splitlines(keepends=True)


def the_finding(tmp_path: Path, lines: list[bytes]) -> LogBroken:
    (tmp_path / "changed").write_bytes(b"".join(lines))
    with pytest.raises(LogBroken) as raised:
        verify_export(tmp_path / "changed")
    return raised.value


def test_an_export_covers_every_event_that_is_committed(folder: Path) -> None:
    report = verify_export(folder / "export")

    assert (report.events, report.size, report.uncovered, report.removed) == (EVENTS, EVENTS, 0, 0)


def test_an_export_can_be_checked_with_nothing_but_its_description(lines: list[bytes]) -> None:
    head, *events = map(json.loads, lines)

    leaves = []
    for seq, event in enumerate(events):
        body = json.dumps(event["body"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        commitment = sha256(b"accredit.audit.v1\0" + base64.b64decode(event["nonce"]) + body).digest()
        assert event["seq"] == seq
        assert base64.b64decode(event["commitment"]) == commitment
        leaves.append(sha256(b"\0\x01" + commitment).digest())

    _origin, size, root, *_ = head["checkpoint"].split("\n")
    assert int(size) == EVENTS
    assert base64.b64decode(root) == reference_root(leaves)


def test_an_empty_log_can_be_exported(tmp_path: Path) -> None:
    with_log(tmp_path, lambda log: log.export_to(tmp_path / "export"))

    assert verify_export(tmp_path / "export").events == 0


def test_a_removed_body_stays_removed_in_the_export(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(5)
        with closing(sqlite3.connect(tmp_path / "accredit.db", isolation_level=None)) as connection:
            connection.execute("UPDATE events SET body = NULL, nonce = NULL WHERE seq = 3")
        await log.export_to(tmp_path / "export")

    with_log(tmp_path, act)

    assert verify_export(tmp_path / "export").removed == 1
    assert json.loads((tmp_path / "export").read_bytes().splitlines()[4])["body"] is None


def test_one_byte_changed_in_any_event_is_found_and_the_event_named(tmp_path: Path, lines: list[bytes]) -> None:
    chance = random.Random(1)
    for seq in [0, 1, 255, 256, EVENTS - 1]:
        for _ in range(60):
            changed = bytearray(lines[1 + seq])
            changed[chance.randrange(len(changed))] ^= chance.randrange(1, 256)

            assert the_finding(tmp_path, [*lines[: 1 + seq], bytes(changed), *lines[2 + seq :]]).seq == seq


def test_one_byte_changed_in_the_first_line_is_found(tmp_path: Path, lines: list[bytes]) -> None:
    for position in range(0, len(lines[0]), 41):
        changed = bytearray(lines[0])
        changed[position] ^= 1

        the_finding(tmp_path, [bytes(changed), *lines[1:]])


def test_a_missing_event_is_found(tmp_path: Path, lines: list[bytes]) -> None:
    assert the_finding(tmp_path, [*lines[:18], *lines[19:]]).seq == 17


def test_two_events_in_the_wrong_order_are_found(tmp_path: Path, lines: list[bytes]) -> None:
    assert the_finding(tmp_path, [*lines[:18], lines[19], lines[18], *lines[20:]]).seq == 17


def test_an_export_that_was_cut_off_is_found(tmp_path: Path, lines: list[bytes]) -> None:
    assert the_finding(tmp_path, lines[:-1]).seq == EVENTS - 1
    assert the_finding(tmp_path, [*lines[:-1], lines[-1][:-1]]).seq == EVENTS - 1
    assert the_finding(tmp_path, lines[:1]).seq == 0
    assert the_finding(tmp_path, []).seq is None


def test_an_event_rewritten_with_a_commitment_that_fits_does_not_lead_to_the_signed_root(
    tmp_path: Path, lines: list[bytes]
) -> None:
    other = json.loads(lines[18])
    body = lines[18].split(b'"body":')[1][:-2].replace(b'"permit"', b'"deny"')
    commitment = sha256(b"accredit.audit.v1\0" + base64.b64decode(other["nonce"]) + body).digest()
    nonce = other["nonce"].encode()
    forged = b'{"seq":17,"commitment":"%s","nonce":"%s","body":%s}\n' % (base64.b64encode(commitment), nonce, body)

    finding = the_finding(tmp_path, [*lines[:18], forged, *lines[19:]])

    assert "do not give the root" in finding.explanation


def test_something_that_is_no_export_is_refused(tmp_path: Path) -> None:
    the_finding(tmp_path, [b"PK\x03\x04 something else"])
