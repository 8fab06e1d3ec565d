"""The trivial upstream of the gateway bench: MCP over raw ASGI on Granian, one tool, a fixed answer of about 1 kB.

It answers the stateless revision 2026-07-28 only, and as little of it as the bench needs.
"""

import argparse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
from granian import Granian
from granian.constants import Interfaces

REVISION = "2026-07-28"
TOOL = "look_up"

_TEXT = "".join(f"Row {n:02d}: Ada Byron, Analytical Engines, one open deal of 12,000 euros.\n" for n in range(13))
_RESULTS = {
    "server/discover": {
        "supportedVersions": [REVISION],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "upstream", "version": "1"},
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "public",
    },
    "tools/list": {
        "tools": [
            {
                "name": TOOL,
                "description": "Look something up.",
                "inputSchema": {
                    "type": "object",
                    "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
                    "required": ["query"],
                },
            }
        ],
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "public",
    },
    "tools/call": {"content": [{"type": "text", "text": _TEXT}], "isError": False, "resultType": "complete"},
}
_ENCODED = {method: msgspec.json.encode(result) for method, result in _RESULTS.items()}
_JSON_HEADERS = [(b"content-type", b"application/json")]

Message = MutableMapping[str, Any]


class _Request(msgspec.Struct):
    method: str
    id: int | str | None = None


_decoder = msgspec.json.Decoder(_Request)


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    status, answer = _answer(body)
    length = (b"content-length", str(len(answer)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*_JSON_HEADERS, length]})
    await send({"type": "http.response.body", "body": answer})


def _answer(body: bytes) -> tuple[int, bytes]:
    try:
        request = _decoder.decode(body)
    except msgspec.DecodeError:
        return 400, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON-RPC"}}'
    if request.id is None:
        return 202, b""
    result = _ENCODED.get(request.method)
    number = msgspec.json.encode(request.id)
    if result is None:
        return 404, b'{"jsonrpc":"2.0","id":' + number + b',"error":{"code":-32601,"message":"no such method"}}'
    return 200, b'{"jsonrpc":"2.0","id":' + number + b',"result":' + result + b"}"


def main() -> None:
    """Serve on the loopback address until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m bench.upstream")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    Granian(
        "bench.upstream:app",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGINL,
        log_enabled=False,
        workers_kill_timeout=2,
    ).serve()


if __name__ == "__main__":
    main()
