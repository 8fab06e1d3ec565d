"""schemathesis over the published description of a running server: every check, with the project's own configuration.

`schemathesis.toml` says where a rule cannot be told in JSON Schema, and why; everywhere else nothing is excepted.
"""

import json
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.server.running import ROOT, Running, running

CONFIGURATION = ROOT / "schemathesis.toml"
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "object_level_authorization",
}
MANIFEST = (ROOT / "examples" / "crm" / "crm.toml").read_text()
PROVIDER = 'kind = "oidc"\nname = "probed"\ntitle = "Probed"\nissuer = "https://sso.example"\nclient_id = "c"\n'
ISSUER = (
    'kind = "generic"\nname = "probed"\nissuer = "https://builds.example"\njwks_uri = "https://builds.example/jwks"\n'
)


@dataclass(frozen=True, slots=True)
class Report:
    """What schemathesis found: its summary, and by operation which checks ran and what was answered."""

    summary: dict[str, Any]
    checks: dict[str, set[str]]
    statuses: dict[str, set[int]]
    printed: str


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("schemathesis")
    with running(folder / "data") as server:
        return run(server, folder)


def run(server: Running, folder: Path) -> Report:
    """Give it something of each kind to find, and run all phases."""
    server.api("POST", "/api/v1/systems", {"manifest": MANIFEST})
    server.api("POST", "/api/v1/agents", {"name": "probed", "owner": "ana@example.com", "systems": ["crm"]})
    server.api("POST", "/api/v1/sign-in-providers", {"configuration": PROVIDER, "secret": "s"})
    server.api("POST", "/api/v1/trusted-issuers", {"configuration": ISSUER})
    known = 'agent = "probed"\nsystem = "crm"\nprovider = "probed"\nissuer = "probed"\nseq = 0\n'
    known += 'person = "ana@example.com"\n'
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.read_text() + f"\n[parameters]\n{known}" + authentication(server))
    ran = subprocess.run(
        [
            *(SCHEMATHESIS, "--config-file", configuration, "run", f"{server.issuer}/api/openapi.json"),
            *("--max-examples", "3", "--seed", "1", "--suppress-health-check", "all", "--continue-on-failure"),
            *("--report", "json,ndjson", "--report-json-path", folder / "report.json"),
            *("--report-ndjson-path", folder / "report.ndjson"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (folder / "report.json").exists(), ran.stdout + ran.stderr
    summary: dict[str, Any] = json.loads((folder / "report.json").read_text())
    recorders = recorded(folder / "report.ndjson")
    return Report(summary, checks_by_operation(recorders), statuses_by_operation(recorders), ran.stdout)


def authentication(server: Running) -> str:
    """What each of the description's schemes takes: the administrator's token, and an agent's own.

    The agent asks again when its token ends: with a new signing key it does.
    """
    client_id, secret = server.add_agent("asking", systems=())
    return f"""
[auth.openapi.management_token]
bearer = "{server.management()["token"]}"

[auth.dynamic.openapi.agent_token]
path = "/oauth/token"
payload_content_type = "application/x-www-form-urlencoded"
payload = {{ grant_type = "client_credentials", client_id = "{client_id}", client_secret = "{secret}" }}
extract_selector = "/access_token"
"""


def recorded(file: Path) -> list[dict[str, Any]]:
    scenarios = [json.loads(line).get("ScenarioFinished", {}) for line in file.read_text().splitlines()]
    return [one["recorder"] for one in scenarios if one.get("recorder")]


def checks_by_operation(recorders: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for recorder in recorders:
        for checks in (recorder.get("checks") or {}).values():
            found[recorder["label"]] |= {check["name"] for check in checks}
    return found


def statuses_by_operation(recorders: list[dict[str, Any]]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = defaultdict(set)
    for recorder in recorders:
        for exchange in (recorder.get("interactions") or {}).values():
            found[recorder["label"]].add(exchange["response"]["status_code"])
    return found


def test_it_finds_nothing_on_any_operation(report: Report) -> None:
    assert report.summary["failures"] == report.summary["errors"] == [], report.printed
    assert report.summary["exit_code"] == 0, report.printed
    assert report.summary["complete"]
    operations = report.summary["operations"]
    assert operations["tested"] == operations["selected"] == operations["total"] > 30
    assert {phase["status"] for phase in report.summary["phases"].values()} == {"success"}, report.printed


def test_every_check_ran_and_the_one_for_missing_authentication_on_every_operation(report: Report) -> None:
    operations = {name: checks for name, checks in report.checks.items() if name.partition(" ")[2].startswith("/api/")}

    assert set().union(*report.checks.values()) == CHECKS
    assert len(operations) == report.summary["operations"]["total"]
    assert [name for name, checks in operations.items() if "ignored_auth" not in checks] == []


def test_the_agents_token_is_taken_where_its_scope_is(report: Report) -> None:
    own = {name: statuses for name, statuses in report.statuses.items() if "/api/v1/self" in name}

    lacking = own.pop("GET /api/v1/self/delegations")
    assert 403 in lacking
    assert 200 not in lacking
    assert len(own) == 3
    assert [name for name, statuses in own.items() if 200 not in statuses] == []


def test_every_exception_says_which_endpoint_it_is_for(report: Report) -> None:
    excepted = {line.split('"')[1] for line in CONFIGURATION.read_text().splitlines() if line.startswith('  "')}

    assert excepted <= report.checks.keys()
