"""The commands, run against a real server that is found by its data folder."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from accredit.cli.main import accredit
from tests.api.server import ManagementServer, manifest


@dataclass(frozen=True, slots=True)
class Accredit:
    """Runs `accredit …` beside a server."""

    server: ManagementServer

    def __call__(self, *arguments: str, env: dict[str, str] | None = None) -> Result:
        """Run in this process."""
        given = {"ACCREDIT_DATA": str(self.server.folder), "ACCREDIT_URL": "", "ACCREDIT_TOKEN": "", **(env or {})}
        return CliRunner().invoke(accredit, arguments, env=given)

    def json(self, *arguments: str) -> Any:
        """Run with `--json`, expect success, and decode what was printed."""
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def process(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "accredit", *arguments],
            env={"ACCREDIT_DATA": str(self.server.folder), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def system(self, name: str, folder: Path) -> str:
        """Register a system; returns its resource."""
        path = write(folder / f"{name}.toml", manifest(name))
        resource: str = self.json("system", "add", path)["resource"]
        return resource

    def reader(self, name: str, *systems: str) -> str:
        """Register an agent that may read; returns its id."""
        options = [part for system in systems for part in ("--system", system)]
        agent = self.json(
            "agent", "create", name, "--owner", "ana@example.com", "--role", "ai-agent-readonly", *options
        )
        client_id: str = agent["client_id"]
        return client_id


def write(path: Path, text: str) -> str:
    """Write a file; returns its path as an argument."""
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagementServer]:
    with ManagementServer(tmp_path_factory.mktemp("accredit-data")) as running:
        yield running


@pytest.fixture
def run(server: ManagementServer) -> Accredit:
    return Accredit(server)
