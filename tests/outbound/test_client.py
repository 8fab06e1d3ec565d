"""Each default of common HTTP clients that is wrong for a gateway, shown to be otherwise, on real sockets."""

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import uvloop

from accredit.outbound import Outbound
from accredit.outbound.client import Timeouts
from accredit.outbound.failures import (
    UpstreamCut,
    UpstreamFailure,
    UpstreamInvalid,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from accredit.outbound.target import Target, parse_target
from tests.gateway.upstreams import (
    EVENTS,
    Handler,
    Received,
    Upstream,
    answering,
    chunk,
    scripted,
    until_closed,
)

T = TypeVar("T")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %LENGTH%\r\n\r\n"


def _with(handle: Handler, act: Callable[[Outbound, Upstream], Awaitable[T]], silence_seconds: float = 5.0) -> T:
    async def run() -> T:
        async with scripted(handle) as upstream:
            outbound = Outbound(2.0, silence_seconds)
            try:
                return await act(outbound, upstream)
            finally:
                await outbound.close()

    return uvloop.run(run())


async def _get(outbound: Outbound, upstream: Upstream, most: int = 1_000_000) -> bytes:
    async with outbound.open("GET", parse_target(upstream.url), ()) as answer:
        return await answer.read_all(most)


def _fails(handle: Handler, silence_seconds: float = 5.0) -> UpstreamFailure:
    async def act(outbound: Outbound, upstream: Upstream) -> UpstreamFailure:
        with pytest.raises(UpstreamFailure) as failure:
            await _get(outbound, upstream)
        return failure.value

    return _with(handle, act, silence_seconds)


def test_an_event_arrives_before_the_stream_goes_on() -> None:
    async def handle(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(EVENTS + chunk(b"data: 1\n\n"))
        await writer.drain()
        await until_closed(reader)

    async def act(outbound: Outbound, upstream: Upstream) -> bytes | None:
        async with outbound.open("GET", parse_target(upstream.url), ()) as answer:
            return await answer.read_some()

    assert _with(handle, act) == b"data: 1\n\n"


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"

    async def act(outbound: Outbound, upstream: Upstream) -> int:
        async with outbound.open("GET", parse_target(upstream.url), (("x-api-key", "secret"),)) as answer:
            status = answer.status
        assert [request.path for request in upstream.received] == ["/mcp"]
        return status

    assert _with(answering(head), act) == 302


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert _with(answering(OK, b"hello"), _get) == b"hello"


def test_a_compressed_body_stays_as_it_is() -> None:
    packed = gzip.compress(b"x" * 100_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %LENGTH%\r\n\r\n"

    assert _with(answering(head, packed), _get) == packed


def test_only_the_headers_that_were_given_are_sent() -> None:
    async def act(outbound: Outbound, upstream: Upstream) -> list[tuple[str, str]]:
        async with outbound.open("POST", parse_target(upstream.url), (("x-a", "1"),), b"{}") as answer:
            await answer.read_all(10)
        return upstream.received[0].headers

    headers = _with(answering(OK, b""), act)

    assert [name for name, _ in headers] == ["host", "x-a", "content-length"]


def test_leaving_before_the_head_closes_the_connection_at_once() -> None:
    closed = asyncio.Event

    async def run() -> None:
        arrived, gone = closed(), closed()

        async def handle(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arrived.set()
            await until_closed(reader)
            gone.set()

        async with scripted(handle) as upstream:
            outbound = Outbound(2.0, 60.0)
            task = asyncio.create_task(_get(outbound, upstream))
            await arrived.wait()

            task.cancel()

            await asyncio.wait_for(gone.wait(), 5)
            with pytest.raises(asyncio.CancelledError):
                await task
            await outbound.close()

    uvloop.run(run())


def test_leaving_in_the_middle_of_a_stream_closes_the_connection_at_once() -> None:
    async def run() -> None:
        gone = asyncio.Event()

        async def handle(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(EVENTS + chunk(b"data: 1\n\n"))
            await writer.drain()
            await until_closed(reader)
            gone.set()

        async with scripted(handle) as upstream:
            outbound = Outbound(2.0, 60.0)

            async with outbound.open("GET", parse_target(upstream.url), ()) as answer:
                await answer.read_some()

            await asyncio.wait_for(gone.wait(), 5)
            await outbound.close()

    uvloop.run(run())


def test_a_connection_serves_again_after_a_whole_answer() -> None:
    async def act(outbound: Outbound, upstream: Upstream) -> int:
        for _ in range(3):
            await _get(outbound, upstream)
        return upstream.connections

    assert _with(answering(OK, b"hello"), act) == 1


def test_a_connection_with_bytes_too_many_is_not_used_again() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"

    async def act(outbound: Outbound, upstream: Upstream) -> tuple[bytes, bytes, int]:
        return await _get(outbound, upstream), await _get(outbound, upstream), upstream.connections

    assert _with(answering(head, b"bodyHTTP/1.1 200 OK\r\n\r\nsmuggled"), act) == (b"body", b"body", 2)


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    async def act(outbound: Outbound, upstream: Upstream) -> int:
        await _get(outbound, upstream)
        await asyncio.sleep(0.05)
        await _get(outbound, upstream)
        return upstream.connections

    assert _with(answering(OK, b"hello", close=True), act) == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"hello\r\n\r\n", UpstreamInvalid),
        (b"HTTP/2 200 OK\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 2000 OK\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nbody", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo", UpstreamCut),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", UpstreamCut),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\nbody\r\n0\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbody\r\n0\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 0\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nX A: 1\r\nContent-Length: 0\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 0\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 150 + b"\r\n", UpstreamInvalid),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 600_000 + b"\r\n\r\n", UpstreamInvalid),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20, UpstreamInvalid),
        (b"", UpstreamUnreachable),
        (b"HTTP/1.1 200", UpstreamUnreachable),
    ],
)
def test_an_answer_that_two_parsers_could_read_differently_is_no_answer(
    answer: bytes, kind: type[UpstreamFailure]
) -> None:
    failure = _fails(answering(answer, close=True))

    assert type(failure) is kind


def test_a_body_in_pieces_is_put_together() -> None:
    body = b"".join(chunk(b"x" * size) for size in (1, 70_000, 3)) + b"0\r\nTrailer: 1\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def act(outbound: Outbound, upstream: Upstream) -> tuple[int, int]:
        first = await _get(outbound, upstream)
        await _get(outbound, upstream)
        return len(first), upstream.connections

    assert _with(answering(head, body), act) == (70_004, 1)


def test_an_interim_answer_is_passed_over() -> None:
    head = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK

    assert _with(answering(head, b"hello"), _get) == b"hello"


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    assert _with(answering(b"HTTP/1.1 200 OK\r\n\r\n", b"hello", close=True), _get) == b"hello"


@pytest.mark.parametrize("head", [OK, b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_body_over_the_limit_is_refused(head: bytes) -> None:
    async def act(outbound: Outbound, upstream: Upstream) -> None:
        with pytest.raises(UpstreamInvalid):
            await _get(outbound, upstream, most=1_000)

    _with(answering(head, b"x" * 1_001, close=True), act)


def test_silence_before_the_head_is_a_timeout() -> None:
    async def handle(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_closed(reader)

    assert type(_fails(handle, silence_seconds=0.05)) is UpstreamTimeout


def test_silence_in_a_body_is_a_timeout() -> None:
    async def handle(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo")
        await writer.drain()
        await until_closed(reader)

    assert type(_fails(handle, silence_seconds=0.05)) is UpstreamTimeout


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    async def run() -> None:
        outbound = Outbound(2.0, 5.0)
        with pytest.raises(UpstreamUnreachable):
            async with outbound.open("GET", parse_target("http://127.0.0.1:1/"), ()):
                raise AssertionError("nobody listens there")

    uvloop.run(run())


def test_a_slow_reader_holds_the_server_back() -> None:
    sent = 0

    async def handle(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            writer.write(b"x" * 1_000_000)
            await writer.drain()
            sent += 1_000_000

    async def act(outbound: Outbound, upstream: Upstream) -> None:
        async with outbound.open("GET", parse_target(upstream.url), ()) as answer:
            await answer.read_some()
            await asyncio.sleep(0.3)

            assert sent < 50_000_000

    _with(handle, act)


def test_a_certificate_of_nobody_is_not_trusted() -> None:
    async def run() -> None:
        server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
        target = parse_target(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        with pytest.raises(UpstreamUnreachable):
            async with Outbound(2.0, 5.0).open("GET", target, ()):
                raise AssertionError("that is no TLS server")
        server.close()

    uvloop.run(run())
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


def test_a_header_with_a_line_break_is_not_sent() -> None:
    async def act(outbound: Outbound, upstream: Upstream) -> None:
        with pytest.raises(UpstreamInvalid):
            async with outbound.open("GET", parse_target(upstream.url), (("x-a", "1\r\nx-b: 2"),)):
                raise AssertionError("it was sent")
        assert upstream.received == []

    _with(answering(OK, b""), act)


def test_a_request_may_have_its_own_time_limits() -> None:
    async def handle(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_closed(reader)

    async def act(outbound: Outbound, upstream: Upstream) -> None:
        target: Target = parse_target(upstream.url)
        with pytest.raises(UpstreamTimeout):
            async with outbound.open("GET", target, (), timeouts=Timeouts(1.0, 0.05)):
                raise AssertionError("it answered")

    _with(handle, act)
