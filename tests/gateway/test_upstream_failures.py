"""An upstream that is down, slow or answers nonsense: a gateway error of the protocol, an event, no hung connection."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from accredit.gateway.proxy import Limits
from tests.gateway.requests import legacy
from tests.gateway.served import Served, modern, routing, with_gateway, with_scripted
from tests.gateway.upstreams import (
    EVENTS,
    OK,
    RESULT,
    Handler,
    Received,
    Upstream,
    answering,
    chunk,
    until_closed,
)

HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %LENGTH%\r\n\r\n"
GZIP = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %LENGTH%\r\n\r\n"
)
REDIRECT = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"


def _status(status: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: %LENGTH%\r\n"
    return head.encode() + b"WWW-Authenticate: Bearer realm=upstream\r\nSet-Cookie: a=b\r\n\r\n"


def _call(tmp_path: Path, handle: Handler, **settings: Any) -> tuple[dict[str, Any], str | None]:
    """One tool call; gives the JSON-RPC error and the outcome in the log."""

    async def act(served: Served, upstream: Upstream) -> tuple[dict[str, Any], str | None]:
        reader = await served.agent()
        answer = await asyncio.wait_for(served.call(reader, "search_contacts", {"query": "a"}, "q"), 20)
        assert answer.status_code == 200
        body = answer.json()
        assert body["id"] == "q"
        assert answer.headers["x-accredit-event"] == str(body["error"]["data"]["event"])
        assert "set-cookie" not in answer.headers
        assert "www-authenticate" not in answer.headers
        return body["error"], (await served.outcomes(1))[0]

    return with_scripted(tmp_path, handle, act, **settings)


@pytest.mark.parametrize(
    "handle",
    [
        answering(OK, b"not json"),
        answering(OK, b"\xff\xfe"),
        answering(OK, b"[]"),
        answering(OK, b"{}"),
        answering(OK, b'{"jsonrpc":"1.0","id":%ID%,"result":{}}'),
        answering(OK, b'{"jsonrpc":"2.0","id":"other","result":{}}'),
        answering(OK, b'{"jsonrpc":"2.0","id":null,"result":{}}'),
        answering(OK, b'{"jsonrpc":"2.0","id":%ID%}'),
        answering(OK, b'{"jsonrpc":"2.0","id":%ID%,"result":{},"error":{"code":1,"message":""}}'),
        answering(OK, b'{"jsonrpc":"2.0","id":%ID%,"result":[]}'),
        answering(OK, b'{"jsonrpc":"2.0","id":%ID%,"result":{"resultType":"task"}}'),
        answering(OK, b'{"jsonrpc":"2.0","id":%ID%,"error":{"code":"1","message":"x"}}'),
        answering(OK, b'{"jsonrpc":"2.0","id":%ID%,"error":"no"}'),
        answering(OK, b'{"jsonrpc":"2.0","id":%ID%,"result":' + b"[" * 100_000),
        answering(HTML, b"<html>"),
        answering(GZIP, RESULT),
        answering(REDIRECT),
        answering(_status("500 Internal Server Error"), b"{}"),
        answering(_status("503 Service Unavailable"), b"{}"),
        answering(_status("401 Unauthorized"), b"{}"),
        answering(_status("403 Forbidden"), RESULT),
        answering(_status("404 Not Found"), b"nothing here"),
        answering(_status("400 Bad Request"), b"{}"),
        answering(_status("405 Method Not Allowed"), b"{}"),
        answering(b"HTTP/1.1 204 No Content\r\n\r\n"),
        answering(b"garbage\r\n\r\n", close=True),
        answering(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n"),
    ],
)
def test_nonsense_is_a_502_with_its_event(tmp_path: Path, handle: Handler) -> None:
    error, outcome = _call(tmp_path, handle)

    assert error["code"] == 502
    assert error["data"]["policies"] == ["ai-agent-readonly"]
    assert error["data"]["next_step"]
    assert outcome == "upstream_invalid"


@pytest.mark.parametrize(
    ("handle", "outcome"),
    [
        (answering(b"", close=True), "upstream_unreachable"),
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{", close=True),
            "upstream_cut",
        ),
    ],
)
def test_a_connection_that_breaks_is_a_502(tmp_path: Path, handle: Handler, outcome: str) -> None:
    error, recorded = _call(tmp_path, handle)

    assert error["code"] == 502
    assert recorded == outcome


def test_an_upstream_that_is_down_is_a_502(tmp_path: Path) -> None:
    async def act(served: Served) -> None:
        reader = await served.agent()

        answer = await served.call(reader, "search_contacts", {"query": "a"})

        assert answer.json()["error"]["code"] == 502
        assert await served.outcomes(1) == ["upstream_unreachable"]

    with_gateway(tmp_path, "http://127.0.0.1:1/mcp", act, learn=False)


async def _silent(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await until_closed(reader)


async def _dripping(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("handle", "settings"),
    [
        (_silent, {"silence_seconds": 0.1}),
        (_silent, {"limits": Limits(answer_seconds=0.1)}),
        (_dripping, {"limits": Limits(answer_seconds=0.3)}),
    ],
)
def test_an_upstream_that_is_too_slow_is_a_504(tmp_path: Path, handle: Handler, settings: dict[str, Any]) -> None:
    error, outcome = _call(tmp_path, handle, **settings)

    assert error["code"] == 504
    assert outcome == "upstream_timeout"


def test_a_stream_that_breaks_ends_with_an_error_event(tmp_path: Path) -> None:
    note = b'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n'

    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.call(reader, "search_contacts", {"query": "a"}, 7)

        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.text.startswith(note.decode())
        assert '"id":7,"error":{"code":502' in answer.text
        assert await served.outcomes(1) == ["upstream_cut"]

    with_scripted(tmp_path, answering(EVENTS + chunk(note), close=True), act)


def test_a_stream_that_ends_without_an_answer_ends_with_an_error_event(tmp_path: Path) -> None:
    note = b'id: 1\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n'

    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.call(reader, "search_contacts", {"query": "a"}, 7)

        assert '"id":7,"error":{"code":502' in answer.text
        assert await served.outcomes(1) == ["upstream_cut"]

    with_scripted(tmp_path, answering(EVENTS + chunk(note) + chunk(b"")), act)


def test_a_stream_that_answers_another_request_is_cut(tmp_path: Path) -> None:
    other = b'data: {"jsonrpc":"2.0","id":"other","result":{"content":[{"type":"text","text":"secret"}]}}\n\n'

    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.call(reader, "search_contacts", {"query": "a"})

        assert "secret" not in answer.text
        assert '"error":{"code":502' in answer.text
        assert await served.outcomes(1) == ["upstream_invalid"]

    with_scripted(tmp_path, answering(EVENTS + chunk(other) + chunk(b"")), act)


def test_an_upstreams_own_error_is_passed_on_under_its_code(tmp_path: Path) -> None:
    refusal = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"no such tool"}}'

    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.call(reader, "search_contacts", {"query": "a"}, 5)

        assert answer.status_code == 400
        assert answer.json() == {"jsonrpc": "2.0", "id": 5, "error": {"code": -32602, "message": "no such tool"}}
        assert await served.outcomes(1) == ["error -32602"]

    with_scripted(tmp_path, answering(_status("400 Bad Request"), refusal), act)


def test_an_upstream_that_takes_no_more_is_a_429(tmp_path: Path) -> None:
    error, outcome = _call_without_data(tmp_path, answering(_status("429 Too Many Requests"), b"slow down"))

    assert error["code"] == 429
    assert outcome == "error 429"


def test_a_list_of_nonsense_is_a_502(tmp_path: Path) -> None:
    for result in (
        b'{"tools":"none"}',
        b'{"tools":[{"title":"no name"}]}',
        b'{"Tools":[{"name":"delete_contact"}]}',
        b'{"tools":[],"Tools":[{"name":"delete_contact"}]}',
        b'{"tools":[],"tools":[{"name":"delete_contact"}]}',
    ):
        folder = tmp_path / str(abs(hash(result)))
        folder.mkdir()
        _refuses_list(folder, answering(OK, b'{"jsonrpc":"2.0","id":%ID%,"result":' + result + b"}"))


def _refuses_list(tmp_path: Path, handle: Handler) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.post(reader, modern("tools/list"), **routing(method="tools/list"))

        assert answer.json()["error"]["code"] == 502
        assert "delete_contact" not in answer.text

    with_scripted(tmp_path, handle, act)


def _call_without_data(tmp_path: Path, handle: Handler) -> tuple[dict[str, Any], str | None]:
    async def act(served: Served, upstream: Upstream) -> tuple[dict[str, Any], str | None]:
        reader = await served.agent()
        answer = await served.post(reader, legacy("tools/call", {"name": "search_contacts", "arguments": {}}))
        return answer.json()["error"], (await served.outcomes(1))[0]

    return with_scripted(tmp_path, handle, act)


def test_a_failed_notification_is_answered_by_its_http_status(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.post(reader, {"jsonrpc": "2.0", "method": "notifications/initialized"})

        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == 502

    with_scripted(tmp_path, answering(_status("500 Internal Server Error"), b""), act)
