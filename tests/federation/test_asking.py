"""Asking a provider over a real connection: JSON only, small, in time, from the very address that was named."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from accredit.federation import asking
from accredit.federation.asking import Asking
from accredit.federation.errors import ProviderFailed
from accredit.outbound import Outbound

JSON = b"content-type: application/json\r\n"


async def served(answer: bytes, act: Callable[[Asking, str], Awaitable[None]], wait: float = 0.0) -> list[bytes]:
    """Run `act` beside a server that gives this one answer; returns the heads of the requests."""
    heads: list[bytes] = []
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        await asyncio.sleep(wait)
        writer.write(answer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    outbound = Outbound()
    try:
        await act(Asking(outbound), f"http://localhost:{server.sockets[0].getsockname()[1]}")
    finally:
        await outbound.close()
        if heads:
            await done.wait()
        server.close()
        await server.wait_closed()
    return heads


def head(status: str, more: bytes = JSON, length: int = 2) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {length}\r\n".encode() + more + b"\r\n"


def test_a_document_is_asked_for_as_json_and_not_compressed() -> None:
    async def act(one: Asking, url: str) -> None:
        assert await one.document(f"{url}/jwks?a=b", url) == b"{}"

    [sent] = asyncio.run(served(head("200 OK") + b"{}", act))

    assert sent.startswith(b"GET /jwks?a=b HTTP/1.1\r\n")
    assert b"accept: application/json\r\n" in sent
    assert b"accept-encoding: identity\r\n" in sent
    assert b"authorization" not in sent.lower()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(head("302 Found", JSON + b"location: https://evil.example.com/\r\n") + b"{}", id="elsewhere"),
        pytest.param(head("404 Not Found") + b"{}", id="not found"),
        pytest.param(head("200 OK", b"content-type: text/html\r\n") + b"{}", id="a page"),
        pytest.param(head("200 OK", b"") + b"{}", id="no type"),
        pytest.param(head("200 OK", length=300_000) + b" " * 300_000, id="too long"),
        pytest.param(head("200 OK", length=10) + b"{}", id="cut"),
        pytest.param(b"nonsense\r\n\r\n", id="no HTTP"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_any_other_answer_is_a_failure(answer: bytes) -> None:
    async def act(one: Asking, url: str) -> None:
        with pytest.raises(ProviderFailed):
            await one.document(f"{url}/jwks", url)

    asyncio.run(served(answer, act))


def test_a_provider_that_does_not_answer_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SECONDS", 0.05)

    async def act(one: Asking, url: str) -> None:
        with pytest.raises(ProviderFailed) as error:
            await one.document(url, url)
        assert "in time" in error.value.explanation

    asyncio.run(served(head("200 OK") + b"{}", act, wait=0.3))


def test_a_secret_goes_into_the_header_as_a_form_would_write_it() -> None:
    async def act(one: Asking, url: str) -> None:
        answer = await one.form(f"{url}/token", url, {"code": "a b"}, ("a client", "s:e%c&"))
        assert (answer.status, answer.body) == (400, b"{}")

    [sent] = asyncio.run(served(head("400 Bad Request") + b"{}", act))

    # base64("a+client:s%3Ae%25c%26")
    assert b"authorization: Basic YStjbGllbnQ6cyUzQWUlMjVjJTI2\r\n" in sent


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example.com/",
        "http://127.0.0.1:1/",
        "ftp://localhost/",
        "https://a.example.com/../b",
        "https://",
        "x",
    ],
)
def test_an_address_that_is_not_safe_is_not_asked(url: str) -> None:
    async def act(one: Asking, issuer: str) -> None:
        with pytest.raises(ProviderFailed):
            await one.document(url, issuer)

    assert asyncio.run(served(b"", act)) == []
