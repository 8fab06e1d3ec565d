"""Requests to URLs that strangers supply, so that none of them reaches what only this machine can reach (SSRF).

The host is looked up once, every address of the answer is checked, and the connection goes to the very address that
was checked: a second answer of the same name (DNS rebinding) has nobody to ask for it. No redirect is followed,
nothing is decompressed, no connection is kept, and one time limit holds for the whole.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from ipaddress import AddressValueError, IPv4Address

import msgspec

from accredit.outbound.addresses import is_public
from accredit.outbound.connection import Connection
from accredit.outbound.failures import UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable
from accredit.outbound.framing import Head
from accredit.outbound.target import Target, TargetRefused, parse_target

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host. Raises OSError if it has none. Asked once for each request."""

PORTS = frozenset((443, 8443))
_URL_BYTES = 2_048
_AT_ONCE = 32
_AT_ONCE_TO_A_HOST = 4
_WAITING = 256
_LOOK_UPS = 8
_ADDRESSES = 4
_VISIBLE = re.compile(r"[!-~]+")
# A host whose last label is a number is an IPv4 address in some spelling (WHATWG URL §3.5, "ends in a number").
_ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HOST_LENGTH = 253
_DIRECTIVE = re.compile(r'(no-store|no-cache|(?:s-maxage|max-age)="?([0-9]{1,10})"?)', re.IGNORECASE)
# One text for a name that does not exist and one that leads inside: it tells nothing of our network.
_UNREACHABLE = "the host cannot be reached"
_NEXT = "a host of yours with a private address must be named in the setting private_hosts"


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, whatever its status. `content_type` is the bare media type in lower case, empty if there is none.

    `cache_seconds` is what Cache-Control allows: 0 if the answer must not be kept, None if it does not say.
    """

    status: int
    content_type: str
    cache_seconds: int | None
    body: bytes


class Guarded:
    """Asks URLs that a stranger supplied. `private_hosts` (`host`, `host:port`, `[address]`) may lead inside.

    Those hosts may be asked by http and at any port too; everything else holds for them as well.
    """

    def __init__(
        self,
        private_hosts: Iterable[str] = (),
        *,
        resolve: Resolve | None = None,
        ports: frozenset[int] = PORTS,
        at_once: int = _AT_ONCE,
    ) -> None:
        self._private_hosts = frozenset(host.lower() for host in private_hosts)
        self._resolve = resolve or self._look_up
        self._ports = ports
        self._all = asyncio.Semaphore(at_once)
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._waiting: dict[str, int] = {}
        self._tls: ssl.SSLContext | None = None
        # Its own threads: a stranger's slow name server must not hold up the look-ups of everybody else.
        self._look_ups = ThreadPoolExecutor(_LOOK_UPS, thread_name_prefix="guarded-look-up")

    async def fetch(self, url: str, *, accept: str, most_bytes: int, seconds: float) -> Fetched:
        """GET a URL within `seconds` for all of it. Raises TargetRefused and UpstreamFailure."""
        return await self._ask("GET", url, (("accept", accept),), None, most_bytes, seconds)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        content_type: str,
        headers: Iterable[tuple[str, str]] = (),
        most_bytes: int,
        seconds: float,
    ) -> Fetched:
        """POST to a URL within `seconds` for all of it. Raises TargetRefused and UpstreamFailure."""
        sent = (("accept", "*/*"), ("content-type", content_type), *headers)
        return await self._ask("POST", url, sent, body, most_bytes, seconds)

    def check(self, url: str) -> Target:
        """The URL as it would be asked, without asking it: scheme, host, port and path. Raises TargetRefused."""
        if _VISIBLE.fullmatch(url) is None or len(url) > _URL_BYTES:
            raise TargetRefused("the URL is not of visible ASCII characters, or it is too long")
        target = parse_target(url)
        _check_host(target.host)
        is_private = self._is_private(target)
        if target.scheme != "https" and not is_private:
            raise TargetRefused("a URL that a client supplies must be https", next_step="serve it over TLS")
        if target.port not in self._ports and not is_private:
            allowed = ", ".join(str(port) for port in sorted(self._ports))
            raise TargetRefused("the URL's port is not asked", next_step=f"serve it at one of the ports {allowed}")
        return target

    def close(self) -> None:
        """Begin no more look-ups."""
        self._look_ups.shutdown(wait=False, cancel_futures=True)

    async def _ask(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[str, str]],
        body: bytes | None,
        most_bytes: int,
        seconds: float,
    ) -> Fetched:
        target = self.check(url)
        sent = (*headers, ("accept-encoding", "identity"), ("connection", "close"))
        try:
            async with asyncio.timeout(seconds), self._turn(target.host):
                connection = await self._connect(target)
                try:
                    await connection.send(method, target, sent, body, seconds)
                    head = await connection.read_head(method, seconds)
                    return _fetched(head, await _read_all(connection, head, most_bytes, seconds))
                finally:
                    connection.abort()
        except TimeoutError as error:
            raise UpstreamTimeout("the host does not answer in time", detail=target.authority) from error

    @asynccontextmanager
    async def _turn(self, host: str) -> AsyncIterator[None]:
        """A place among the requests under way, and among those to this host."""
        if sum(self._waiting.values()) >= _WAITING:
            raise UpstreamUnreachable("too many requests to other servers are waiting", next_step="try again later")
        gate = self._hosts.setdefault(host, asyncio.Semaphore(_AT_ONCE_TO_A_HOST))
        self._waiting[host] = self._waiting.get(host, 0) + 1
        try:
            async with gate, self._all:
                yield
        finally:
            self._waiting[host] -= 1
            if not self._waiting[host]:
                del self._waiting[host], self._hosts[host]

    async def _connect(self, target: Target) -> Connection:
        addresses = await self._addresses(target)
        loop = asyncio.get_running_loop()
        context = self._tls_context() if target.scheme == "https" else None
        reason: OSError | None = None
        for address in addresses:
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(loop),
                    address,
                    target.port,
                    ssl=context,
                    # The certificate is checked for the name, though the connection goes to the address.
                    server_hostname=target.host if context else None,
                    # An address is not looked up again.
                    flags=socket.AI_NUMERICHOST,
                )
            except OSError as error:
                reason = error
            else:
                return connection
        raise UpstreamUnreachable(_UNREACHABLE, next_step=_NEXT, detail=f"{target.authority}: {reason!r}")

    async def _addresses(self, target: Target) -> list[str]:
        """The host's addresses, if every one may be connected to. Raises UpstreamUnreachable."""
        try:
            found = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            detail = f"{target.authority}: {error!r}"
            raise UpstreamUnreachable(_UNREACHABLE, next_step=_NEXT, detail=detail) from error
        inside = () if self._is_private(target) else tuple(address for address in found if not is_public(address))
        # One bad address refuses them all: a name with an address outside and one inside is an attack.
        if inside or not found:
            detail = f"{target.authority} leads to {', '.join(inside) or 'no address'}"
            raise UpstreamUnreachable(_UNREACHABLE, next_step=_NEXT, detail=detail)
        return found[:_ADDRESSES]

    async def _look_up(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._look_ups, _getaddrinfo, host, port)
        return list(dict.fromkeys(found))

    def _is_private(self, target: Target) -> bool:
        host = f"[{target.host}]" if ":" in target.host else target.host
        return not self._private_hosts.isdisjoint((host, f"{host}:{target.port}"))

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


def parse_cache_control(text: str) -> int | None:
    """The seconds for which an answer may be kept (RFC 9111 §5.2.2), 0 for none, None if the header does not say."""
    found: int | None = None
    for part in text.split(","):
        directive = _DIRECTIVE.fullmatch(part.strip())
        if directive is None:
            continue
        seconds = int(directive[2]) if directive[2] is not None else 0
        found = seconds if found is None else min(found, seconds)
    return found


def _check_host(host: str) -> None:
    """Refuse other spellings of an address, and names that are read in two ways. Raises TargetRefused."""
    if ":" in host:
        return
    if host.endswith("."):
        raise TargetRefused("the URL's host ends with a dot", next_step="leave the dot out")
    if _ENDS_IN_A_NUMBER.fullmatch(host) is not None:
        try:
            IPv4Address(host)
        except AddressValueError as error:
            raise TargetRefused("the URL's host is an unusual spelling of an address") from error
    elif len(host) > _HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise TargetRefused("the URL's host is not a name (RFC 1123 §2.1)")


def _getaddrinfo(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


async def _read_all(connection: Connection, head: Head, most: int, seconds: float) -> bytes:
    encoding = head.header(b"content-encoding")
    if encoding is not None and encoding.lower() != b"identity":
        raise UpstreamInvalid("the answer is compressed, which was not asked for")
    if head.length > most:
        raise UpstreamInvalid(f"the answer is larger than {most} bytes")
    whole = bytearray()
    while (piece := await connection.read_some(seconds)) is not None:
        whole += piece
        if len(whole) > most:
            raise UpstreamInvalid(f"the answer is larger than {most} bytes")
    return bytes(whole)


def _fetched(head: Head, body: bytes) -> Fetched:
    kind = (head.header(b"content-type") or b"").decode("latin-1").partition(";")[0].strip().lower()
    # A repeated Cache-Control is a list (RFC 9110 §5.3) of which only the last is kept here: such an answer is not.
    cache = 0 if b"cache-control" in head.repeated else head.headers.get(b"cache-control")
    seconds = cache if cache is None or isinstance(cache, int) else parse_cache_control(cache.decode("latin-1"))
    return Fetched(status=head.status, content_type=kind, cache_seconds=seconds, body=body)
