"""The log as others read it: events, proofs, and the public files."""

import base64
import json
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from accredit.audit.checkpoint import open_checkpoint, parse_vkey
from accredit.audit.errors import LogBroken
from accredit.audit.proof import check_proof, parse_proof
from accredit.audit.reading import LoggedEvent, RemovedEvent
from accredit.errors import InputRefused, NotFound
from tests.audit.logs import RunningLog, an_event, with_log


def test_an_event_is_shown_with_its_number_first(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        event = an_event(reason="a reason")
        recorded = await log.group.add(event)

        found = await log.audit.event(recorded.seq)

        assert isinstance(found, LoggedEvent)
        assert (found.seq, found.event) == (recorded.seq, event)
        shown = json.loads(found.json())
        assert next(iter(shown)) == "seq"
        assert shown == {"seq": recorded.seq, **json.loads(found.body)}
        assert (shown["reason"], shown["latency_ms"]) == ("a reason", None)
        assert await log.audit.event_by_id(event.id) == found

    with_log(tmp_path, act)


def test_events_are_paged_in_both_directions(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(10)

        assert [event.seq for event in await log.audit.latest(3)] == [9, 8, 7]
        assert [event.seq for event in await log.audit.before(7, 3)] == [6, 5, 4]
        assert [event.seq for event in await log.audit.after(7, 3)] == [8, 9]
        assert [event.seq for event in await log.audit.after(-1, 2)] == [0, 1]
        assert await log.audit.after(9, 3) == []
        assert await log.audit.latest(-1) == []
        assert await log.audit.count() == 10

    with_log(tmp_path, act)


def test_an_event_that_does_not_exist_is_said_to_be_missing(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(1)

        for seq in (-1, 1):
            with pytest.raises(NotFound):
                await log.audit.event(seq)
            with pytest.raises(NotFound):
                await log.audit.prove(seq)
        with pytest.raises(NotFound):
            await log.audit.event_by_id("evt_unknown")

    with_log(tmp_path, act)


def test_a_decisions_outcome_is_found(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        decision = an_event()
        finished = an_event(type="call.finished", of=decision.id, outcome="ok")
        decided = await log.group.add(decision)
        await log.group.add(an_event(reason=f"speaks of {decision.id}"))
        await log.group.add(finished)
        found = await log.audit.event(decided.seq)
        assert isinstance(found, LoggedEvent)

        outcome = await log.audit.outcome(found)

        assert outcome is not None
        assert outcome.event == finished
        assert await log.audit.outcome(outcome) is None

    with_log(tmp_path, act)


def test_a_proof_of_an_event_verifies_with_the_logs_key_and_nothing_else(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(300)

        proof = json.loads((await log.audit.prove(270)).json())

        event = json.dumps(proof["event"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        nonce, entry = base64.b64decode(proof["nonce"]), base64.b64decode(proof["entry"])
        assert proof["seq"] == 270
        assert entry == b"\x01" + sha256(b"accredit.audit.v1\0" + nonce + event).digest()
        parsed = parse_proof(proof["proof"])
        assert parsed.index == 270
        assert check_proof(parsed, entry, [parse_vkey(log.audit.keys().splitlines()[0])]).size == 300

    with_log(tmp_path, act)


def test_a_removed_event_is_shown_as_removed_and_still_proved(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(3)
        change(tmp_path, "UPDATE events SET body = NULL, nonce = NULL WHERE seq = 1")

        found = await log.audit.event(1)
        proof = await log.audit.prove(1)

        assert isinstance(found, RemovedEvent)
        assert json.loads(found.json())["removed"] is True
        assert (proof.event, proof.nonce) == (None, None)
        check_proof(parse_proof(proof.proof), proof.entry, [parse_vkey(log.audit.keys().splitlines()[0])])

    with_log(tmp_path, act)


def test_a_body_that_is_no_event_is_named(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(3)
        change(tmp_path, "UPDATE events SET body = x'7b' WHERE seq = 1")

        with pytest.raises(LogBroken) as raised:
            await log.audit.latest(3)

        assert raised.value.seq == 1

    with_log(tmp_path, act)


def test_the_public_files_are_those_that_were_published(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(600)
        await log.sequencer.advance()
        log_folder = tmp_path / "log"

        assert await log.audit.checkpoint() == (log_folder / "checkpoint").read_text()
        assert log.audit.keys() == (log_folder / "key").read_text()
        for file in (log_folder / "tile").rglob("*"):
            if file.is_file():
                assert await log.audit.file(str(file.relative_to(log_folder))) == file.read_bytes()
        assert await log.audit.file("tile/0/000.p/3") == (log_folder / "tile/0/000").read_bytes()[: 3 * 32]

    with_log(tmp_path, act)


@pytest.mark.parametrize("path", ["tile/0/001", "tile/0/000.p/6", "tile/1/000.p/1", "tile/entries/000.p/6"])
def test_a_tile_that_the_tree_does_not_have_yet_is_not_found(tmp_path: Path, path: str) -> None:
    async def act(log: RunningLog) -> None:
        await log.append(5)
        await log.sequencer.advance()
        await log.append(500)

        with pytest.raises(NotFound):
            await log.audit.file(path)
        with pytest.raises(InputRefused):
            await log.audit.file(f"{path}x")

    with_log(tmp_path, act)


def test_the_checkpoint_is_signed_by_both_keys(tmp_path: Path) -> None:
    async def act(log: RunningLog) -> None:
        keys = [parse_vkey(line) for line in log.audit.keys().splitlines()]

        assert [key.kind for key in keys] == [1, 6]
        assert open_checkpoint(await log.audit.checkpoint(), keys, every_key=True).size == 0

    with_log(tmp_path, act)


def change(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "accredit.db", isolation_level=None)) as connection:
        connection.execute(statement)
