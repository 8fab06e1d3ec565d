"""Every way in which a stranger's URL could reach what only this machine can reach, and why it does not."""

import asyncio
import gzip
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from accredit.outbound.addresses import is_public
from accredit.outbound.failures import UpstreamFailure, UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable
from accredit.outbound.guarded import Fetched, Guarded, parse_cache_control
from accredit.outbound.target import TargetRefused
from tests.gateway.upstreams import Handler, Received, Upstream, answering, chunk, scripted, until_closed
from tests.outbound.certificates import Authority

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %LENGTH%\r\n\r\n"
PUBLIC = "93.184.215.14"

INSIDE = {
    "loopback": "127.0.0.1",
    "far end of loopback": "127.255.255.254",
    "this host": "0.0.0.0",
    "this network": "0.1.2.3",
    "private 10": "10.0.0.1",
    "private 172.16": "172.16.0.1",
    "end of private 172.16": "172.31.255.255",
    "private 192.168": "192.168.1.1",
    "carrier grade": "100.64.0.1",
    "metadata of Alibaba": "100.100.100.200",
    "metadata of most clouds": "169.254.169.254",
    "metadata of containers": "169.254.170.2",
    "metadata of Oracle": "192.0.0.192",
    "host of Azure": "168.63.129.16",
    "documentation 1": "192.0.2.1",
    "documentation 2": "198.51.100.1",
    "documentation 3": "203.0.113.1",
    "benchmarks": "198.18.0.1",
    "6to4 relay": "192.88.99.1",
    "multicast": "224.0.0.251",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "v6 unspecified": "::",
    "v6 loopback": "::1",
    "v6 mapped": "::ffff:127.0.0.1",
    "v6 mapped public": "::ffff:93.184.215.14",
    "v6 mapped in hex": "::ffff:7f00:1",
    "v6 compatible": "::127.0.0.1",
    "v6 translated": "::ffff:0:127.0.0.1",
    "NAT64": "64:ff9b::7f00:1",
    "NAT64 local": "64:ff9b:1::a00:1",
    "discard": "100::1",
    "6to4": "2002:7f00:1::1",
    "6to4 public": "2002:5db8:d70e::1",
    "Teredo": "2001::4136:e378:8000:63bf:3fff:fdd2",
    "ORCHID": "2001:20::1",
    "v6 documentation": "2001:db8::1",
    "v6 documentation 2": "3fff::1",
    "segment routing": "5f00::1",
    "unique local": "fd00::1",
    "metadata of AWS": "fd00:ec2::254",
    "metadata of Google": "fd20:ce::254",
    "v6 link-local": "fe80::1",
    "v6 link-local with a zone": "fe80::1%eth0",
    "public with a zone": "2606:4700::1%lo",
    "site-local": "fec0::1",
    "v6 multicast": "ff02::1",
    "ISATAP": "2606:4700::5efe:7f00:1",
    "ISATAP public": "2606:4700::200:5efe:7f00:1",
    "not an address": "localhost",
    "nothing": "",
}

REFUSED = {
    "http": "http://client.example/c",
    "ftp": "ftp://client.example/c",
    "file": "file:///etc/passwd",
    "no scheme": "//client.example/c",
    "no host": "https:///c",
    "data": "data:text/plain,x",
    "user": "https://user@client.example/c",
    "user and password": "https://user:password@client.example/c",
    "host that looks like a user": "https://client.example@127.0.0.1/c",
    "empty user": "https://@client.example/c",
    "fragment": "https://client.example/c#f",
    "empty fragment": "https://client.example/c#",
    "port of ssh": "https://client.example:22/c",
    "port of a database": "https://client.example:5432/c",
    "port 0": "https://client.example:0/c",
    "port 65536": "https://client.example:65536/c",
    "negative port": "https://client.example:-443/c",
    "empty port": "https://client.example:/c",
    "port in other digits": "https://client.example:４４３/c",
    "decimal address": "https://2130706433/c",
    "octal address": "https://0177.0.0.1/c",
    "octal decimal address": "https://017700000001/c",
    "hex address": "https://0x7f000001/c",
    "hex part": "https://0x7f.0.0.1/c",
    "short address": "https://127.1/c",
    "address of three parts": "https://127.0.1/c",
    "address of five parts": "https://127.0.0.0.1/c",
    "address with leading zeros": "https://127.000.000.001/c",
    "part above 255": "https://127.0.0.256/c",
    "name that ends in a number": "https://client.example.1/c",
    "name that ends in hex": "https://client.example.0x7f/c",
    "empty hex": "https://client.0x/c",
    "address with a trailing dot": "https://127.0.0.1./c",
    "trailing dot": "https://client.example./c",
    "two dots": "https://client..example/c",
    "leading dot": "https://.client.example/c",
    "full-width dot": "https://client。example/c",
    "circled letters": "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/c",
    "full-width digits": "https://１２７.０.０.１/c",
    "letter of another script": "https://сlient.example/c",
    "escaped host": "https://%6c%6f%63%61%6c%68%6f%73%74/c",
    "escaped zone": "https://[fe80::1%25eth0]/c",
    "underscore": "https://client_x.example/c",
    "label ends with a hyphen": "https://client-.example/c",
    "label of 64": f"https://{'a' * 64}.example/c",
    "name of 254": f"https://{'a.' * 126}aa/c",
    "backslash": "https://client.example\\@127.0.0.1/c",
    "backslash path": "https://client.example/\\127.0.0.1",
    "tab in the host": "https://client.exa\tmple/c",
    "line end in the path": "https://client.example/c\r\nHost: inside",
    "leading blank": " https://client.example/c",
    "null": "https://client.example/c\0",
    "dot segment": "https://client.example/a/../c",
    "escaped dot segment": "https://client.example/a/%2e%2e/c",
    "too long": "https://client.example/" + "c" * 2_048,
    "broken brackets": "https://[::1/c",
    "empty": "",
}


def _ids(rows: dict[str, str]) -> list[Any]:
    return [pytest.param(value, id=name) for name, value in rows.items()]


class Resolver:
    """Gives one answer after another, the last for ever, and counts."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


async def _get(guarded: Guarded, url: str, *, most: int = 10_000, seconds: float = 5.0) -> Fetched:
    return await guarded.fetch(url, accept="application/json", most_bytes=most, seconds=seconds)


def _with(handle: Handler, act: Callable[[Guarded, Upstream], Awaitable[Any]]) -> Any:
    """Act on a server at 127.0.0.1, which is allowed by name."""

    async def run() -> Any:
        async with scripted(handle) as upstream:
            guarded = Guarded(("127.0.0.1",))
            return await act(guarded, upstream)

    return uvloop.run(run())


def _fetched(handle: Handler) -> Fetched:
    async def act(guarded: Guarded, upstream: Upstream) -> Fetched:
        return await _get(guarded, upstream.url)

    found = _with(handle, act)
    assert isinstance(found, Fetched)
    return found


def _fails(handle: Handler, seconds: float = 5.0) -> UpstreamFailure:
    async def act(guarded: Guarded, upstream: Upstream) -> UpstreamFailure:
        with pytest.raises(UpstreamFailure) as failure:
            await _get(guarded, upstream.url, seconds=seconds)
        return failure.value

    found = _with(handle, act)
    assert isinstance(found, UpstreamFailure)
    return found


@pytest.mark.parametrize("address", _ids(INSIDE))
def test_an_address_that_is_not_of_the_open_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", PUBLIC, "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.20.0.1",
     "223.255.255.255", "2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "2001:200::1"],
)  # fmt: skip
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@given(st.integers(0, 2**32 - 1))
def test_no_form_of_ipv6_with_an_ipv4_address_inside_is_public(address: int) -> None:
    pair = f"{address >> 16:x}:{address & 0xFFFF:x}"

    forms = (f"::ffff:{pair}", f"::{pair}", f"64:ff9b::{pair}", f"2002:{pair}::1", f"2a00::5efe:{pair}")

    assert not any(is_public(form) for form in forms)


@pytest.mark.parametrize("url", _ids(REFUSED))
def test_a_url_that_could_be_read_in_two_ways_is_refused_and_nothing_is_looked_up(url: str) -> None:
    resolver = Resolver([PUBLIC])

    async def run() -> None:
        with pytest.raises(TargetRefused):
            await _get(Guarded(resolve=resolver), url)

    uvloop.run(run())
    assert resolver.asked == []


@pytest.mark.parametrize(
    "url",
    ["https://client.example/c", "https://client.example:443/c?a=b", "https://client.example:8443/", "https://CLIENT.example",
     "https://xn--bcher-kva.example/c", "https://1.1.1.1/c", "https://[2606:4700::1111]/c", "https://0x.example/c"],
)  # fmt: skip
def test_an_ordinary_url_is_accepted(url: str) -> None:
    assert Guarded().check(url).scheme == "https"


@pytest.mark.parametrize("address", _ids(INSIDE))
def test_a_name_that_leads_inside_is_not_connected_to(address: str, connections: list[tuple[str, int]]) -> None:
    failure = _refused("https://client.example/c", Resolver([address]))

    assert connections == []
    assert address == "" or address not in failure.explanation + failure.next_step


@pytest.mark.parametrize(
    "answer",
    [pytest.param([PUBLIC, "127.0.0.1"], id="inside last"), pytest.param(["127.0.0.1", PUBLIC], id="inside first"),
     pytest.param([PUBLIC] * 9 + ["::1"], id="inside tenth"), pytest.param([], id="none")],
)  # fmt: skip
def test_one_bad_address_refuses_them_all(answer: list[str], connections: list[tuple[str, int]]) -> None:
    _refused("https://client.example/c", Resolver(answer))

    assert connections == []


def test_a_name_that_leads_inside_and_one_that_does_not_exist_cannot_be_told_apart() -> None:
    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    inside = _refused("https://client.example/c", Resolver(["10.0.0.1"]))
    absent = _refused("https://client.example/c", nowhere)

    assert (inside.code, inside.explanation, inside.next_step) == (absent.code, absent.explanation, absent.next_step)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]", "localhost"]
)
def test_an_address_inside_is_refused_as_the_host_itself(host: str, connections: list[tuple[str, int]]) -> None:
    async def run() -> None:
        with pytest.raises(UpstreamUnreachable):
            await _get(Guarded(), f"https://{host}/c")

    asyncio.run(run())
    assert connections == []


def test_a_name_whose_answer_changes_is_asked_once_and_connected_to_where_it_was_checked(
    connections: list[tuple[str, int]],
) -> None:
    resolver = Resolver([PUBLIC], ["127.0.0.1"])

    _refused("https://rebinding.example/c", resolver)

    assert resolver.asked == [("rebinding.example", 443)]
    assert connections == [(PUBLIC, 443)]


def test_the_connection_needs_no_name_service_of_its_own() -> None:
    # No resolver but ours knows this name, and ours answers it once.
    resolver = Resolver(["127.0.0.1"], ["127.0.0.2"])

    async def act(guarded: Guarded, upstream: Upstream) -> Fetched:
        url = upstream.url.replace("127.0.0.1", "inside.example")
        return await _get(Guarded(("inside.example",), resolve=resolver), url)

    assert _with(answering(OK, b"{}"), act).body == b"{}"


def test_each_request_is_looked_up_and_checked_anew() -> None:
    async def run() -> None:
        resolver = Resolver(["127.0.0.1"])
        async with scripted(answering(OK, b"{}")) as upstream:
            guarded = Guarded(("inside.example",), resolve=resolver)
            url = upstream.url.replace("127.0.0.1", "inside.example")
            await _get(guarded, url)
            await _get(guarded, url)
            assert len(resolver.asked) == upstream.connections == 2

    uvloop.run(run())


@pytest.mark.parametrize("allowed", ["127.0.0.1:1", "127.0.0.2", "example", ""])
def test_a_private_host_is_allowed_by_its_whole_name_and_port(allowed: str) -> None:
    async def act(guarded: Guarded, upstream: Upstream) -> None:
        with pytest.raises(TargetRefused):
            await _get(Guarded((allowed,)), upstream.url)
        assert upstream.connections == 0

    _with(answering(OK, b"{}"), act)


def test_a_private_host_is_allowed_at_one_port() -> None:
    async def act(guarded: Guarded, upstream: Upstream) -> Fetched:
        host = upstream.url.removeprefix("http://").removesuffix("/mcp")
        return await _get(Guarded((host,)), upstream.url)

    assert _with(answering(OK, b"{}"), act).status == 200


@pytest.mark.parametrize("url", ["http://user@127.0.0.1/c", "http://127.0.0.1/c#f", "http://127.0.0.1/../c"])
def test_a_private_host_is_spared_no_other_check(url: str) -> None:
    async def run() -> None:
        with pytest.raises(TargetRefused):
            await _get(Guarded(("127.0.0.1",)), url)

    uvloop.run(run())


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async def act(guarded: Guarded, upstream: Upstream) -> Fetched:
        found = await _get(guarded, upstream.url)
        assert [request.path for request in upstream.received] == ["/mcp"]
        return found

    location = b"HTTP/1.1 307 Away\r\nLocation: http://169.254.169.254/latest/meta-data\r\nContent-Length: 0\r\n\r\n"
    assert _with(answering(location), act).status == 307


def test_an_answer_says_its_status_type_and_body() -> None:
    found = _fetched(answering(OK, b'{"a":1}'))

    assert found == Fetched(status=200, content_type="application/json", cache_seconds=None, body=b'{"a":1}')


def test_a_post_sends_its_body_and_headers() -> None:
    async def act(guarded: Guarded, upstream: Upstream) -> Received:
        await guarded.post(
            upstream.url, b"a=b", content_type="text/plain", headers=(("x-a", "1"),), most_bytes=10, seconds=5
        )
        return upstream.received[0]

    received = _with(answering(OK, b""), act)

    assert (received.method, received.body) == ("POST", b"a=b")
    assert (received.header("content-type"), received.header("x-a")) == ("text/plain", "1")


def test_a_header_with_a_line_end_is_not_sent() -> None:
    async def act(guarded: Guarded, upstream: Upstream) -> int:
        with pytest.raises(UpstreamInvalid):
            await guarded.post(
                upstream.url, b"", content_type="a", headers=(("a", "b\r\nc: d"),), most_bytes=1, seconds=5
            )
        return len(upstream.received)

    assert _with(answering(OK, b""), act) == 0


def test_compression_is_not_asked_for_and_a_compressed_answer_is_refused() -> None:
    bomb = gzip.compress(b"0" * 1_000_000)

    failure = _fails(answering(OK.replace(b"Content-Type", b"Content-Encoding: gzip\r\nContent-Type"), bomb))

    assert isinstance(failure, UpstreamInvalid)


@pytest.mark.parametrize(
    "handle",
    [pytest.param(answering(OK, b"x" * 10_001), id="announced"),
     pytest.param(answering(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 10_001, close=True), id="until the end"),
     pytest.param(
         answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"x" * 9_000) * 2 + chunk(b"")),
         id="chunked",
     )],
)  # fmt: skip
def test_an_answer_that_is_too_large_is_refused(handle: Handler) -> None:
    assert isinstance(_fails(handle), UpstreamInvalid)


def test_an_answer_of_just_the_limit_is_taken() -> None:
    assert len(_fetched(answering(OK, b"x" * 10_000)).body) == 10_000


async def _drip(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never silent for long, and never at the end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def _silent(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await until_closed(reader)


@pytest.mark.parametrize("handle", [pytest.param(_drip, id="dripping"), pytest.param(_silent, id="silent")])
def test_the_time_limit_holds_for_the_whole_answer(handle: Handler) -> None:
    assert isinstance(_fails(handle, seconds=0.3), UpstreamTimeout)


def test_the_time_limit_holds_for_the_look_up_too() -> None:
    async def slow(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return [PUBLIC]

    assert isinstance(_refused("https://client.example/c", slow, seconds=0.1), UpstreamTimeout)


def test_requests_at_once_are_bounded_and_one_host_cannot_take_every_place() -> None:
    async def run() -> None:
        here: list[int] = []
        most = 0

        async def slow(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal most
            here.append(1)
            most = max(most, len(here))
            await asyncio.sleep(0.05)
            here.pop()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        async with scripted(slow) as upstream:
            guarded = Guarded(("127.0.0.1",))
            found = await asyncio.gather(*(_get(guarded, upstream.url) for _ in range(12)))
            assert [one.status for one in found] == [200] * 12
            assert most == 4

    uvloop.run(run())


def test_too_many_waiting_requests_are_refused_at_once() -> None:
    async def run() -> None:
        async with scripted(_silent) as upstream:
            guarded = Guarded(("127.0.0.1",))
            waiting = [asyncio.create_task(_get(guarded, upstream.url)) for _ in range(256)]
            await asyncio.sleep(0.2)

            with pytest.raises(UpstreamUnreachable, match="too many"):
                await _get(guarded, upstream.url)

            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)

            async def taken() -> None:
                with pytest.raises(UpstreamTimeout):
                    await _get(guarded, upstream.url, seconds=0.1)

            await taken()

    uvloop.run(run())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("max-age=60", 60), ("public, MAX-AGE=60", 60), ('max-age="60"', 60), ("max-age=60, s-maxage=30", 30),
     ("no-store", 0), ("max-age=60, no-store", 0), ("no-cache", 0), ("", None), ("public", None), ("max-age=-1", None),
     ("max-age=x", None), ("max-age=" + "9" * 5_000, None)],
)  # fmt: skip
def test_cache_control_says_how_long_an_answer_may_be_kept(text: str, seconds: int | None) -> None:
    assert parse_cache_control(text) == seconds


def test_a_repeated_cache_control_allows_no_keeping() -> None:
    head = OK.replace(b"Content-Type", b"Cache-Control: max-age=9\r\nCache-Control: max-age=9\r\nContent-Type")

    assert _fetched(answering(head, b"{}")).cache_seconds == 0


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


@asynccontextmanager
async def _tls(context: ssl.SSLContext) -> AsyncIterator[tuple[int, list[str | None]]]:
    names: list[str | None] = []

    def named(connection: ssl.SSLObject, name: str | None, asked: ssl.SSLContext) -> None:
        names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        await until_closed(reader)
        writer.close()

    context.sni_callback = named
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], names
    finally:
        server.close()
        await asyncio.sleep(0.01)


def test_the_certificate_is_checked_for_the_name_and_not_for_the_address(authority: Authority) -> None:
    async def run() -> None:
        async with _tls(authority.server("client.example")) as (port, names):
            guarded = Guarded(("client.example",), resolve=Resolver(["127.0.0.1"]))
            found = await _get(guarded, f"https://client.example:{port}/c")
            assert (found.body, names) == (b"ok", ["client.example"])

    asyncio.run(run())


def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    async def run() -> None:
        async with _tls(authority.server("other.example")) as (port, _):
            guarded = Guarded(("client.example",), resolve=Resolver(["127.0.0.1"]))
            with pytest.raises(UpstreamUnreachable):
                await _get(guarded, f"https://client.example:{port}/c")

    asyncio.run(run())


def test_a_certificate_of_an_unknown_authority_is_refused(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path / "other").file))

    async def run() -> None:
        async with _tls(authority.server("client.example")) as (port, _):
            guarded = Guarded(("client.example",), resolve=Resolver(["127.0.0.1"]))
            with pytest.raises(UpstreamUnreachable, match=re.escape("the host cannot be reached")):
                await _get(guarded, f"https://client.example:{port}/c")

    asyncio.run(run())


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterable[list[tuple[str, int]]]:
    """Where a connection would have gone; none is opened."""
    opened: list[tuple[str, int]] = []

    async def create_connection(self: object, _factory: object, host: str, port: int, **options: object) -> None:
        opened.append((host, port))
        raise OSError("no connection in this test")

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "create_connection", create_connection)
    yield opened


def _refused(url: str, resolve: Callable[[str, int], Awaitable[list[str]]], seconds: float = 5.0) -> UpstreamFailure:
    # asyncio's own loop: that of uvloop cannot be watched.
    async def run() -> UpstreamFailure:
        with pytest.raises(UpstreamFailure) as failure:
            await _get(Guarded(resolve=resolve), url, seconds=seconds)
        return failure.value

    return asyncio.run(run())
