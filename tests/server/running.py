"""A real server: `accredit serve` as a process of its own, and what a person or an agent does with it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

START_SECONDS = 60.0
ROOT = Path(__file__).parents[2]
CRM_TOML = ROOT / "examples" / "crm" / "crm.toml"
MODERN = "2026-07-28"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ACCREDIT_")}
    return {**kept, "ACCREDIT_DATA": str(data), **more}


@dataclass(slots=True)
class Running:
    """A server on `data`; `log` is what it wrote to standard error."""

    data: Path
    port: int
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def workers(self) -> list[int]:
        """The process ids of the worker processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def management(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.data / "management.json").read_text())
        return found

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the management API as the administrator."""
        headers = {"authorization": f"Bearer {self.management()['token']}"}
        answer = httpx2.request(method, self.issuer + path, json=body, headers=headers, timeout=30, trust_env=False)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def add_crm(self, upstream: str) -> None:
        manifest = CRM_TOML.read_text().replace("http://127.0.0.1:9000/mcp", upstream)
        self.api("POST", "/api/v1/systems", {"manifest": manifest})

    def add_agent(self, name: str, *roles: str, systems: tuple[str, ...] = ("crm",)) -> tuple[str, str]:
        """Register an agent; its client_id and secret."""
        new = {"name": name, "owner": "ana@example.com", "roles": roles, "systems": systems}
        agent = self.api("POST", "/api/v1/agents", new)
        credential = self.api("POST", f"/api/v1/agents/{agent['id']}/credentials", {"kind": "client_secret"})
        return agent["id"], credential["client_secret"]

    def token(self, client_id: str, secret: str) -> httpx2.Response:
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        return httpx2.post(f"{self.issuer}/oauth/token", data=form, timeout=30, trust_env=False)

    def access_token(self, client_id: str, secret: str) -> str:
        token: str = self.token(client_id, secret).json()["access_token"]
        return token

    def events(self) -> list[dict[str, Any]]:
        """Every event, in order."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else -1
            page = self.api("GET", f"/api/v1/audit/events?after={after}&limit=1000")["events"]
            if not page:
                return found
            found += page

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        self.process.send_signal(with_signal)
        return self.process.wait(START_SECONDS)


@contextmanager
def running(data: Path, port: int | None = None, **settings: str) -> Iterator[Running]:
    """Start a server and wait until it is ready; it is ended in any case."""
    server = start(data, port, **settings)
    try:
        wait_until_ready(server)
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def start(data: Path, port: int | None = None, **settings: str) -> Running:
    port = port or free_port()
    log_file = data.parent / f"{data.name}.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "accredit", "serve"],
            env=environment(data, **{"ACCREDIT_LISTEN": f"127.0.0.1:{port}", **settings}),
            cwd=data.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    return Running(data, port, process, log_file)


def wait_until_ready(server: Running) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log
        try:
            if httpx2.get(f"{server.issuer}/readyz", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"not ready after {START_SECONDS} s: {server.log}")


def call_body(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A tool call of revision 2026-07-28."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def call_headers(token: str, tool: str) -> dict[str, str]:
    return {
        "authorization": f"Bearer {token}",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN,
        "mcp-method": "tools/call",
        "mcp-name": tool,
    }


def call(server: Running, token: str, tool: str, **arguments: Any) -> httpx2.Response:
    return httpx2.post(
        f"{server.issuer}/gateway/crm/mcp",
        json=call_body(tool, arguments),
        headers=call_headers(token, tool),
        timeout=30,
        trust_env=False,
    )
