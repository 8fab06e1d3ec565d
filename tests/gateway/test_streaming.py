"""Streams pass as they come, in both directions; who leaves is noticed at the other end at once."""

import asyncio
from pathlib import Path

import pytest

from accredit.gateway.proxy import Limits
from tests.gateway.requests import legacy
from tests.gateway.served import AgentWithToken, Served, modern, routing, with_scripted
from tests.gateway.upstreams import EVENTS, Received, Upstream, answering, chunk, until_closed
from tests.rooms import ADMINISTRATOR

NOTE = b'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n'
SESSION = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: up-1\r\nContent-Length: %LENGTH%\r\n\r\n"
)
INITIALIZED = (
    b'{"jsonrpc":"2.0","id":%ID%,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"logging":{},'
    b'"tasks":{}},"serverInfo":{"name":"s","version":"1"}}}'
)
INITIALIZE = legacy(
    "initialize",
    {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
)


class Gate:
    """An upstream that sends one event and the answer when it is told to, and notices when it is left."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()
        self.left = asyncio.Event()

    async def stream(self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(EVENTS + chunk(NOTE))
        await writer.drain()
        self.arrived.set()
        if await self._left_before_going_on(reader):
            return
        answer = b'id: 9\ndata: {"jsonrpc":"2.0","id":1,"result":{"content":[]}}\n\n'
        writer.write(chunk(answer) + chunk(b""))

    async def silent(self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.arrived.set()
        await until_closed(reader)
        self.left.set()

    async def _left_before_going_on(self, reader: asyncio.StreamReader) -> bool:
        leaving = asyncio.create_task(until_closed(reader))
        going_on = asyncio.create_task(self.go_on.wait())
        await asyncio.wait((leaving, going_on), return_when=asyncio.FIRST_COMPLETED)
        went_on = going_on.done()
        for task in (leaving, going_on):
            task.cancel()
        await asyncio.gather(leaving, going_on, return_exceptions=True)
        if not went_on:
            self.left.set()
        return not went_on


async def _open(served: Served, who: AgentWithToken) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A tool call by hand, so that the connection can be left at any moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_contacts","arguments":{}}}'
    head = (
        "POST /gateway/crm/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {who.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    return reader, writer


def test_an_event_reaches_the_client_before_the_stream_goes_on(tmp_path: Path) -> None:
    gate = Gate()

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        reader, writer = await _open(served, who)

        first = await asyncio.wait_for(reader.readuntil(NOTE), 5)
        assert not gate.go_on.is_set()
        gate.go_on.set()
        rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)

        assert b"content-type: text/event-stream" in first.lower()
        assert b"x-accredit-event:" in first.lower()
        assert b"id: 9\ndata: " in rest
        assert b'"accredit/event":' in rest
        assert await served.outcomes(1) == ["ok"]
        writer.close()

    with_scripted(tmp_path, gate.stream, act)


def test_a_client_that_leaves_a_stream_is_noticed_upstream_at_once(tmp_path: Path) -> None:
    gate = Gate()

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        reader, writer = await _open(served, who)
        await asyncio.wait_for(reader.readuntil(NOTE), 5)

        writer.close()

        await asyncio.wait_for(gate.left.wait(), 5)
        assert await served.outcomes(1) == ["client_gone"]

    with_scripted(tmp_path, gate.stream, act)


def test_a_client_that_leaves_before_any_answer_is_noticed_upstream_at_once(tmp_path: Path) -> None:
    gate = Gate()

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        _, writer = await _open(served, who)
        await asyncio.wait_for(gate.arrived.wait(), 5)

        writer.close()

        await asyncio.wait_for(gate.left.wait(), 5)
        assert await served.outcomes(1) == ["client_gone"]
        assert served.gateway.live.count(who.agent.id) == 0

    with_scripted(tmp_path, gate.silent, act)


def test_a_stream_outlives_the_limit_for_whole_answers(tmp_path: Path) -> None:
    gate = Gate()

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        reader, writer = await _open(served, who)
        await asyncio.wait_for(reader.readuntil(NOTE), 5)

        await asyncio.sleep(0.3)
        gate.go_on.set()

        assert b'"result"' in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
        writer.close()

    with_scripted(tmp_path, gate.stream, act, limits=Limits(answer_seconds=0.2))


def test_a_suspended_agents_stream_ends_at_once(tmp_path: Path) -> None:
    gate = Gate()

    async def act(served: Served, upstream: Upstream) -> None:
        who, other = await served.agent(), await served.agent("other")
        reader, writer = await _open(served, who)
        await asyncio.wait_for(reader.readuntil(NOTE), 5)
        await served.rooms.agents.suspend("reader", ADMINISTRATOR)
        served.gateway.live.end_stale(other.agent.id)
        served.gateway.live.end_stale(who.agent.id)

        await asyncio.wait_for(gate.left.wait(), 5)
        rest = await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
        assert rest.strip() == b"0"
        assert await served.outcomes(1) == ["agent_ended"]
        writer.close()

    with_scripted(tmp_path, gate.stream, act)


def test_a_suspended_agents_call_that_waits_for_its_answer_is_refused(tmp_path: Path) -> None:
    gate = Gate()

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        pending = asyncio.create_task(served.call(who, "search_contacts", {"query": "a"}))
        await asyncio.wait_for(gate.arrived.wait(), 5)
        await served.rooms.agents.suspend("reader", ADMINISTRATOR)
        served.gateway.live.end_stale(who.agent.id)

        answer = await asyncio.wait_for(pending, 5)
        assert answer.json()["result"]["isError"] is True
        assert answer.json()["result"]["_meta"]["accredit/policies"] == ["agent-status"]
        assert await served.outcomes(1) == ["agent_ended"]

    with_scripted(tmp_path, gate.silent, act)


def test_an_unchanged_agents_stream_goes_on(tmp_path: Path) -> None:
    gate = Gate()

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        reader, writer = await _open(served, who)
        await asyncio.wait_for(reader.readuntil(NOTE), 5)

        served.gateway.live.end_stale(who.agent.id)
        await asyncio.sleep(0.05)
        gate.go_on.set()

        assert b'"result"' in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
        writer.close()

    with_scripted(tmp_path, gate.stream, act)


def test_the_get_stream_passes_and_ends_with_the_token(tmp_path: Path) -> None:
    gate = Gate()

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        served.rooms.clock.move(299.7)  # the token lives 300 seconds

        async with served.client.stream("GET", served.url, headers={**who.headers, "Last-Event-ID": "e-7"}) as answer:
            pieces = [piece async for piece in answer.aiter_raw()]

        assert answer.status_code == 200
        assert b"".join(pieces) == NOTE
        # It could name another agent's stream, or an answer that was not filtered.
        assert upstream.received[0].header("last-event-id") is None
        assert await served.outcomes(1) == ["token_expired"]
        await asyncio.wait_for(gate.left.wait(), 5)

    with_scripted(tmp_path, gate.stream, act)


def test_a_session_id_is_sealed_and_opened_on_the_way(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        opened = await served.post(who, INITIALIZE)
        sealed = opened.headers["mcp-session-id"]
        await served.post(who, legacy("ping"), **{"Mcp-Session-Id": sealed})
        ended = await served.client.delete(served.url, headers={**who.headers, "Mcp-Session-Id": sealed})

        assert "up-1" not in sealed
        assert [request.header("mcp-session-id") for request in upstream.received] == [None, "up-1", "up-1"]
        assert ended.status_code == 200
        assert opened.json()["result"]["capabilities"] == {"tools": {}}
        sessions = {event.session for event in await served.events() if event.type == "call.decided"}
        assert len(sessions) == 2
        assert "up-1" not in str(sessions)

    with_scripted(tmp_path, answering(SESSION, INITIALIZED), act)


@pytest.mark.parametrize("status", [404, 405])
def test_what_the_server_says_to_get_and_delete_is_passed_on(tmp_path: Path, status: int) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        got = await served.client.get(served.url, headers=who.headers)
        deleted = await served.client.delete(served.url, headers=who.headers)

        assert (got.status_code, deleted.status_code) == (status, status)

    with_scripted(tmp_path, answering(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()), act)


def test_posted_responses_and_notifications_are_accepted(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        response = await served.post(who, {"jsonrpc": "2.0", "id": "s-1", "result": {}})
        notification = await served.post(who, {"jsonrpc": "2.0", "method": "notifications/initialized"})

        assert (response.status_code, response.content) == (202, b"")
        assert (notification.status_code, notification.content) == (202, b"")
        assert len(upstream.received) == 2

    with_scripted(tmp_path, answering(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"), act)


def test_a_stream_that_ends_without_an_answer_is_cut_even_if_it_could_be_resumed(tmp_path: Path) -> None:
    priming = b"id: e-1\nretry: 10\ndata:\n\n"

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        answer = await served.post(who, legacy("tools/call", {"name": "search_contacts", "arguments": {}}))

        assert answer.content.startswith(priming)
        assert b'"code":502' in answer.content
        assert await served.outcomes(1) == ["upstream_cut"]

    with_scripted(tmp_path, answering(EVENTS + chunk(priming) + chunk(b"")), act)


def test_a_list_that_comes_as_a_stream_is_answered_whole(tmp_path: Path) -> None:
    tools = b'[{"name":"search_contacts"},{"name":"get_contact"},{"name":"delete_contact"},{"name":"unheard_of"}]'
    answer = b'data: {"jsonrpc":"2.0","id":1,"result":{"tools":' + tools + b',"ttlMs":5000,"cacheScope":"public"}}\n\n'

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        listed = await served.post(who, modern("tools/list"), **routing(method="tools/list"))

        assert listed.headers["content-type"] == "application/json"
        result = listed.json()["result"]
        assert [tool["name"] for tool in result["tools"]] == ["get_contact", "search_contacts"]
        assert (result["cacheScope"], result["ttlMs"]) == ("private", 5000)

    with_scripted(tmp_path, answering(EVENTS + chunk(NOTE) + chunk(answer) + chunk(b"")), act)


def test_an_upstream_cannot_ask_the_clients_model(tmp_path: Path) -> None:
    asking = b'data: {"jsonrpc":"2.0","id":"s","method":"samp\\u006cing/createMessage","params":{}}\n\n'
    answer = b'data: {"jsonrpc":"2.0","id":1,"result":{"content":[]}}\n\n'
    opening = {"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}, "roots": {}}, "clientInfo": {}}

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        called = await served.post(who, legacy("tools/call", {"name": "search_contacts", "arguments": {}}))
        stream = await served.client.get(served.url, headers=who.headers)
        await served.post(who, legacy("initialize", opening))

        assert "createMessage" not in called.text + stream.text
        assert '"result"' in called.text
        assert b"sampling" not in upstream.received[-1].body
        assert b"roots" in upstream.received[-1].body

    with_scripted(tmp_path, answering(EVENTS + chunk(asking) + chunk(answer) + chunk(b"")), act)


def test_a_connection_serves_again_after_a_stream_that_was_read_to_its_answer(tmp_path: Path) -> None:
    async def handle(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(EVENTS + chunk(b'data: {"jsonrpc":"2.0","id":1,"result":{"content":[]}}\n\n'))
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(chunk(b""))

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        for _ in range(3):
            await served.post(who, legacy("tools/call", {"name": "search_contacts", "arguments": {}}))
            await asyncio.sleep(0.1)

        assert upstream.connections == 1

    with_scripted(tmp_path, handle, act)


def test_streams_end_when_the_server_stops_and_calls_do_not(tmp_path: Path) -> None:
    gate = Gate()

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        reader, writer = await _open(served, who)
        await asyncio.wait_for(reader.readuntil(NOTE), 5)
        async with served.client.stream("GET", served.url, headers=who.headers) as stream:
            pieces = stream.aiter_raw()
            first = await anext(pieces)

            served.gateway.live.end_streams()
            rest = [piece async for piece in pieces]
        gate.go_on.set()

        assert (first, rest) == (NOTE, [])
        assert b'"result"' in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
        assert sorted(map(str, await served.outcomes(2))) == ["ok", "server_stopping"]
        writer.close()

    with_scripted(tmp_path, gate.stream, act)
