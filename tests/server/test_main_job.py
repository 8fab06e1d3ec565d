"""The main job through a real server, by real clients: an identity, a token, a call, a refusal, a proof."""

import asyncio
import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped,unused-ignore]
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from accredit.audit.checkpoint import parse_vkey
from accredit.audit.group import commit_to
from accredit.audit.proof import check_proof, parse_proof
from tests.examples.conftest import RunningCrm
from tests.server.running import Running, call, environment, running


def test_authlib_gets_a_token_with_which_the_official_sdk_calls_a_tool(server: Running, crm: RunningCrm) -> None:
    client_id, secret = server.add_agent("authlib", "ai-agent-readonly")
    metadata = httpx2.get(f"{server.issuer}/.well-known/oauth-authorization-server", trust_env=False).json()
    with OAuth2Client(client_id, secret, token_endpoint_auth_method="client_secret_basic") as oauth:
        token = oauth.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")

    async def use() -> Any:
        headers = {"authorization": f"Bearer {token['access_token']}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(f"{server.issuer}/gateway/crm/mcp", http_client=http)) as client,
        ):
            listed = await client.list_tools()
            permitted = await client.call_tool("get_contact", {"id": 1})
            refused = await client.call_tool("delete_contact", {"id": 1})
            return [tool.name for tool in listed.tools], permitted, refused

    names, permitted, refused = asyncio.run(use())

    assert "get_contact" in names and "delete_contact" not in names
    assert permitted.structured_content["name"] == "Amara Okafor"
    assert refused.is_error
    assert "default-deny" in refused.content[0].text
    assert "ai-agent-admin" in refused.content[0].text
    assert "delete_contact" not in [one["tool"] for one in crm.calls()]


def test_every_step_is_in_the_log_with_its_decision_and_its_outcome(server: Running) -> None:
    client_id, secret = server.add_agent("recorded", "ai-agent-readonly")
    token = server.access_token(client_id, secret)

    permitted = call(server, token, "search_contacts", query="ama")
    refused = call(server, token, "create_contact", name="x", email="x@example.com", company="x")

    mine = [one for one in server.events() if one["agent"] == client_id]
    by_type = [(one["type"], one["action"], one["decision"], one["policies"], one["outcome"]) for one in mine]
    assert by_type == [
        ("agent.created", "agent.created", None, [], "ok"),
        ("credential.added", "credential.added", None, [], "ok"),
        ("token.issued", "token.issue", "permit", ["agents-get-tokens"], None),
        ("call.decided", "crm.contacts.search", "permit", ["ai-agent-readonly"], None),
        ("call.finished", "crm.contacts.search", None, [], "ok"),
        ("call.decided", "crm.contacts.create", "deny", ["default-deny"], None),
        ("call.finished", "crm.contacts.create", None, [], "refused"),
    ]
    assert permitted.headers["x-accredit-event"] == str(mine[3]["seq"])
    assert refused.json()["result"]["_meta"]["accredit/event"] == mine[5]["seq"]
    assert mine[4]["of"] == mine[3]["id"]
    assert mine[3]["token_id"] == mine[2]["token_id"]
    assert mine[3]["policy_set"].startswith("sha256:")
    assert mine[4]["latency_ms"] > 0


def test_an_event_is_proved_against_the_signed_checkpoint_by_the_commands(server: Running) -> None:
    client_id, secret = server.add_agent("proved", "ai-agent-readonly")
    seq = int(server.token(client_id, secret).headers["x-accredit-event"])

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "accredit", *arguments]
        done = subprocess.run(
            command, env=environment(server.data), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    proved = json.loads(run("audit", "prove", str(seq), "--json"))
    text = run("audit", "prove", str(seq))
    keys = httpx2.get(f"{server.issuer}/audit/key", trust_env=False).text.splitlines()
    entry = base64.b64decode(proved["entry"])
    body = json.dumps(proved["event"], separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()

    assert entry == b"\x01" + commit_to(base64.b64decode(proved["nonce"]), body)
    for proof in (proved["proof"], text):
        assert check_proof(parse_proof(proof), entry, [parse_vkey(key) for key in keys]).size > seq
    assert json.loads(run("audit", "verify", "--json"))["events"] > seq


def test_a_suspended_agent_is_ended_everywhere_at_once(server: Running) -> None:
    client_id, secret = server.add_agent("ended", "ai-agent-readonly")
    token = server.access_token(client_id, secret)
    assert call(server, token, "search_contacts", query="a").status_code == 200

    server.api("POST", f"/api/v1/agents/{client_id}/suspend")

    after = call(server, token, "search_contacts", query="a")
    asked = server.token(client_id, secret)
    assert after.status_code == 401
    assert 'error="invalid_token"' in after.headers["www-authenticate"]
    assert asked.json()["error"] == "invalid_client"


def test_a_stranger_is_told_where_to_get_a_token(server: Running) -> None:
    answer = httpx2.post(f"{server.issuer}/gateway/crm/mcp", json={}, trust_env=False)

    challenge = answer.headers["www-authenticate"]
    address = challenge.split('resource_metadata="')[1].rstrip('"')
    resource = httpx2.get(address, trust_env=False).json()
    metadata = httpx2.get(
        resource["authorization_servers"][0] + "/.well-known/oauth-authorization-server", trust_env=False
    ).json()
    assert answer.status_code == 401
    assert "error=" not in challenge
    assert resource["resource"] == f"{server.issuer}/gateway/crm/mcp"
    assert "crm:contacts.read" in resource["scopes_supported"]
    assert metadata["issuer"] == server.issuer
    assert httpx2.get(metadata["jwks_uri"], trust_env=False).json()["keys"][0]["alg"] == "ES256"


def test_a_policy_that_reads_arguments_refuses_by_name(server: Running) -> None:
    client_id, secret = server.add_agent("limited", "ai-agent-operator")
    source = """
    @id("small-deals-only")
    @description("Deals above 1,000 need a person.")
    forbid (principal, action == Action::"crm.deals.update", resource)
    when { context.args has amount && context.args.amount > 1000 };
    """
    server.api("POST", "/api/v1/policies", {"sources": {"deals.cedar": source}})
    token = server.access_token(client_id, secret)

    small = call(server, token, "update_deal", id=1, stage="won", amount=900)
    large = call(server, token, "update_deal", id=1, stage="won", amount=9000)

    server.api("POST", "/api/v1/policies", {"sources": {}})
    assert not small.json()["result"].get("isError"), small.text
    assert large.json()["result"]["isError"]
    assert "small-deals-only" in large.json()["result"]["content"][0]["text"]


def test_several_workers_share_one_log_and_one_epoch(tmp_path: Path, own_crm: RunningCrm) -> None:
    with running(tmp_path / "data", ACCREDIT_WORKERS="2") as server:
        server.add_crm(own_crm.url)
        client_id, secret = server.add_agent("shared", "ai-agent-readonly")
        # The other worker hears of the system by its next poll, 250 ms later at most.
        time.sleep(1.0)
        statuses = set()
        for _ in range(12):
            token = server.access_token(client_id, secret)
            statuses.add(call(server, token, "search_contacts", query="a").status_code)
        proof = server.api("GET", "/api/v1/audit/events/5/proof")
        server.api("POST", f"/api/v1/agents/{client_id}/suspend")
        time.sleep(1.2)
        refused = {call(server, token, "search_contacts", query="a").status_code for _ in range(12)}
        seqs = [one["seq"] for one in server.events()]

        assert statuses == {200}
        assert refused == {401}
        assert seqs == list(range(len(seqs)))
        assert proof["seq"] == 5
        assert server.stop() == 0
