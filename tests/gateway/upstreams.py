"""Upstreams that answer what they are told to, byte by byte: what no honest library would send."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

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


REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
SERVER = {"name": "s", "version": "1"}
A_TOOL = {"name": "a", "inputSchema": {"type": "object"}}


def result_of(request: Received, result: dict[str, Any], *headers: str) -> bytes:
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": request.id, "result": result})
    head = "\r\n".join(("HTTP/1.1 200 OK", "Content-Type: application/json", *headers, f"Content-Length: {len(body)}"))
    return head.encode() + b"\r\n\r\n" + body


async def sessions_only(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server of revision 2025-06-18 with sessions and two pages of tools."""
    if request.method != "POST":
        status = b"200 OK" if request.method == "DELETE" else b"405 Method Not Allowed"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        return
    message = msgspec.json.decode(request.body)
    opened = request.header("mcp-session-id") == "up-1"
    match message["method"]:
        case "initialize":
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": SERVER}
            writer.write(result_of(request, result, "Mcp-Session-Id: up-1"))
        case "notifications/initialized" if opened:
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        case "tools/list" if opened and request.header("mcp-protocol-version") == "2025-06-18":
            second = message.get("params", {}).get("cursor") == "2"
            page = {"tools": [{**A_TOOL, "name": "b"}]} if second else {"tools": [A_TOOL], "nextCursor": "2"}
            writer.write(result_of(request, page))
        case _:
            writer.write(REFUSED)


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
