"""`make demo`: the whole story, twice, and when its usual port is taken."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.server.running import ROOT, environment

PREFERRED_PORT = 8400


@pytest.fixture(scope="module")
def taken() -> Iterator[None]:
    """Somebody holds the usual port, as a demo that was kept does."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", PREFERRED_PORT))
            holder.listen()
        except OSError:
            pass  # another process holds it already, which is just as good
        yield


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "accredit", "demo", *arguments],
        cwd=ROOT,
        env=environment(ROOT / "build" / "not-used"),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.usefixtures("taken")
def test_the_demo_works_twice_and_takes_another_port_when_its_own_is_taken() -> None:
    for _ in range(2):
        done = demo()

        assert done.returncode == 0, done.stdout + done.stderr
        assert "Port 8400 is taken" in done.stdout
        assert "/console" in done.stdout.strip().splitlines()[-3]


@pytest.mark.usefixtures("taken")
def test_the_demo_tells_every_step_as_json() -> None:
    done = demo("--json")

    answer = json.loads(done.stdout)
    steps = {one["step"]: one for one in answer["steps"]}
    decisions = [(one["action"], one["decision"]) for one in answer["steps"] if one["step"] == "event"]
    assert done.returncode == 0
    assert list(steps) == ["system", "agent", "token", "tools", "call", "event", "proof", "verify"]
    assert decisions == [("crm.contacts.search", "permit"), ("crm.contacts.create", "deny")]
    assert steps["verify"]["events"] > 13
    assert answer["console"] == answer["url"] + "/console"
