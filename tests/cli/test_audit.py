"""`accredit audit …`."""

import base64
import json
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from accredit.audit.checkpoint import ED25519, VerifierKey, parse_vkey
from accredit.audit.errors import LogBroken
from accredit.audit.proof import check_proof, parse_proof
from accredit.errors import Unavailable
from tests.api.server import ManagementServer
from tests.cli.conftest import Accredit, write


@pytest.fixture(scope="module", autouse=True)
def newest(server: ManagementServer) -> int:
    """The number of the newest of more than twenty events."""
    run = Accredit(server)
    for n in range(25):
        run.reader(f"agent-{n}")
    return int(json.loads(run("audit", "tail", "--json").stdout.splitlines()[-1])["seq"])


def vkey(run: Accredit) -> str:
    return (run.server.folder / "log" / "key").read_text().splitlines()[0]


def test_the_last_twenty_events_are_shown_oldest_first(run: Accredit, newest: int) -> None:
    result = run("audit", "tail", "--json")

    numbers = [json.loads(line)["seq"] for line in result.stdout.splitlines()]
    assert numbers == list(range(newest - 19, newest + 1))


def test_people_get_a_line_an_event(run: Accredit) -> None:
    result = run("audit", "tail")

    lines = result.stdout.splitlines()
    assert len(lines) == 20
    assert "agent.created" in lines[-1]
    assert "agent-24" in lines[-1]


def test_following_shows_each_new_event_once_until_it_is_interrupted(run: Accredit) -> None:
    following = run.process("audit", "tail", "--follow", "--json")
    try:
        assert following.stdout is not None
        seen = [json.loads(following.stdout.readline())["seq"] for _ in range(20)]
        run.reader("late")
        late = json.loads(following.stdout.readline())
        following.send_signal(signal.SIGINT)
        rest, errors = following.communicate(timeout=20)
    finally:
        following.kill()

    assert late["seq"] == seen[-1] + 1
    assert late["agent_name"] == "late"
    assert (rest, errors, following.returncode) == ("", "", 0)


def test_a_reader_that_goes_away_is_no_error(run: Accredit) -> None:
    tail = run.process("audit", "tail", "--json")
    assert tail.stdout is not None
    assert tail.stderr is not None
    tail.stdout.close()

    errors = tail.stderr.read()
    tail.wait(20)
    tail.stderr.close()

    assert errors == ""


def test_one_event_is_shown(run: Accredit, newest: int) -> None:
    shown = run.json("audit", "show", str(newest))

    assert shown["seq"] == newest
    assert shown["type"] == "agent.created"
    assert "agent.created" in run("audit", "show", str(newest)).stdout


def test_an_event_that_is_not_there_is_refused(run: Accredit) -> None:
    assert run("audit", "show", "999999").exit_code == 1
    assert run("audit", "prove", "999999").exit_code == 1
    assert run("audit", "show", "first").exit_code == 2


def test_a_proof_on_standard_output_is_a_tlog_proof(run: Accredit, newest: int) -> None:
    text = run("audit", "prove", str(newest)).stdout
    parts = run.json("audit", "prove", str(newest))

    checkpoint = check_proof(parse_proof(text), base64.b64decode(parts["entry"]), [parse_vkey(vkey(run))])
    assert checkpoint.size > newest
    assert parts.keys() == {"seq", "event", "nonce", "entry", "proof"}
    assert parse_proof(parts["proof"]).index == newest


def test_a_proof_goes_to_a_file(run: Accredit, tmp_path: Path) -> None:
    path = tmp_path / "event.tlog-proof"

    result = run("audit", "prove", "0", "-o", str(path))

    assert result.stdout == ""
    assert parse_proof(path.read_text()).index == 0


def test_an_export_is_written_for_its_owner_alone_and_verifies(run: Accredit, tmp_path: Path, newest: int) -> None:
    path = tmp_path / "log.jsonl"

    report = run.json("audit", "export", str(path))
    verified = run.json("audit", "verify", "--export", str(path), "--key", vkey(run))

    assert report["events"] == verified["events"] > newest
    assert verified["key_given"] is True
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["log.jsonl"]


def test_an_export_into_a_folder_that_is_not_there_cannot_run(run: Accredit, tmp_path: Path) -> None:
    result = run("audit", "export", str(tmp_path / "nowhere" / "log.jsonl"))

    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_an_export_that_breaks_off_leaves_no_file(
    run: Accredit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_off() -> AsyncIterator[bytes]:
        yield b"{}\n"
        raise LogBroken("an event is missing from the database", seq=7)

    run.server.export_instead(break_off, monkeypatch)

    result = run("audit", "export", str(tmp_path / "log.jsonl"))

    assert result.exit_code == 2
    assert "broke" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_cannot_begin_is_told_as_a_problem(
    run: Accredit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> AsyncIterator[bytes]:
        for part in (b"",):
            if not part:
                raise Unavailable("the database does not answer", next_step="try again")
            yield part

    run.server.export_instead(refuse, monkeypatch)

    result = run("audit", "export", str(tmp_path / "log.jsonl"))

    assert result.exit_code == 2
    assert "the database does not answer" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_export_of_a_broken_log_is_kept_and_the_event_is_named(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    (tmp_path / "data").mkdir()
    with ManagementServer(tmp_path / "data") as server:
        run = Accredit(server)
        run.reader("first")
        run.reader("second")
        run("audit", "prove", "0")
        with sqlite3.connect(tmp_path / "data" / "accredit.db") as database:
            database.execute("UPDATE events SET body = replace(body, 'first', 'other') WHERE seq = 1")
        database.close()

        result = run("audit", "export", str(file))

    assert result.exit_code == 1
    assert "event 1" in result.stderr
    assert file.exists()


def test_an_export_with_one_byte_changed_is_not_whole_and_the_event_is_named(run: Accredit, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    run("audit", "export", str(path))
    lines = path.read_text().splitlines(keepends=True)
    lines[8] = lines[8].replace('"time":"2', '"time":"3')
    path.write_text("".join(lines))

    result = run("audit", "verify", "--export", str(path))
    as_json = run("audit", "verify", "--export", str(path), "--json")

    assert result.exit_code == as_json.exit_code == 1
    assert "event 7" in result.stderr
    assert json.loads(as_json.stderr)["event"] == 7
    assert json.loads(as_json.stderr)["code"] == "log_broken"


def test_the_data_folder_is_verified_without_the_server(tmp_path: Path) -> None:
    with ManagementServer(tmp_path) as server:
        run = Accredit(server)
        run.reader("witness")
        run("audit", "prove", "0")
        key = vkey(run)

    by_default = run("audit", "verify")
    named = run.json("audit", "verify", "--data", str(tmp_path), "--key", key)
    with sqlite3.connect(tmp_path / "accredit.db") as database:
        database.execute("UPDATE events SET body = replace(body, 'witness', 'nothing') WHERE seq = 1")
    database.close()
    changed = run("audit", "verify")

    assert by_default.exit_code == 0
    assert "is whole" in by_default.stdout
    assert "--key" in by_default.stderr
    assert named["key_given"] is True
    assert changed.exit_code == 1
    assert "event 1" in changed.stderr


def test_what_cannot_be_verified_exits_with_2(run: Accredit, tmp_path: Path) -> None:
    export = write(tmp_path / "log.jsonl", "")
    cases = [
        ("--data", str(tmp_path)),
        ("--data", str(tmp_path / "nowhere")),
        ("--export", str(tmp_path / "nowhere")),
        ("--data", str(tmp_path), "--export", export),
        ("--key", "not a key"),
    ]

    results = [run("audit", "verify", *case) for case in cases]

    assert [one.exit_code for one in results] == [2, 2, 2, 2, 2]
    for one in results:
        assert "Traceback" not in one.output


def test_a_log_that_another_key_signed_is_not_whole(run: Accredit) -> None:
    mine = parse_vkey(vkey(run))
    other = VerifierKey(mine.name, ED25519, Ed25519PrivateKey.generate().public_key().public_bytes_raw())

    result = run("audit", "verify", "--key", other.text())

    assert result.exit_code == 1
    assert "no trusted key" in result.stderr
