"""The servers that a bench needs: started on free ports in a folder of their own, ended with the bench."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from bench import node_packages

ROOT = Path(__file__).resolve().parents[1]
SYSTEM = "bench"
_START_SECONDS = 30
_STOP_SECONDS = 15


class NotStartedError(RuntimeError):
    """A server did not start, or did not take what it was told at the start."""


@dataclass(frozen=True, slots=True)
class Accredit:
    """A running `accredit serve` and its management API."""

    pid: int
    url: str
    issuer: str
    api: httpx2.Client

    def call(self, path: str, content: Mapping[str, object]) -> dict[str, object]:
        """POST to the management API. Raises NotStartedError with what it answered."""
        answer = self.api.post(path, json=dict(content))
        if not answer.is_success:
            raise NotStartedError(f"{path} answered {answer.status_code}: {answer.text}")
        created: dict[str, object] = answer.json()
        return created


@dataclass(frozen=True, slots=True)
class AgentSecret:
    """An agent that may ask for tokens."""

    client_id: str
    client_secret: str


@contextmanager
def folder(*, in_memory: bool = False) -> Iterator[Path]:
    """A folder for the length of a bench.

    It lies in `build/`, not in /tmp, which some machines keep in memory: a commit there costs nothing, and the
    figures would be better than the truth. Just this is what `in_memory` is for.
    """
    if in_memory:
        parent = Path("/dev/shm")
    else:
        parent = ROOT / "build" / "bench"
        parent.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="accredit-bench-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def accredit(data: Path, settings: Mapping[str, str] | None = None) -> Iterator[Accredit]:
    """Run `accredit serve` on a new data folder. Raises NotStartedError."""
    port = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ACCREDIT_")},
        **(settings or {}),
        "ACCREDIT_DATA": str(data / "accredit-data"),
        "ACCREDIT_LISTEN": f"127.0.0.1:{port}",
    }
    command = [str(Path(sys.executable).parent / "accredit"), "serve"]
    with _running(command, data / "serve.log", environment) as process:
        management = data / "accredit-data" / "management.json"
        _wait(process, management.exists)
        url = f"http://127.0.0.1:{port}"
        _wait(process, lambda: _is_ready(f"{url}/readyz"))
        told = json.loads(management.read_text(encoding="utf-8"))
        headers = {"Authorization": f"Bearer {told['token']}"}
        with httpx2.Client(base_url=told["url"], headers=headers, timeout=30) as api:
            metadata = api.get("/.well-known/oauth-authorization-server").raise_for_status().json()
            yield Accredit(process.pid, url, metadata["issuer"], api)


def agent(
    accredit: Accredit, name: str, *, systems: list[str], role: str = "ai-agent-operator", may_act: Sequence[str] = ()
) -> AgentSecret:
    """Register an agent with a client secret. Raises NotStartedError."""
    created = accredit.call(
        "/api/v1/agents",
        {
            "name": name,
            "owner": "bench@example.org",
            "roles": [role],
            "systems": systems,
            "type": "worker",
            "capability_level": 2,
            "may_act": list(may_act),
        },
    )
    credential = accredit.call(f"/api/v1/agents/{created['id']}/credentials", {"kind": "client_secret"})
    return AgentSecret(str(created["id"]), str(credential["client_secret"]))


def manifest(upstream: str) -> str:
    """The manifest of the system that the benches use: one read tool of the trivial upstream."""
    return f"""\
name = "{SYSTEM}"
title = "Bench"
kind = "other"
protocol = "mcp"
upstream = "{upstream}"
sensitivity = 1
data = ["none"]

[credential]
engine = "none"

[[operations]]
action = "bench.look-up"
effect = "read"
tool = "look_up"
scope = "bench:read"
"""


@contextmanager
def upstream() -> Iterator[str]:
    """Run the trivial MCP upstream; gives its URL. Raises NotStartedError."""
    port = free_port()
    with folder() as logs:
        command = [sys.executable, "-m", "bench.upstream", "--port", str(port)]
        with _running(command, logs / "upstream.log", dict(os.environ)) as process:
            _wait(process, lambda: _listens(port))
            yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def oidc_peer(resource: str, more: Mapping[str, object]) -> Iterator[tuple[str, AgentSecret]]:
    """Run npm's oidc-provider; gives its address and a client. `more` is what `node/oidc_peer.mjs` is told besides.

    Raises NodeMissingError or NotStartedError.
    """
    packages = node_packages.install()
    client = AgentSecret("bench", secrets.token_urlsafe(32))
    order = {**more, "client_id": client.client_id, "client_secret": client.client_secret, "resource": resource}
    with folder() as logs:
        log = logs / "peer.log"
        command = [node_packages.node(), str(packages / "oidc_peer.mjs")]
        with _running(command, log, {**os.environ, "NODE_ENV": "production"}, json.dumps(order)) as process:
            _wait(process, lambda: bool(_port_told(log)))
            yield f"http://127.0.0.1:{_port_told(log)}", client


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _running(
    command: list[str], log: Path, environment: Mapping[str, str], text: str = ""
) -> Iterator[subprocess.Popen[str]]:
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output, text=True
        )
        try:
            if process.stdin:
                process.stdin.write(text)
                process.stdin.close()
            yield process
        except Exception as error:
            how = "still runs" if process.poll() is None else f"ended with {process.returncode}"
            error.add_note(f"{command[0]} {how}; its log ends with:\n{log.read_text(encoding='utf-8')[-2_000:]}")
            raise
        finally:
            process.terminate()
            try:
                process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NotStartedError(f"{process.args!r} did not start; limit: {_START_SECONDS} s")
        time.sleep(0.05)


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2).status_code == httpx2.codes.OK
    except httpx2.HTTPError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _port_told(log: Path) -> str:
    # oidc-provider prints warnings around the one line that we wait for.
    lines = log.read_text(encoding="utf-8").splitlines()
    return next((line for line in lines if line.isdigit()), "")
