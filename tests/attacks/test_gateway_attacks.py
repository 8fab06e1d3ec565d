"""Attacks on gateways and proxies of MCP that happened elsewhere, each named by where it is written down."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.gateway.requests import legacy
from tests.gateway.served import Served, modern, routing, with_scripted
from tests.gateway.upstreams import OK, Received, Upstream, answering, answering_well
from tests.rooms import ADMINISTRATOR

SESSION = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: up-1\r\nContent-Length: %LENGTH%\r\n\r\n"
)
INITIALIZED = (
    b'{"jsonrpc":"2.0","id":%ID%,"result":{"protocolVersion":"2025-11-25","capabilities":{},'
    b'"serverInfo":{"name":"s","version":"1"}}}'
)
INITIALIZE = legacy("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}})


@pytest.mark.parametrize(
    "body",
    [
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_contacts","Name":"delete_contact"}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_contacts","name":"delete_contact"}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/list","METHOD":"tools/call","params":{"name":"delete_contact"}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_contacts"},"Paramſ":{}}',
        '[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_contact"}}]',
    ],
)
def test_case_variant_and_duplicate_keys_smuggle_no_call(tmp_path: Path, body: str) -> None:
    """go-sdk CVE-2026-27896; Envoy AI Gateway GHSA-4gph-2hhr-5mwg."""

    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.post(reader, body.encode())

        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == -32600
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (legacy("tools/call", {"name": "delete_contact", "arguments": {"id": 1}}), {}),
        (
            legacy("tools/call", {"name": "delete_contact", "arguments": {"id": 1}}),
            {"MCP-Protocol-Version": "2025-06-18"},
        ),
        (
            legacy("tools/call", {"name": "delete_contact", "arguments": {"id": 1}}),
            {"MCP-Protocol-Version": "2025-11-25"},
        ),
        (modern("tools/call", {"name": "delete_contact", "arguments": {"id": 1}}), routing("delete_contact")),
    ],
)
def test_no_revision_is_a_way_round_policy(tmp_path: Path, body: Any, headers: dict[str, str]) -> None:
    """MCP Toolbox CVE-2026-11719: an older version header skipped the scopes."""

    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.post(reader, body, **headers)

        assert answer.json()["result"]["isError"] is True
        assert answer.json()["result"]["_meta"]["accredit/policies"] == ["default-deny"]
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


@pytest.mark.parametrize(
    "headers",
    [
        {"MCP-Protocol-Version": "2025-11-25", "Mcp-Name": "search_contacts", "Mcp-Method": "tools/call"},
        {"Mcp-Name": "search_contacts"},
        {**routing("search_contacts")},
    ],
)
def test_a_header_cannot_name_another_tool_than_the_body(tmp_path: Path, headers: dict[str, str]) -> None:
    """Specification 2026-07-28, transports: header and body mismatch; era confusion."""

    async def act(served: Served, upstream: Upstream) -> None:
        admin = await served.agent("admin", "ai-agent-admin")

        answer = await served.post(admin, modern("tools/call", {"name": "delete_contact"}), **headers)

        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == -32020
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


def test_agents_with_the_same_request_id_do_not_see_each_others_answers(tmp_path: Path) -> None:
    """TypeScript SDK CVE-2026-25536: id collision leaked replies."""

    async def handle(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = msgspec.json.decode(request.body)["params"]["arguments"]["query"]
        await asyncio.sleep(0.001 * (int(query) % 7))
        await answering(
            OK,
            b'{"jsonrpc":"2.0","id":%ID%,"result":{"content":[],"structuredContent":{"q":"' + query.encode() + b'"}}}',
        )(request, reader, writer)

    async def act(served: Served, upstream: Upstream) -> None:
        agents = [await served.agent(f"agent-{n}") for n in range(4)]

        async def ask(n: int) -> tuple[str, str]:
            answer = await served.call(agents[n % 4], "search_contacts", {"query": str(n)}, 1)
            return str(n), answer.json()["result"]["structuredContent"]["q"]

        pairs = await asyncio.gather(*(ask(n) for n in range(100)))

        assert all(asked == answered for asked, answered in pairs)

    with_scripted(tmp_path, handle, act)


def test_headers_that_upstreams_trust_do_not_come_from_outside(tmp_path: Path) -> None:
    """Kuadrant GHSA-g53w-w6mj-hrpp: an internal header was a key. Specification: token passthrough is forbidden."""

    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()
        hostile = {
            "X-Accredit-Agent": "root",
            "X-Envoy-Original-Path": "/admin",
            "X-Forwarded-For": "10.0.0.1",
            "Forwarded": "for=10.0.0.1",
            "Cookie": "session=1",
            "Proxy-Authorization": "Basic x",
        }

        await served.post(reader, legacy("tools/call", {"name": "search_contacts"}), **hostile)

        arrived = upstream.received[0]
        assert {name for name, _ in arrived.headers} == {
            *("host", "accept", "content-type", "user-agent", "content-length"),
        }
        assert reader.token.encode() not in arrived.body + str(arrived.headers).encode()

    with_scripted(tmp_path, answering_well, act)


def test_a_session_is_of_one_agent_in_one_epoch(tmp_path: Path) -> None:
    """MCP security best practices, "Session hijacking"."""

    async def act(served: Served, upstream: Upstream) -> None:
        owner, thief = await served.agent("owner"), await served.agent("thief")
        sealed = (await served.post(owner, INITIALIZE)).headers["mcp-session-id"]
        sent = len(upstream.received)

        async def use(who: Any, session: str) -> int:
            return (await served.post(who, legacy("ping"), **{"Mcp-Session-Id": session})).status_code

        stolen = await use(thief, sealed)
        stream = await served.client.get(served.url, headers={**thief.headers, "Mcp-Session-Id": sealed})
        ended = await served.client.delete(served.url, headers={**thief.headers, "Mcp-Session-Id": sealed})
        guessed = await use(owner, "up-1")
        changed = await use(owner, sealed[:-2] + ("A" if sealed[-2] != "A" else "B") + sealed[-1])
        assert (stolen, stream.status_code, ended.status_code, guessed, changed) == (404, 404, 404, 404, 404)
        assert len(upstream.received) == sent

        await served.rooms.agents.suspend("owner", ADMINISTRATOR)
        await served.rooms.agents.resume("owner", ADMINISTRATOR)
        await served.rooms.feed.poll()
        back = await served.token_for(await served.rooms.agents.named("owner"))
        assert await use(back, sealed) == 404
        assert len(upstream.received) == sent

    with_scripted(tmp_path, answering(SESSION, INITIALIZED), act)


def test_a_list_for_one_agent_is_not_for_another(tmp_path: Path) -> None:
    """Asana, June 2025: one tenant's cached data served to another."""
    tools = b'"tools":[{"name":"create_contact"},{"name":"get_contact"}]'
    answer = b'{"jsonrpc":"2.0","id":%ID%,"result":{"cacheScope":"public","ttlMs":9,' + tools + b"}}"

    async def act(served: Served, upstream: Upstream) -> None:
        reader, operator = await served.agent(), await served.agent("operator", "ai-agent-operator")

        lists = [
            (await served.post(who, modern("tools/list"), **routing(method="tools/list"))).json()["result"]
            for who in (operator, reader, operator)
        ]

        assert [[tool["name"] for tool in one["tools"]] for one in lists] == [
            ["create_contact", "get_contact"],
            ["get_contact"],
            ["create_contact", "get_contact"],
        ]
        assert {one["cacheScope"] for one in lists} == {"private"}

    with_scripted(tmp_path, answering(OK, answer), act)


def test_a_posted_cancellation_cannot_name_another_agents_request(tmp_path: Path) -> None:
    """Specification 2026-07-28: a disconnect cancels, and a posted `cancelled` is never honoured."""

    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}

        answer = await served.post(reader, cancelled, **routing(method="notifications/cancelled"))

        assert answer.status_code == 202
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


@pytest.mark.parametrize("depth", [65, 5_000, 200_000])
def test_deep_nesting_is_refused_and_the_server_lives(tmp_path: Path, depth: int) -> None:
    """Issue 1, "Bad input"."""

    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()
        nested = b"[" * depth + b"]" * depth
        call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_contacts","arguments":{"query":'

        answer = await served.post(reader, call + nested + b"}}}")
        after = await served.call(reader, "search_contacts", {"query": "a"})

        assert answer.status_code == 400
        assert after.status_code == 200

    with_scripted(tmp_path, answering_well, act)


def test_a_request_state_is_of_one_agent(tmp_path: Path) -> None:
    """Specification 2026-07-28, multi round-trip requests: the state is bound to who it was given to."""
    asking = (
        b'{"jsonrpc":"2.0","id":%ID%,"result":{"resultType":"input_required",'
        b'"requestState":"state-of-the-upstream","inputRequests":{}}}'
    )

    async def act(served: Served, upstream: Upstream) -> None:
        owner, thief = await served.agent("owner"), await served.agent("thief")
        call = {"name": "search_contacts", "arguments": {"query": "a"}}
        asked = await served.post(owner, modern("tools/call", call), **routing("search_contacts"))
        state = asked.json()["result"]["requestState"]

        async def bring(who: Any, what: Any) -> int:
            again = modern("tools/call", {**call, "requestState": what})
            return (await served.post(who, again, **routing("search_contacts"))).status_code

        assert "state-of-the-upstream" not in state
        assert await bring(owner, state) == 200
        assert msgspec.json.decode(upstream.received[-1].body)["params"]["requestState"] == "state-of-the-upstream"
        assert [await bring(thief, state), await bring(owner, "state-of-the-upstream"), await bring(owner, 7)] == [
            400,
            400,
            400,
        ]
        assert len(upstream.received) == 2

    with_scripted(tmp_path, answering(OK, asking), act)
