"""Requests to other servers: pooled connections, time limits at each wait, an end that is felt at once."""

import asyncio
import contextlib
import ssl
from collections import defaultdict
from collections.abc import Iterable
from types import TracebackType

import msgspec

from accredit.outbound.connection import Connection
from accredit.outbound.failures import UpstreamFailure, UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable
from accredit.outbound.framing import Head
from accredit.outbound.target import Target

# Servers close idle connections after five seconds at the earliest; ours are given up before, so that a request is
# rarely written to a socket that the other side is closing.
_IDLE_SECONDS = 4.0
_IDLE_CONNECTIONS = 256
_ASIDE_SECONDS = 0.2
_ASIDE_BYTES = 65_536


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds to connect, and seconds of silence: before the head of an answer and between two pieces of its body."""

    connect_seconds: float
    silence_seconds: float


class Answer:
    """What another server answers: the head is there, the body is read as it comes."""

    def __init__(self, head: Head, connection: Connection, read_seconds: float) -> None:
        self._connection = connection
        self._read_seconds = read_seconds
        self.head = head
        self.status = head.status

    def header(self, name: bytes) -> bytes | None:
        """A header by its lower-case name. Raises UpstreamInvalid if it is repeated."""
        return self.head.header(name)

    async def read_some(self) -> bytes | None:
        """The next bytes as they arrive, None at the end. Raises UpstreamFailure."""
        return await self._connection.read_some(self._read_seconds)

    async def read_all(self, most: int) -> bytes:
        """The whole body. Raises UpstreamInvalid if it is longer than `most` bytes, and UpstreamFailure."""
        if self.head.length > most:
            raise UpstreamInvalid(f"the answer is larger than {most} bytes")
        whole = bytearray()
        while (piece := await self.read_some()) is not None:
            whole += piece
            if len(whole) > most:
                raise UpstreamInvalid(f"the answer is larger than {most} bytes")
        return bytes(whole)

    def leave(self) -> None:
        """Want nothing more of this answer: what is left is read aside, so that the connection can serve again."""
        self._connection.is_left = True


class Exchange:
    """One request and its answer, as an asynchronous context. Leaving it early closes the connection at once."""

    __slots__ = ("_body", "_connection", "_headers", "_method", "_outbound", "_target", "_timeouts")

    def __init__(
        self,
        outbound: "Outbound",
        method: str,
        target: Target,
        headers: Iterable[tuple[str, str]],
        body: bytes | None,
        timeouts: Timeouts,
    ) -> None:
        self._outbound = outbound
        self._method = method
        self._target = target
        self._headers = headers
        self._body = body
        self._timeouts = timeouts
        self._connection: Connection | None = None

    async def __aenter__(self) -> Answer:
        times = self._timeouts
        connection = self._connection = await self._outbound.take(self._target, times.connect_seconds)
        try:
            await connection.send(self._method, self._target, self._headers, self._body, times.silence_seconds)
            head = await connection.read_head(self._method, times.silence_seconds)
        except BaseException:
            connection.abort()
            raise
        return Answer(head, connection, times.silence_seconds)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._outbound.give_back(self._target, self._connection)


class Outbound:
    """Opens every connection that this process makes to other servers over HTTP.

    It follows no redirect, obeys no proxy of the environment, decompresses nothing, sends the path as it was checked,
    and waits for nothing but what is named in `Timeouts`.
    """

    def __init__(self, connect_seconds: float = 5.0, silence_seconds: float = 60.0) -> None:
        self.timeouts = Timeouts(connect_seconds, silence_seconds)
        self._idle: defaultdict[tuple[str, str, int], list[Connection]] = defaultdict(list)
        self._tls: ssl.SSLContext | None = None
        self._closed = False
        self._asides: set[asyncio.Task[None]] = set()

    def open(
        self,
        method: str,
        target: Target,
        headers: Iterable[tuple[str, str]],
        body: bytes | None = None,
        timeouts: Timeouts | None = None,
    ) -> Exchange:
        """Send a request: `async with outbound.open(…) as answer`. Entering and reading raise UpstreamFailure."""
        return Exchange(self, method, target, headers, body, timeouts or self.timeouts)

    async def take(self, target: Target, connect_seconds: float) -> Connection:
        """A connection to this place, idle or new. Raises UpstreamUnreachable, UpstreamTimeout."""
        if self._closed:
            raise UpstreamUnreachable("the server is stopping")
        loop = asyncio.get_running_loop()
        idle = self._idle[target.scheme, target.host, target.port]
        while idle:
            connection = idle.pop()
            if connection.is_usable() and loop.time() - connection.idle_since < _IDLE_SECONDS:
                return connection
            connection.abort()
        return await self._connect(loop, target, connect_seconds)

    def give_back(self, target: Target, connection: Connection) -> None:
        """Keep a connection whose answer was read to its end; close every other."""
        if connection.is_left and not connection.is_complete() and not self._closed:
            connection.is_left = False
            task = asyncio.get_running_loop().create_task(self._read_aside(target, connection))
            self._asides.add(task)
            task.add_done_callback(self._asides.discard)
            return
        idle = self._idle[target.scheme, target.host, target.port]
        if self._closed or not connection.is_complete() or len(idle) >= _IDLE_CONNECTIONS:
            connection.abort()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        idle.append(connection)

    async def close(self) -> None:
        """Close the idle connections; those in use close with their exchange."""
        self._closed = True
        if self._asides:
            await asyncio.wait(self._asides)
        for idle in self._idle.values():
            for connection in idle:
                connection.abort()
        self._idle.clear()

    async def _read_aside(self, target: Target, connection: Connection) -> None:
        """Read the end of an answer that is over for its caller, if it comes soon and is short."""
        left = _ASIDE_BYTES
        with contextlib.suppress(UpstreamFailure):
            while left > 0 and (piece := await connection.read_some(_ASIDE_SECONDS)) is not None:
                left -= len(piece)
        self.give_back(target, connection)

    async def _connect(self, loop: asyncio.AbstractEventLoop, target: Target, seconds: float) -> Connection:
        context = self._tls_context() if target.scheme == "https" else None
        try:
            async with asyncio.timeout(seconds):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop),
                    target.host,
                    target.port,
                    ssl=context,
                    server_hostname=target.host if context else None,
                )
        except TimeoutError as error:
            raise UpstreamTimeout("the system does not answer", detail=target.authority) from error
        except OSError as error:
            raise UpstreamUnreachable("the system cannot be reached", detail=repr(error)) from error
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls
