"""Strict third-party clients: DPoP, introspection and revocation against a real server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from authlib.integrations.httpx_client import OAuth2Client  # the tests' own dependency, over httpx

from tests.conformance.peers import MODULES, SCRIPTS, SECONDS, a_secret, start_node
from tests.examples.conftest import RunningCrm
from tests.server.running import Running, call_body, call_headers, running


@pytest.fixture(scope="module", params=["off", "on"], ids=["without nonces", "with nonces"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, crm: RunningCrm
) -> Iterator[Running]:
    settings = {"ACCREDIT_DPOP_NONCES": request.param}
    with running(tmp_path_factory.mktemp("server") / "data", **settings) as server:
        server.add_crm(crm.url)
        yield server


def _run(server: Running, name: str) -> dict[str, Any]:
    new = {"name": name, "owner": "ana@example.com", "roles": ["ai-agent-readonly"], "systems": ["crm"]}
    agent: str = server.api("POST", "/api/v1/agents", new)["id"]
    headers = call_headers("", "search_contacts")
    del headers["authorization"]
    call = {
        "headers": {**headers, "content-type": "application/json"},
        "body": call_body("search_contacts", {"query": "a"}),
    }
    process = start_node(
        SCRIPTS / "sender_constrained.mjs",
        MODULES=str(MODULES),
        ISSUER=server.issuer,
        CLIENT_ID=agent,
        CLIENT_SECRET=a_secret(server, agent),
        RESOURCE=f"{server.issuer}/gateway/crm/mcp",
        CALL=json.dumps(call),
    )
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_strict_clients_of_npm_bind_look_at_and_end_tokens(server: Running) -> None:
    found = _run(server, "strict")

    assert found["token_type"] == "dpop"
    assert found["call"] == {"status": 200, "isError": False}
    # A key that the token is not bound to is of no use, though its proof is perfect.
    assert found["stolen"][0] == ["dpop", "invalid_token"]
    assert found["introspection"]["active"] is True
    assert set(found["introspection"]["cnf"]) == {"jkt"}
    assert found["signed"]["active"] is True
    assert found["revoked"] == {"active": False}
    assert [error for _, error in found["after"]] == ["invalid_token"]
    assert found["openid_client"]["token_type"] == "dpop"
    assert found["openid_client"]["introspection"]["active"] is True
    assert found["openid_client"]["revoked"] == {"active": False}


def test_authlib_looks_at_and_ends_a_token(server: Running) -> None:
    client_id, secret = server.add_agent("authlib", "ai-agent-readonly")
    with OAuth2Client(client_id, secret, token_endpoint_auth_method="client_secret_basic", trust_env=False) as client:
        token = client.fetch_token(f"{server.issuer}/oauth/token", grant_type="client_credentials")["access_token"]

        active = client.introspect_token(f"{server.issuer}/oauth/introspect", token=token)
        ended = client.revoke_token(f"{server.issuer}/oauth/revoke", token=token)
        after = client.introspect_token(f"{server.issuer}/oauth/introspect", token=token)

    assert active.json()["client_id"] == client_id
    assert ended.status_code == 200
    assert after.json() == {"active": False}
