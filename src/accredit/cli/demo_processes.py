"""The processes of the demo: a server, an example CRM, and commands; all end with the demo, unless it is to be kept."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx2
import msgspec

from accredit.cli.failures import CannotRun
from accredit.settings import environment

T = TypeVar("T")

START_SECONDS = 20.0
COMMAND_SECONDS = 30.0
_POLL_SECONDS = 0.05
PREFERRED_PORT = 8400


def repository() -> Path:
    """The checkout with the examples. Raises CannotRun if this is an installed package without them."""
    root = Path(__file__).parents[3]
    if not (root / "examples" / "crm" / "server.py").is_file():
        raise CannotRun("the demo needs the examples", next_step="run `make demo` in a checkout of the repository")
    return root


def choose_port() -> tuple[int, bool]:
    """The usual port, or a free one if it is taken; and whether it was."""
    for port, taken in ((PREFERRED_PORT, False), (0, True)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1]), taken
    raise CannotRun("no port is free on 127.0.0.1")


@dataclass(slots=True)
class Stage:
    """Where the demo runs: its folder, its address, and what was started."""

    root: Path
    folder: Path
    port: int
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def issuer(self) -> str:
        """The server's address."""
        return f"http://localhost:{self.port}"

    @property
    def data(self) -> Path:
        """The server's data folder."""
        return self.folder / "accredit-data"

    def start_crm(self) -> str:
        """Start the example CRM on a free port; returns its MCP address. Raises CannotRun."""
        port_file = self.folder / "crm.port"
        arguments = ("--port", "0", "--port-file", port_file, "--database", self.folder / "crm.db")
        process = self._start("crm", ["-m", "examples.crm.server", *map(str, arguments)])
        self._wait(port_file.exists, process, "crm")
        return f"http://127.0.0.1:{port_file.read_text().strip()}/mcp"

    def start_server(self) -> None:
        """Start Accredit. Raises CannotRun."""
        process = self._start("accredit", ["-m", "accredit", "serve"])

        def is_ready() -> bool:
            try:
                return httpx2.get(f"{self.issuer}/readyz", timeout=1.0, trust_env=False).status_code == httpx2.codes.OK
            except httpx2.TransportError:
                return False

        self._wait(is_ready, process, "accredit")

    def command(self, answer: type[T], *arguments: str) -> T:
        """Run `accredit … --json` and read its answer. Raises CannotRun."""
        return msgspec.json.decode(self._run(["-m", "accredit", *arguments, "--json"]), type=answer)

    def agent(self, answer: type[T], *arguments: str) -> list[T]:
        """Run the example agent and read its steps, one a line. Raises CannotRun."""
        lines = self._run(["-m", "examples.agent.agent", *arguments]).splitlines()
        return [msgspec.json.decode(line, type=answer) for line in lines]

    def stop(self) -> None:
        """End everything that was started, the server last; one that does not go is killed."""
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in environment().items() if not name.startswith("ACCREDIT_")}
        return {**kept, "ACCREDIT_DATA": str(self.data), "ACCREDIT_LISTEN": f"127.0.0.1:{self.port}"}

    def _start(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  # our own modules, by a fixed list of arguments
                [sys.executable, *arguments],
                cwd=self.root,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def _wait(self, is_ready: Callable[[], bool], process: subprocess.Popen[bytes], name: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                log = self.folder / f"{name}.log"
                last = os.linesep.join(log.read_text(errors="replace").splitlines()[-5:])
                raise CannotRun(f"{name} did not start: {last}", next_step=f"read {log}")
            time.sleep(_POLL_SECONDS)

    def _run(self, arguments: Sequence[str]) -> bytes:
        done = subprocess.run(  # noqa: S603  # as above
            [sys.executable, *arguments],
            cwd=self.root,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise CannotRun(f"a step failed: {done.stderr.decode(errors='replace').strip()[-600:]}")
        return done.stdout
