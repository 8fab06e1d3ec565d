"""Ways to have an upstream do what policy refuses, each tried by a reviewer and closed."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from accredit.policy.cedar import compile_policies
from accredit.policy.starter import starter_sources
from tests.gateway.requests import legacy
from tests.gateway.served import Served, modern, routing, with_scripted
from tests.gateway.upstreams import Upstream, answering

FINE = answering(
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %LENGTH%\r\n\r\n",
    b'{"jsonrpc":"2.0","id":1,"result":{"content":[],"resultType":"complete"}}',
)


@pytest.mark.parametrize(
    ("era", "method"),
    [
        *((legacy, method) for method in ("tools/call", "resources/read", "prompts/get", "notifications/unheard_of")),
        *((modern, method) for method in ("tools/call", "resources/read", "prompts/get")),
    ],
)
def test_a_call_without_an_id_is_not_taken_for_a_notification(tmp_path: Path, era: Any, method: str) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()
        body = era(method, {"name": "delete_contact", "uri": "crm://contacts/1", "arguments": {"id": 1}})
        del body["id"]
        headers = routing("delete_contact", method) if era is modern else {}

        answer = await served.post(reader, body, **headers)

        assert answer.status_code == 400
        assert upstream.received == []
        event = (await served.events())[-1]
        assert (event.type, event.decision) == ("call.refused", "deny")

    with_scripted(tmp_path, FINE, act)


def test_a_token_does_no_more_than_its_scopes_whatever_policy_says(tmp_path: Path) -> None:
    source = """
    @id("from-here") @description("This network may delete.")
    permit (principal, action == Action::"crm.contacts.delete", resource) when { context.network == "127.0.0.1" };
    """

    async def act(served: Served, upstream: Upstream) -> None:
        narrow = await served.agent("narrow")
        served.policy.replace(compile_policies({**starter_sources(), "here.cedar": source}))

        refused = await served.call(narrow, "delete_contact", {"id": 1})
        entitled = served.policy.entitled_scopes(narrow.agent, _crm(served))
        wide = await served.token_for(narrow.agent)
        done = await served.call(wide, "delete_contact", {"id": 1})

        assert refused.status_code == 403
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
        assert "crm:contacts.delete" in entitled
        assert done.status_code == 200
        assert len(upstream.received) == 1

    with_scripted(tmp_path, FINE, act)


def _crm(served: Served) -> Any:
    return served.rooms.systems.get("crm")


def test_what_a_stream_of_notices_answers_is_not_passed_on(tmp_path: Path) -> None:
    events = (
        b'data: {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"}]}}\n\n'
        b'data: {"jsonrpc":"2.0","id":1,"\\u0072esult":{"tools":[{"name":"secret"}]}}\n\n'
        b'\xef\xbb\xbfdata: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n'
        b'data: {"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}\n\n'
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %LENGTH%\r\n\r\n"

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        async with asyncio.timeout(10), served.client.stream("GET", served.url, headers=who.headers) as answer:
            text = b"".join([piece async for piece in answer.aiter_raw()])

        assert b"secret" not in text
        assert b"prompts/list_changed" in text

    with_scripted(tmp_path, answering(head, events), act)


def test_a_byte_order_mark_hides_no_request_for_sampling(tmp_path: Path) -> None:
    events = (
        b'\xef\xbb\xbfdata: {"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{}}\n\n'
        b'data: {"jsonrpc":"2.0","id":1,"result":{"content":[]}}\n\n'
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %LENGTH%\r\n\r\n"

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        answer = await served.post(who, legacy("tools/call", {"name": "get_contact", "arguments": {"id": 1}}))

        assert b"sampling" not in answer.content
        assert b'"result"' in answer.content

    with_scripted(tmp_path, answering(head, events), act)


def test_a_batch_on_a_stream_hides_no_request_for_sampling(tmp_path: Path) -> None:
    events = (
        b'data: [{"jsonrpc":"2.0","id":9,"method":"sampling/createMessage","params":{}}]\n\n'
        b'data: {"jsonrpc":"2.0","id":1,"result":{"content":[]}}\r\r'
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %LENGTH%\r\n\r\n"

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        answer = await served.post(who, legacy("tools/call", {"name": "get_contact", "arguments": {"id": 1}}))

        assert b"sampling" not in answer.content
        assert b'"result"' in answer.content

    with_scripted(tmp_path, answering(head, events), act)


def test_an_upstreams_broken_answer_is_not_copied_into_the_process_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"iban DE1234 \xa0"}]}}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %LENGTH%\r\n\r\n"

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        answer = await served.call(who, "get_contact", {"id": 1})

        assert answer.json()["error"]["code"] == 502

    with_scripted(tmp_path, answering(head, broken), act)

    said = capfd.readouterr()
    assert "DE1234" not in said.out + said.err


def test_a_reader_that_reads_nothing_does_not_hold_the_upstream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accredit.gateway.downstream.WRITE_SECONDS", 0.2)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    flood = b"data: " + b"x" * 60_000 + b"\n\n"

    async def pour(request: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(flood)
            await writer.drain()

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        body = legacy("tools/call", {"name": "get_contact", "arguments": {"id": 1}})
        text = msgspec.json.encode(body)
        lines = (
            "POST /gateway/crm/mcp HTTP/1.1",
            f"Host: 127.0.0.1:{served.port}",
            f"Authorization: Bearer {who.token}",
            "Content-Type: application/json",
            "Accept: application/json, text/event-stream",
            f"Content-Length: {len(text)}",
        )
        _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
        writer.write("\r\n".join((*lines, "", "")).encode() + text)

        assert await served.outcomes(1) == ["client_gone"]
        writer.close()

    with_scripted(tmp_path, pour, act)
