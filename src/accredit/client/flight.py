"""One flight at a time: whoever needs a token while another fetches it waits, and takes that one."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

_POLL_SECONDS = 0.02


class SingleFlight:
    """One lock for threads and event loops alike.

    Two refreshes at once would end a rotating family (RFC 9700 §4.14.2).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Hold it in an event loop. It is asked for again and again, since a thread may hold it."""
        while not self._lock.acquire(blocking=False):  # noqa: ASYNC110  # an event of one loop cannot wake another
            await anyio.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            self._lock.release()
