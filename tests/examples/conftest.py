"""A running CRM, as its own process, with the file that its calls are noted in."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class RunningCrm:
    """Where it listens, and which calls arrived."""

    url: str
    process: subprocess.Popen[bytes]
    calls_file: Path

    def calls(self) -> list[dict[str, object]]:
        if not self.calls_file.exists():
            return []
        return [json.loads(line) for line in self.calls_file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCrm]:
    """One for all tests of a module that only read."""
    with _running(tmp_path_factory.mktemp("crm")) as running:
        yield running


@pytest.fixture
def own_crm(tmp_path: Path) -> Iterator[RunningCrm]:
    """One for a test that changes records, counts calls or stops it."""
    with _running(tmp_path) as running:
        yield running


@contextmanager
def _running(folder: Path) -> Iterator[RunningCrm]:
    port_file = folder / "port"
    calls = folder / "calls.jsonl"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "examples.crm.server", "--port", "0", "--port-file", port_file),
            *("--database", folder / "crm.db", "--calls", calls),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield RunningCrm(f"http://127.0.0.1:{_port(port_file, process)}/mcp", process, calls)
    finally:
        process.terminate()
        process.wait(timeout=10)


def _port(port_file: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while not port_file.exists():
        assert process.poll() is None, "the CRM stopped at its start"
        assert time.monotonic() < deadline, "the CRM did not start"
        time.sleep(0.02)
    return int(port_file.read_text(encoding="utf-8"))
