"""The agent's side of a request as ASGI carries it."""

import asyncio
from collections.abc import Callable

from accredit.gateway.lifeline import CLIENT_GONE, Cut
from accredit.gateway.protocol import Headers, Reply, Stamp
from accredit.web.asgi import Send

WRITE_SECONDS = 60.0


class AsgiDownstream:
    """Sends one answer (see `gateway.protocol.Downstream`). Each answer to a decided call names its event."""

    __slots__ = ("_send", "finished", "more", "on_stream", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.on_stream: Callable[[], None] | None = None
        # Headers of every answer, whatever it is.
        self.more: Headers = ()
        self.started = False
        self.finished = False

    async def reply(self, reply: Reply, stamp: Stamp | None = None) -> None:
        """Send a whole answer."""
        length = (b"content-length", str(len(reply.body)).encode())
        headers = [*reply.headers, *self.more, length]
        if stamp is not None:
            headers.append(_event_header(stamp))
        self.started = self.finished = True
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": reply.body})

    async def start(self, status: int, headers: Headers, stamp: Stamp) -> None:
        """Send the head of a stream."""
        self.started = True
        if self.on_stream is not None:
            self.on_stream()
        head = [*headers, *self.more, _event_header(stamp)]
        await self._send({"type": "http.response.start", "status": status, "headers": head})
        # Some servers hold the head back until there is a body; an empty piece lets it go.
        await self._send({"type": "http.response.body", "body": b"", "more_body": True})

    async def write(self, piece: bytes) -> None:
        """Send the next piece; waits while the agent reads slowly. Raises Cut if it reads nothing for a minute."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError as error:
            raise Cut(CLIENT_GONE) from error

    async def finish(self) -> None:
        """End a stream."""
        if not self.finished:
            self.finished = True
            await self._send({"type": "http.response.body", "body": b""})


def _event_header(stamp: Stamp) -> tuple[bytes, bytes]:
    return (b"x-accredit-event", str(stamp.event).encode())
