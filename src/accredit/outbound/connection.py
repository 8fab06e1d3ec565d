"""One connection, one exchange at a time. Its end is immediate: `abort` closes the socket whatever is pending."""

import asyncio
from collections.abc import Iterable
from typing import cast

from accredit.outbound import framing
from accredit.outbound.failures import UpstreamCut, UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable
from accredit.outbound.framing import CHUNKED, HEAD_BYTES, UNTIL_CLOSE, Head
from accredit.outbound.target import Target

_PAUSE_BYTES = 262_144
_CHUNK_LINE_BYTES = 1_024
_INTERIM_ANSWERS = 8
_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL_STATUS = 200


class Connection(asyncio.Protocol):
    """The socket and what has arrived on it. Reading stops while nobody takes what is there (back-pressure)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paused = False
        self._ended = False
        self._remaining = 0
        self._length = 0
        self._after_chunk = False
        self.idle_since = 0.0
        self.reusable = False
        self.is_left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio.Protocol)."""
        # uvloop's transports do not inherit from asyncio's, so this is a cast and no check.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what arrived (asyncio.Protocol)."""
        self._buffer += data
        if len(self._buffer) > _PAUSE_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """The other side sends no more (asyncio.Protocol)."""
        self._ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio calls it with one
        """The socket is closed (asyncio.Protocol)."""
        self._ended = True
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        """The socket takes no more for now (asyncio.Protocol)."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The socket takes more (asyncio.Protocol)."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def is_usable(self) -> bool:
        """True while an idle connection is open and silent. Bytes that nobody asked for make it unusable."""
        return not self._ended and not self._buffer and self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """Close at once, and lose what was not sent."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    async def send(
        self, method: str, target: Target, headers: Iterable[tuple[str, str]], body: bytes | None, seconds: float
    ) -> None:
        """Write a request. Raises UpstreamTimeout."""
        if self._transport is None or self._ended:
            raise UpstreamUnreachable("the connection closed before the request was sent")
        self._transport.write(_encode_request(method, target, headers, body))
        if self._writable is not None:
            await self._within(self._writable, seconds)

    async def read_head(self, method: str, seconds: float) -> Head:
        """The head of the answer; interim answers are passed over. Raises UpstreamFailure."""
        self.reusable = False
        for _ in range(_INTERIM_ANSWERS):
            head = framing.parse_head(await self._until_empty_line(seconds), method)
            if head.status >= _FIRST_FINAL_STATUS:
                self._length = self._remaining = head.length
                self.reusable = head.keep_alive
                if self._length == CHUNKED:
                    self._remaining = 0
                return head
            if head.status == _SWITCHING_PROTOCOLS:
                raise UpstreamInvalid("the answer changes the protocol, which was not asked for")
        raise UpstreamInvalid("the answer is one interim answer after another")

    async def read_some(self, seconds: float) -> bytes | None:
        """The next bytes of the body, None at its end. Raises UpstreamCut, UpstreamTimeout, UpstreamInvalid."""
        if self._remaining == 0 and self._length == CHUNKED and not await self._next_chunk(seconds):
            return None
        if self._remaining == 0:
            return None
        while not self._buffer:
            if self._ended:
                if self._length == UNTIL_CLOSE:
                    self._remaining = 0
                    return None
                raise UpstreamCut("the answer ended before its end")
            await self._more(seconds)
        return self._take(len(self._buffer) if self._length == UNTIL_CLOSE else self._remaining)

    def is_complete(self) -> bool:
        """True when the whole answer was read and nothing follows it, so that another exchange may begin."""
        return self.reusable and self._remaining == 0 and self._length != CHUNKED and self.is_usable()

    def _take(self, most: int) -> bytes:
        taken = bytes(self._buffer[:most])
        del self._buffer[:most]
        if self._length != UNTIL_CLOSE:
            self._remaining -= len(taken)
            self._after_chunk = self._length == CHUNKED and self._remaining == 0
        self._resume()
        return taken

    async def _next_chunk(self, seconds: float) -> bool:
        if self._after_chunk and await self._line(seconds):
            raise UpstreamInvalid("a chunk is longer than it says")
        self._after_chunk = False
        size = framing.parse_chunk_size(await self._line(seconds))
        if size == 0:
            for _ in range(framing.HEADERS):
                if not await self._line(seconds):
                    self._length = 0
                    return False
            raise UpstreamInvalid("the answer has too many trailers")
        self._remaining = size
        return True

    async def _line(self, seconds: float) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _CHUNK_LINE_BYTES:
                raise UpstreamInvalid("a line of a chunked answer is too long")
            if self._ended:
                raise UpstreamCut("the answer ended before its end")
            await self._more(seconds)
        if end > _CHUNK_LINE_BYTES:
            raise UpstreamInvalid("a line of a chunked answer is too long")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    async def _until_empty_line(self, seconds: float) -> bytes:
        searched = 0
        while (end := self._buffer.find(b"\r\n\r\n", searched)) < 0:
            searched = max(0, len(self._buffer) - 3)
            if len(self._buffer) > HEAD_BYTES:
                break
            if self._ended:
                raise UpstreamUnreachable("the connection closed before an answer")
            await self._more(seconds)
        if end < 0 or end > HEAD_BYTES:
            raise UpstreamInvalid("the answer's head is too large")
        block = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return block

    async def _more(self, seconds: float) -> None:
        self._resume()
        waiter = self._waiter = self._loop.create_future()
        try:
            await self._within(waiter, seconds)
        finally:
            self._waiter = None

    async def _within(self, waiter: asyncio.Future[None], seconds: float) -> None:
        timer = self._loop.call_later(seconds, _time_out, waiter)
        try:
            await waiter
        finally:
            timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._ended:
            self._paused = False
            self._transport.resume_reading()


def _time_out(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(UpstreamTimeout("the system did not answer in time"))


def _encode_request(method: str, target: Target, headers: Iterable[tuple[str, str]], body: bytes | None) -> bytes:
    lines = [f"{method} {target.path} HTTP/1.1\r\nhost: {target.authority}\r\n"]
    for name, value in headers:
        if not _is_clean(value):
            raise UpstreamInvalid("a header that we would send has a control character", detail=name)
        lines.append(f"{name}: {value}\r\n")
    if body is not None:
        lines.append(f"content-length: {len(body)}\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1") + (body or b"")


def _is_clean(value: str) -> bool:
    return value.isprintable() and value.isascii()
