"""Upstreams that answer what they are told to, byte by byte: what no honest library would send."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def id(self) -> object:
        return msgspec.json.decode(self.body)["id"] if self.body else None


Handler = Callable[[Received, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Upstream:
    """Where it listens, and what it received."""

    url: str
    received: list[Received] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def scripted(handle: Handler) -> AsyncIterator[Upstream]:
    """A server that reads whole requests and lets `handle` answer each."""
    upstream = Upstream("")
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream.connections += 1
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                request = await _read(reader)
                upstream.received.append(request)
                await handle(request, reader, writer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    try:
        yield upstream
    finally:
        server.close()
        for writer in writers:
            writer.close()
        # The handlers see the end of their connections before the loop goes.
        await asyncio.sleep(0.01)


def answering(head: bytes, body: bytes = b"", *, close: bool = False) -> Handler:
    """Answers each request with these bytes; `%ID%` in the body is the request's id."""

    async def handle(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown = body
        if b"%ID%" in body:
            shown = body.replace(b"%ID%", msgspec.json.encode(request.id))
        writer.write(head.replace(b"%LENGTH%", str(len(shown)).encode()) + shown)
        await writer.drain()
        if close:
            writer.close()

    return handle


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %LENGTH%\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
RESULT = b'{"jsonrpc":"2.0","id":%ID%,"result":{"content":[],"isError":false}}'
answering_well = answering(OK, RESULT)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; of no bytes, its end."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def until_closed(reader: asyncio.StreamReader) -> None:
    """Wait until the other side closes the connection."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(1024):
            pass


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = next((int(value) for name, value in headers if name == "content-length"), 0)
    return Received(method, path, headers, await reader.readexactly(length))
