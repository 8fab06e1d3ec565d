"""The example CRM, driven by the official SDK's client in each revision that it speaks."""

import asyncio
import csv
import io
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent, TextResourceContents
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from tests.examples.conftest import ROOT, RunningCrm

_TOOLS = [
    "create_contact",
    "delete_contact",
    "export_contacts",
    "get_contact",
    "list_deals",
    "search_contacts",
    "update_deal",
]
# The SDK's client opens a session ("legacy") or sends each request on its own.
_MODES = ["legacy", "2026-07-28"]


def _call(crm: RunningCrm, tool: str, arguments: dict[str, Any], mode: str = "2026-07-28") -> Any:
    async def call() -> Any:
        async with Client(crm.url, mode=mode) as client:
            return await client.call_tool(tool, arguments)

    return asyncio.run(asyncio.wait_for(call(), 20))


def _text(result: Any) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.parametrize("mode", _MODES)
def test_tools_are_listed_in_each_era(crm: RunningCrm, mode: str) -> None:
    async def names() -> list[str]:
        async with Client(crm.url, mode=mode) as client:
            return sorted(tool.name for tool in (await client.list_tools()).tools)

    listed = asyncio.run(asyncio.wait_for(names(), 20))

    assert listed == _TOOLS


@pytest.mark.parametrize("mode", _MODES)
def test_a_tool_a_resource_and_a_prompt_answer_in_each_era(crm: RunningCrm, mode: str) -> None:
    async def all_three() -> tuple[Any, Any, Any]:
        async with Client(crm.url, mode=mode) as client:
            found = await client.call_tool("get_contact", {"id": 1})
            read = await client.read_resource("crm://contacts/1")
            prompt = await client.get_prompt("follow_up", {"company": "Lumen Optics"})
            return found, read, prompt

    found, read, prompt = asyncio.run(asyncio.wait_for(all_three(), 20))

    assert found.structured_content["name"] == "Amara Okafor"
    assert isinstance(read.contents[0], TextResourceContents)
    assert '"name":"Amara Okafor"' in read.contents[0].text
    assert "Lumen Optics" in prompt.messages[0].content.text


@pytest.mark.parametrize("revision", HANDSHAKE_PROTOCOL_VERSIONS)
def test_a_session_is_opened_in_the_revision_that_the_client_asks_for(crm: RunningCrm, revision: str) -> None:
    opening = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
    }

    with httpx2.Client(headers={"Accept": "application/json, text/event-stream"}, timeout=10) as http:
        answer = http.post(crm.url, json=opening)

    assert answer.status_code == 200
    assert answer.headers["Mcp-Session-Id"]
    assert f'"protocolVersion":"{revision}"' in answer.text


def test_a_session_is_closed_by_its_client(crm: RunningCrm) -> None:
    async def open_and_close() -> int:
        async with httpx2.AsyncClient(timeout=10) as http:
            seen: list[str] = []

            async def note(response: httpx2.Response) -> None:
                if session := response.headers.get("Mcp-Session-Id"):
                    seen.append(session)

            http.event_hooks["response"].append(note)
            async with (
                streamable_http_client(crm.url, http_client=http) as (reads, writes),
                ClientSession(reads, writes) as session,
            ):
                await session.initialize()
            listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
            headers = {"Mcp-Session-Id": seen[0], "Accept": "application/json, text/event-stream"}
            return (await http.post(crm.url, json=listing, headers=headers)).status_code

    status = asyncio.run(asyncio.wait_for(open_and_close(), 20))

    assert status == 404


def test_annotations_tell_reading_from_overwriting(crm: RunningCrm) -> None:
    async def annotations() -> dict[str, tuple[bool | None, bool | None]]:
        async with Client(crm.url) as client:
            tools = (await client.list_tools()).tools
            return {
                t.name: (t.annotations.read_only_hint, t.annotations.destructive_hint) for t in tools if t.annotations
            }

    hints = asyncio.run(asyncio.wait_for(annotations(), 20))

    assert [name for name, (reads, _) in hints.items() if not reads] == [
        "create_contact",
        "update_deal",
        "delete_contact",
    ]
    assert hints["create_contact"] == (False, False)
    assert hints["update_deal"] == (False, True)
    assert hints["delete_contact"] == (False, True)


def test_search_looks_in_name_email_and_company_and_keeps_to_its_limit(crm: RunningCrm) -> None:
    by_name = _call(crm, "search_contacts", {"query": "OKAFOR"}).structured_content["contacts"]
    by_company = _call(crm, "search_contacts", {"query": "Lumen", "limit": 3}).structured_content["contacts"]
    by_sign = _call(crm, "search_contacts", {"query": "%"}).structured_content["contacts"]

    assert all(contact["name"].endswith("Okafor") for contact in by_name)
    assert by_name
    assert [contact["company"] for contact in by_company] == ["Lumen Optics"] * 3
    assert by_sign == []


def test_a_deal_is_changed_and_stays_changed(own_crm: RunningCrm) -> None:
    _call(own_crm, "update_deal", {"id": 4, "stage": "won", "amount": 777})

    won = _call(own_crm, "list_deals", {"stage": "won"}).structured_content["deals"]

    assert [deal["amount"] for deal in won if deal["id"] == 4] == [777]


def test_a_contact_is_created_once_and_deleted_with_its_deals(own_crm: RunningCrm) -> None:
    person = {"name": "Ada Byron", "email": "ada@analytical.example", "company": "Analytical Engines"}
    deal = _call(own_crm, "list_deals", {}).structured_content["deals"][0]

    created = _call(own_crm, "create_contact", person)
    again = _call(own_crm, "create_contact", person)
    _call(own_crm, "delete_contact", {"id": deal["contact_id"]})

    assert not created.is_error
    assert again.is_error
    assert "another contact has the address" in _text(again)
    remaining = _call(own_crm, "list_deals", {}).structured_content["deals"]
    assert deal["contact_id"] not in {left["contact_id"] for left in remaining}


def test_the_export_is_csv_with_every_contact_and_no_formula(own_crm: RunningCrm) -> None:
    _call(own_crm, "create_contact", {"name": '=HYPERLINK("x")', "email": "f@x.example", "company": "A, B"})

    export = _call(own_crm, "export_contacts", {}).structured_content

    rows = list(csv.DictReader(io.StringIO(export["csv"])))
    assert export["rows"] == len(rows) == 61
    assert rows[-1]["name"] == '\'=HYPERLINK("x")'
    assert rows[-1]["company"] == "A, B"


def test_what_is_not_there_and_what_does_not_fit_is_refused_with_a_reason(crm: RunningCrm) -> None:
    async def missing_resource() -> MCPError:
        async with Client(crm.url) as client:
            with pytest.raises(MCPError) as caught:
                await client.read_resource("crm://contacts/9999")
            return caught.value

    missing = _call(crm, "get_contact", {"id": 9999})
    unknown_stage = _call(crm, "update_deal", {"id": 1, "stage": "stolen", "amount": 1})
    resource = asyncio.run(asyncio.wait_for(missing_resource(), 20))

    assert missing.is_error
    assert "there is no contact 9999" in _text(missing)
    assert unknown_stage.is_error
    assert "there is no contact 9999" in str(resource)


@pytest.mark.parametrize("mode", _MODES)
def test_each_call_that_arrives_is_noted_and_nothing_else(own_crm: RunningCrm, mode: str) -> None:
    async def list_and_call() -> None:
        async with Client(own_crm.url, mode=mode) as client:
            await client.list_tools()
            await client.call_tool("get_contact", {"id": 2})
            await client.call_tool("get_contact", {"id": "not a number"})

    asyncio.run(asyncio.wait_for(list_and_call(), 20))

    noted = [(call["tool"], call["arguments"]) for call in own_crm.calls()]
    assert noted == [("get_contact", {"id": 2}), ("get_contact", {"id": "not a number"})]
    assert all(str(call["revision"]).startswith("2026" if mode == "2026-07-28" else "2025") for call in own_crm.calls())


def test_sigterm_ends_it_cleanly_with_a_session_open(own_crm: RunningCrm) -> None:
    async def stop_while_open() -> int:
        async with httpx2.AsyncClient(timeout=10) as http:
            opening = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "initialize",
                "params": {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {},
                    "clientInfo": {"name": "test", "version": "1"},
                },
            }
            accept = {"Accept": "application/json, text/event-stream"}
            session = (await http.post(own_crm.url, json=opening, headers=accept)).headers["Mcp-Session-Id"]
            events = {"Accept": "text/event-stream", "Mcp-Session-Id": session}
            async with http.stream("GET", own_crm.url, headers=events):
                own_crm.process.send_signal(signal.SIGTERM)
                return await asyncio.to_thread(own_crm.process.wait, 15)

    code = asyncio.run(asyncio.wait_for(stop_while_open(), 30))

    assert code == 0


def test_a_taken_port_gets_a_clear_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, str(ROOT / "examples/crm/server.py"), "--port", str(taken.getsockname()[1])]

        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert "Choose another --port" in done.stderr
