"""The few lines between an ASGI server and the hot paths: read a body whole within a limit, send one answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from accredit.errors import InputRefused

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
NO_STORE = (b"cache-control", b"no-store")


class BodyTooLarge(InputRefused):
    """The request body is over the limit; none of it was used."""

    code = "body_too_large"


class Disconnected(Exception):  # it is no error of ours
    """The client went away while its request was read: there is nobody to answer."""


class BodyTooSlow(InputRefused):
    """The request body did not arrive in time; none of it was used."""

    code = "body_too_slow"


BODY_SECONDS = 30.0


async def read_body(receive: Receive, headers: Headers, limit_bytes: int, seconds: float = BODY_SECONDS) -> bytes:
    """The whole body. Raises BodyTooLarge, BodyTooSlow, and Disconnected; a partial body is never given back."""
    try:
        async with asyncio.timeout(seconds):
            return await _read_body(receive, headers, limit_bytes)
    except TimeoutError as error:
        raise BodyTooSlow(f"the body did not arrive in {seconds:.0f} seconds", next_step="send it at once") from error


async def _read_body(receive: Receive, headers: Headers, limit_bytes: int) -> bytes:
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > limit_bytes:
            raise _too_large(limit_bytes)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
        return body
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] != "http.request":
            raise Disconnected
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()


async def send_response(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """One answer with its length."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


def _too_large(limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is larger than {limit_bytes} bytes", next_step="send less in one request")
