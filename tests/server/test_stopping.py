"""How a server ends: by a signal, by force, and over a log that somebody set back."""

import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx2

from accredit.audit.checkpoint import parse_checkpoint_text, parse_note
from accredit.audit.fsck import verify_data
from tests.examples.conftest import RunningCrm
from tests.server.running import Running, call, environment, running


def checkpoint_size(data: Path) -> int:
    return parse_checkpoint_text(parse_note((data / "log" / "checkpoint").read_text()).text).size


def test_a_stop_finishes_what_is_in_flight_and_closes_the_log_with_a_checkpoint(
    tmp_path: Path, own_crm: RunningCrm
) -> None:
    with running(tmp_path / "data") as server:
        server.add_crm(own_crm.url)
        client_id, secret = server.add_agent("busy", "ai-agent-operator")
        token = server.access_token(client_id, secret)
        answers: list[Any] = []

        def work() -> None:
            try:
                while True:
                    answers.append(call(server, token, "search_contacts", query="a").status_code)
            except httpx2.TransportError as error:
                answers.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)

        code = server.stop(signal.SIGTERM)
        for thread in threads:
            thread.join()

        report = verify_data(server.data)
        statuses = [one for one in answers if isinstance(one, int)]
        assert code == 0
        assert set(statuses) == {200}
        assert report.uncovered == 0
        assert report.size == checkpoint_size(server.data) > len(statuses)


def test_a_killed_server_leaves_nobody_answering_and_every_answered_call_in_the_log(
    tmp_path: Path, own_crm: RunningCrm
) -> None:
    data = tmp_path / "data"
    answered: list[int] = []
    client_id = secret = ""
    for round_ in range(3):
        with running(data) as server:
            if round_ == 0:
                server.add_crm(own_crm.url)
                client_id, secret = server.add_agent("killed", "ai-agent-operator")
            token = server.access_token(client_id, secret)
            answers = _work_until_killed(server, token)
            workers = server.workers()
            answered += answers

            server.stop(signal.SIGKILL)

            deadline = time.monotonic() + 10
            while any(Path(f"/proc/{pid}").exists() for pid in workers):
                assert time.monotonic() < deadline, "a worker outlived its server"
                time.sleep(0.02)

    with running(data) as server:
        events = {one["seq"]: one for one in server.events()}
        # A write never reached the CRM unrecorded: what arrived there is at most what was permitted here.
        permitted = [one for one in events.values() if one["decision"] == "permit" and one["resource"] == "update_deal"]
        arrived = [one for one in own_crm.calls() if one["tool"] == "update_deal"]
        assert answered
        assert all(events[seq]["decision"] == "permit" for seq in answered)
        assert len(arrived) <= len(permitted)
        assert len(answered) <= len(arrived)
        assert sorted(events) == list(range(len(events)))
        server.stop()
    assert verify_data(data).uncovered == 0


def _work_until_killed(server: Running, token: str) -> list[int]:
    """Write calls from several threads, for half a second; the numbers of the events of those that were answered."""
    answered: list[int] = []

    def work() -> None:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            try:
                answer = call(server, token, "update_deal", id=1, stage="won", amount=1)
            except httpx2.TransportError:
                return
            answered.append(int(answer.headers["x-accredit-event"]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answered


def test_a_log_that_was_set_back_is_not_signed_and_the_server_says_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as server:
        server.stop()
    older = tmp_path / "older.db"
    shutil.copy(data / "accredit.db", older)
    with running(data) as server:
        server.add_agent("later", systems=())
        server.stop()
    signed = (data / "log" / "checkpoint").read_text()
    for name in ("accredit.db-wal", "accredit.db-shm"):
        (data / name).unlink(missing_ok=True)
    shutil.copy(older, data / "accredit.db")

    refused = subprocess.run(
        [sys.executable, "-m", "accredit", "serve"],
        env=environment(data, ACCREDIT_LISTEN="127.0.0.1:0"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert refused.returncode != 0
    assert "set back" in refused.stderr
    assert (data / "log" / "checkpoint").read_text() == signed


def test_an_open_stream_does_not_hold_the_stop(tmp_path: Path, own_crm: RunningCrm) -> None:
    with running(tmp_path / "data") as server:
        server.add_crm(own_crm.url)
        client_id, secret = server.add_agent("listener", "ai-agent-readonly")
        headers = {"authorization": f"Bearer {server.access_token(client_id, secret)}"}
        legacy = {**headers, "accept": "application/json, text/event-stream"}
        opening = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            },
        }
        url = f"{server.issuer}/gateway/crm/mcp"
        session = httpx2.post(url, json=opening, headers=legacy, timeout=30).headers["mcp-session-id"]
        stream_headers = {
            **headers,
            "accept": "text/event-stream",
            "mcp-session-id": session,
            "mcp-protocol-version": "2025-11-25",
        }
        with httpx2.stream("GET", url, headers=stream_headers, timeout=30) as stream:
            assert stream.status_code == 200
            began = time.monotonic()

            code = server.stop(signal.SIGTERM)

            # Workers are killed after 30 seconds: this one ended by itself.
            assert code == 0
            assert time.monotonic() - began < 25
