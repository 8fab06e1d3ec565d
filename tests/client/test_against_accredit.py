"""The SDK against a real Accredit: tokens, tool calls by the MCP SDK, and refusals with the number of their event."""

import asyncio
from collections.abc import Iterator

import httpx2
import msgspec
import pytest
from joserfc.jwk import ECKey

from accredit.client import (
    ApprovalRequired,
    ClientError,
    ClientSecret,
    CredentialRefused,
    Denied,
    OAuth,
    PrivateKey,
    connect,
    raise_for_decision,
)
from tests.examples.conftest import RunningCrm, crm
from tests.server.running import Running, running

__all__ = ["crm"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crm: RunningCrm) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("client") / "data") as server:
        server.add_crm(crm.url)
        yield server


def address(server: Running) -> str:
    return f"{server.issuer}/gateway/crm/mcp"


def as_agent(server: Running, name: str, *roles: str) -> OAuth:
    client_id, secret = server.add_agent(name, *roles)
    return OAuth(address(server), ClientSecret(client_id, secret, issuer=server.issuer))


def test_a_secret_gets_a_token_and_the_mcp_sdk_calls_a_tool(server: Running) -> None:
    auth = as_agent(server, "reads", "ai-agent-readonly")

    async def act() -> None:
        async with connect(address(server), auth) as client:
            result = raise_for_decision(await client.call_tool("search_contacts", {"query": "a"}))
            assert not result.is_error
            assert result.meta is not None and "accredit/event" in result.meta

    asyncio.run(act())


def test_a_call_that_policy_refuses_is_denied_with_its_event(server: Running) -> None:
    auth = as_agent(server, "refused", "ai-agent-readonly")

    async def act() -> None:
        async with connect(address(server), auth) as client:
            raise_for_decision(await client.call_tool("delete_contact", {"id": 1}))

    with pytest.raises(Denied) as caught:
        asyncio.run(act())

    assert caught.value.policies
    assert caught.value.next_step
    event = server.api("GET", f"/api/v1/audit/events/{caught.value.event}")
    assert event["decision"] == "deny"


def test_a_call_that_a_person_could_approve_says_so(server: Running) -> None:
    auth = as_agent(server, "asks", "ai-agent-admin")

    async def act() -> None:
        async with connect(address(server), auth) as client:
            raise_for_decision(await client.call_tool("export_contacts", {}))

    with pytest.raises(ApprovalRequired) as caught:
        asyncio.run(act())

    assert "approval" in caught.value.next_step
    assert server.api("GET", f"/api/v1/audit/events/{caught.value.event}")["decision"] == "step_up"


def test_a_json_rpc_refusal_comes_out_of_the_sdk_as_it_is_meant(server: Running) -> None:
    auth = as_agent(server, "no-prompts")

    async def act() -> None:
        async with connect(address(server), auth) as client:
            await client.get_prompt("follow_up", {"name": "Ada"})

    with pytest.raises(ClientError) as caught:
        asyncio.run(act())

    assert caught.value.next_step


def test_a_key_gets_a_token(server: Running) -> None:
    key = ECKey.generate_key("P-256", private=True)
    agent = server.api(
        "POST",
        "/api/v1/agents",
        {"name": "keyed", "owner": "ana@example.com", "roles": ["ai-agent-readonly"], "systems": ["crm"]},
    )
    jwks = {"keys": [key.as_dict(private=False)]}
    server.api("POST", f"/api/v1/agents/{agent['id']}/credentials", {"kind": "public_key", "jwks": jwks})
    text = msgspec.json.encode(key.as_dict(private=True)).decode()

    token = OAuth(address(server), PrivateKey(agent["id"], text, issuer=server.issuer)).get_token()

    assert token.token_type == "Bearer"
    assert "crm:contacts.read" in token.scope


def test_a_wrong_secret_is_refused_with_an_event_and_advice(server: Running) -> None:
    client_id, _ = server.add_agent("mistaken", "ai-agent-readonly")

    with pytest.raises(CredentialRefused) as caught:
        OAuth(address(server), ClientSecret(client_id, "wrong", issuer=server.issuer)).get_token()

    assert caught.value.code == "invalid_client"
    assert isinstance(caught.value.event, int)
    assert caught.value.next_step


def test_an_agent_that_was_suspended_is_refused_at_its_next_call(server: Running) -> None:
    auth = as_agent(server, "ended", "ai-agent-readonly")
    client_id = auth.get_token().client_id
    server.api("POST", f"/api/v1/agents/{client_id}/suspend")

    with httpx2.Client(timeout=20, trust_env=False) as http, pytest.raises(CredentialRefused) as caught:
        http.post(address(server), json={}, auth=auth)

    assert caught.value.code == "invalid_client"


def test_an_unpinned_client_finds_accredit_by_the_gateways_challenge(server: Running) -> None:
    client_id, secret = server.add_agent("finds", "ai-agent-readonly")
    auth = OAuth(address(server), ClientSecret(client_id, secret, issuer=None))

    async def act() -> list[str]:
        async with connect(address(server), auth) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    assert "search_contacts" in asyncio.run(act())
