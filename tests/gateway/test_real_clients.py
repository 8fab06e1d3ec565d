"""The official SDK's client through the gateway to the official SDK's server, in each revision that is served."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent, TextResourceContents

from tests.examples.conftest import RunningCrm
from tests.gateway.served import MODERN, AgentWithToken, Served, with_gateway, with_scripted
from tests.gateway.upstreams import Upstream, sessions_only

REVISIONS = ["2025-06-18", "2025-11-25", MODERN]


@pytest.fixture(params=REVISIONS)
def revision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The revision that the client opens with."""
    chosen = str(request.param)
    if chosen != MODERN:
        monkeypatch.setattr("mcp.client.session.LATEST_HANDSHAKE_VERSION", chosen)
    return chosen


@asynccontextmanager
async def connected(served: Served, who: AgentWithToken, revision: str) -> AsyncIterator[Client]:
    """A client of the SDK that speaks this revision."""
    async with httpx2.AsyncClient(headers=who.headers, timeout=20, verify=False) as http:
        transport = streamable_http_client(served.url, http_client=http)
        async with Client(transport, mode=MODERN if revision == MODERN else "legacy") as client:
            yield client


def _text(result: Any) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


def test_a_permitted_tool_a_resource_and_a_prompt_answer(tmp_path: Path, crm: RunningCrm, revision: str) -> None:
    async def act(served: Served) -> None:
        reader = await served.agent()

        async with connected(served, reader, revision) as client:
            found = await client.call_tool("get_contact", {"id": 1})
            read = await client.read_resource("crm://contacts/1")
            prompt = await client.get_prompt("follow_up", {"company": "Lumen Optics"})

        assert found.structured_content is not None
        assert found.structured_content["name"] == "Amara Okafor"
        assert isinstance(read.contents[0], TextResourceContents)
        assert '"name":"Amara Okafor"' in read.contents[0].text
        assert "Lumen Optics" in prompt.messages[0].content.text  # type: ignore[union-attr]
        actions = {event.action for event in await served.events() if event.decision == "permit"}
        assert {"crm.contacts.get", "crm.contacts.read", "crm.prompts.follow-up"} <= actions

    with_gateway(tmp_path, crm.url, act)


def test_a_tool_result_names_its_event_and_the_deciding_policy(tmp_path: Path, crm: RunningCrm, revision: str) -> None:
    async def act(served: Served) -> None:
        reader = await served.agent()

        async with connected(served, reader, revision) as client:
            found = await client.call_tool("get_contact", {"id": 1})

        assert found.meta is not None
        assert found.meta["accredit/policies"] == ["ai-agent-readonly"]
        assert isinstance(found.meta["accredit/event"], int)

    with_gateway(tmp_path, crm.url, act)


def test_a_refused_tool_is_a_result_that_says_why_and_never_reaches_the_system(
    tmp_path: Path, own_crm: RunningCrm, revision: str
) -> None:
    async def act(served: Served) -> None:
        reader = await served.agent()

        async with connected(served, reader, revision) as client:
            refused = await client.call_tool("delete_contact", {"id": 1})

        assert refused.is_error
        assert refused.meta is not None
        assert refused.meta["accredit/policies"] == ["default-deny"]
        text = _text(refused)
        assert "crm.contacts.delete" in text
        assert "default-deny" in text
        assert "ai-agent-admin" in text
        assert f"Event number in the log: {refused.meta['accredit/event']}" in text
        assert own_crm.calls() == []

    with_gateway(tmp_path, own_crm.url, act)


def test_an_agent_is_listed_what_it_could_be_permitted(tmp_path: Path, crm: RunningCrm, revision: str) -> None:
    async def act(served: Served) -> None:
        reader = await served.agent()
        operator = await served.agent("operator", "ai-agent-operator")

        async with connected(served, reader, revision) as client:
            for_reader = [tool.name for tool in (await client.list_tools()).tools]
            prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
            templates = (await client.list_resource_templates()).resource_templates
        async with connected(served, operator, revision) as client:
            for_operator = [tool.name for tool in (await client.list_tools()).tools]

        assert for_reader == ["export_contacts", "get_contact", "list_deals", "search_contacts"]
        assert set(for_operator) - set(for_reader) == {"create_contact", "update_deal"}
        assert for_operator == sorted(for_operator)
        assert prompts == ["follow_up"]
        assert [template.uri_template for template in templates] == ["crm://contacts/{id}"]

    with_gateway(tmp_path, crm.url, act)


def test_a_refused_resource_is_a_json_rpc_error_with_the_event(tmp_path: Path, crm: RunningCrm, revision: str) -> None:
    async def act(served: Served) -> None:
        reader = await served.agent()

        async with connected(served, reader, revision) as client:
            with pytest.raises(MCPError) as refused:
                await client.read_resource("crm://deals/1")

        assert refused.value.code == 403
        assert refused.value.error.data["policies"] == ["default-deny"]
        assert isinstance(refused.value.error.data["event"], int)
        assert "next_step" in refused.value.error.data

    with_gateway(tmp_path, crm.url, act)


def test_a_client_that_probes_settles_on_the_newest_revision(tmp_path: Path, crm: RunningCrm) -> None:
    async def act(served: Served) -> None:
        reader = await served.agent()

        async with (
            httpx2.AsyncClient(headers=reader.headers, timeout=20, verify=False) as http,
            Client(streamable_http_client(served.url, http_client=http)) as client,
        ):
            version = client.protocol_version
            await client.call_tool("get_contact", {"id": 1})

        assert version == MODERN

    with_gateway(tmp_path, crm.url, act)


def test_a_client_that_probes_falls_back_where_the_system_knows_sessions_only(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        async with (
            httpx2.AsyncClient(headers=reader.headers, timeout=20, verify=False) as http,
            Client(streamable_http_client(served.url, http_client=http)) as client,
        ):
            version = client.protocol_version
            tools = (await client.list_tools()).tools

        assert version == "2025-06-18"
        assert tools == []  # the manifest names none of them
        assert upstream.received[-1].method == "DELETE"

    with_scripted(tmp_path, sessions_only, act)
