"""The `authorization` scenarios of the MCP conformance suite, against a running server, for every revision.

The suite waits for a person: it prints the authorization URL, and the person of `person.py` agrees there.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conformance.peers import MODULES, NODE, ROOT, SECONDS, a_client, resource, start_node
from tests.conformance.person import Person
from tests.server.running import Running, free_port

SUITE = MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
REVISIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
WITH_DOCUMENTS = ("2025-11-25", "2026-07-28")
METADATA = "authorization-server-metadata-endpoint"
CODE = "authorization-code-grant"
SCENARIOS = (METADATA, CODE)


def expected(revision: str) -> dict[str, set[str]]:
    """Every check of every scenario. A suite that has more or fewer fails here."""
    documents = {"authorization-server-metadata-cimd"} if revision in WITH_DOCUMENTS else set()
    return {METADATA: {"authorization-server-metadata", *documents}, CODE: {"authorization-code-grant"}}


@pytest.fixture(scope="module")
def client_id(server: Running) -> str:
    # The suite uses the method `none` wherever it is advertised, and its callback has a free port.
    return a_client(
        server, "conformance", redirect_uris=["http://127.0.0.1:3000/callback"], token_endpoint_auth_method="none"
    )


def run(server: Running, person: Person, client_id: str, revision: str, folder: Path) -> tuple[int, str]:
    """Run all scenarios, with the person at the browser; the exit code and what the suite printed."""
    suite = start_node(
        *(SUITE, "authorization", "--url", server.issuer, "--client-id", client_id),
        *("--resource", resource(server), "--port", str(free_port())),
        *("--spec-version", revision, "-o", str(folder)),
    )
    printed: list[str] = []
    try:
        assert suite.stdout is not None
        for line in suite.stdout:
            printed.append(line)
            if line.startswith(f"{server.issuer}/oauth/authorize?"):
                httpx2.get(person.allow(line.strip()), timeout=10, trust_env=False)
        return suite.wait(SECONDS), "".join(printed)
    finally:
        suite.kill()
        suite.communicate()


def checks_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The checks by the scenario that they are of."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in folder.rglob("checks.json"):
        scenario = next((one for one in SCENARIOS if one in file.parent.name), file.parent.name)
        found[scenario] = json.loads(file.read_text())
    return found


def test_the_table_holds_every_scenario_of_the_suite() -> None:
    listed = subprocess.run(
        [NODE, SUITE, "list", "--authorization"], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=True
    )

    assert re.findall(r"- (\S+) \[(\S+)\]", listed.stdout) == [(one, ",".join(REVISIONS)) for one in SCENARIOS]


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_check_succeeds(server: Running, person: Person, client_id: str, revision: str, tmp_path: Path) -> None:
    code, printed = run(server, person, client_id, revision, tmp_path)

    found = checks_of(tmp_path)
    assert code == 0, printed
    assert {one: {check["id"] for check in checks} for one, checks in found.items()} == expected(revision)
    # A warning, as the one about document clients would be, is not in the exit code.
    assert {check["status"] for checks in found.values() for check in checks} == {"SUCCESS"}, printed
