"""The first start on an empty folder: what is made, who may read it, and what is said."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.server.running import environment, free_port, running, start


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def accredit(data: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "accredit", *arguments],
        env=environment(data, **settings),
        cwd=data.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_first_start_makes_a_private_folder_keys_a_link_and_the_starter_policies(tmp_path: Path) -> None:
    data = tmp_path / "data"

    with running(data) as server:
        policies = {one["id"] for one in server.api("GET", "/api/v1/policies")["policies"]}

        assert mode(data) == 0o700
        assert {name: mode(data / name) for name in ("master.key", "management.json", "sign-in-link")} == {
            "master.key": 0o600,
            "management.json": 0o600,
            "sign-in-link": 0o600,
        }
        assert {"ai-agent-readonly", "ai-agent-operator", "ai-agent-admin", "agents-get-tokens"} <= policies
        assert "Back it up" in server.log
        assert server.management()["url"] == server.issuer
        link = (data / "sign-in-link").read_text()
        assert re.fullmatch(rf"{server.issuer}/console/sign-in#[\w-]{{43,}}\n", link)
        # A link that is shown on no terminal stands in no log, and neither does the token.
        assert link.partition("#")[2].strip() not in server.log
        assert server.management()["token"] not in server.log


def test_a_link_that_is_sent_wrongly_stays_out_of_the_process_log(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        token = (server.data / "sign-in-link").read_text().strip().partition("#")[2]
        headers = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}

        refused = httpx2.post(
            f"{server.issuer}/console/sign-in", content=f"token={token}\u00a0".encode(), headers=headers
        )

        assert refused.status_code == 400
        assert token not in refused.text + server.log


def test_a_second_start_keeps_everything_but_the_management_token(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as server:
        first = {name: (data / name).read_text() for name in ("master.key", "sign-in-link", "management.json")}
        key = server.api("GET", "/api/v1/audit/events?limit=1")
        server.stop()

    with running(data, server.port) as server:
        second = {name: (data / name).read_text() for name in first}

        assert second["master.key"] == first["master.key"]
        assert second["sign-in-link"] == first["sign-in-link"]
        assert second["management.json"] != first["management.json"]
        assert server.api("GET", "/api/v1/audit/events?limit=1")["events"][0]["seq"] >= key["events"][0]["seq"]
        assert server.log.count("Back it up") == 1


def test_the_master_key_may_come_from_the_environment_and_must_be_the_same_again(tmp_path: Path) -> None:
    data = tmp_path / "data"

    made = accredit(data, "init", "--json", ACCREDIT_MASTER_KEY="A" * 43)
    other = accredit(data, "init", ACCREDIT_MASTER_KEY="B" * 42 + "A")
    malformed = accredit(data, "init", ACCREDIT_MASTER_KEY="hush")

    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["master_key_made"] is None
    assert not (data / "master.key").exists()
    assert other.returncode != 0
    assert "master key" in other.stderr
    assert malformed.returncode != 0
    assert "hush" not in malformed.stderr
    assert "Traceback" not in other.stderr + malformed.stderr


def test_init_makes_another_link_only_when_asked(tmp_path: Path) -> None:
    data = tmp_path / "data"

    def init(*arguments: str) -> tuple[str | None, str]:
        done = accredit(data, "init", *arguments, "--json")
        link = (data / "sign-in-link").read_text().strip()
        # A link is shown on a terminal only.
        assert link not in done.stdout + done.stderr
        return json.loads(done.stdout)["sign_in_link_file"], link

    first, again, asked = init(), init(), init("--link")

    assert first[0] == asked[0] == str(data / "sign-in-link")
    assert again == (None, first[1])
    assert asked[1] != first[1]


def test_a_folder_that_others_may_read_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    data.chmod(0o755)

    refused = accredit(data, "init")

    assert refused.returncode != 0
    assert "open to others" in refused.stderr
    assert f"chmod 700 {data}" in refused.stderr


def test_a_taken_port_is_told_in_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        refused = accredit(tmp_path / "data", "serve", ACCREDIT_LISTEN=f"127.0.0.1:{port}")

    assert refused.returncode != 0
    assert f"127.0.0.1:{port} is taken" in refused.stderr
    assert "ACCREDIT_LISTEN" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("ACCREDIT_ACCESS_TOKEN_SECONDS", "soon", "whole number of seconds"),
        ("ACCREDIT_ACCESS_TOKEN_SECONDS", "0", "whole number of seconds"),
        ("ACCREDIT_LISTEN", "8400", "HOST:PORT"),
        ("ACCREDIT_LISTEN", "127.0.0.1:99999", "HOST:PORT"),
        ("ACCREDIT_WORKERS", "-1", "whole number of processes"),
    ],
)
def test_a_malformed_setting_is_refused_and_nothing_is_made(
    tmp_path: Path, setting: str, value: str, expected: str
) -> None:
    refused = accredit(tmp_path / "data", "serve", **{setting: value})

    assert refused.returncode != 0
    assert expected in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_malformed_settings_file_is_refused_with_its_name_and_line(tmp_path: Path) -> None:
    (tmp_path / "accredit.toml").write_text("workers = 1\nlisten = \n")

    broken = accredit(tmp_path / "data", "serve")
    (tmp_path / "accredit.toml").write_text('listne = "127.0.0.1:0"\n')
    unknown = accredit(tmp_path / "data", "serve")

    assert "accredit.toml:2:" in broken.stderr
    assert "accredit.toml:1: 'listne' is not a setting" in unknown.stderr
    assert broken.returncode != 0 and unknown.returncode != 0


def test_logs_are_json_lines_when_nobody_watches(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        server.stop()

        lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]

        assert [line["event"] for line in lines if line["event"] == "stopped"] == ["stopped"]
        assert all({"time", "level", "event"} <= line.keys() for line in lines)


def test_help_documents_every_setting_with_unit_and_default(tmp_path: Path) -> None:
    shown = accredit(tmp_path / "data", "serve", "--help").stdout

    from accredit.settings import SETTINGS

    for setting in SETTINGS:
        assert f"{setting.variable} ({setting.unit}; default {setting.default or 'none'})" in shown


@pytest.mark.parametrize("said", ["Made the master key", "Accredit at"])
def test_a_stop_in_the_middle_of_the_start_ends_every_process(tmp_path: Path, said: str) -> None:
    server = start(tmp_path / "data", free_port())
    try:
        while said not in server.log:
            assert server.process.poll() is None
        workers = server.workers()

        code = server.stop(signal.SIGTERM)

        # Before the server handles signals the kernel's default ends it.
        assert code in (0, -signal.SIGTERM)
        for pid in workers:
            assert not Path(f"/proc/{pid}").exists()
    finally:
        if server.process.poll() is None:
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
