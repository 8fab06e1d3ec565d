"""What can end a request from outside: the client goes away, the agent is suspended, time is up.

Each cancels the request's own task, and the cancellation comes out of the `with` block as `Cut`, as with
`asyncio.timeout`. A task that watches for the client is made only when a call takes longer than a moment: most do not.
"""

import asyncio
from types import TracebackType
from typing import Literal

from accredit.web.asgi import Receive

Reason = Literal["client_gone", "agent_ended", "token_ended", "token_expired", "too_slow", "server_stopping"]
CLIENT_GONE: Reason = "client_gone"
AGENT_ENDED: Reason = "agent_ended"
TOKEN_ENDED: Reason = "token_ended"  # noqa: S105  # a reason, not a token
TOKEN_EXPIRED: Reason = "token_expired"  # noqa: S105  # a reason, not a token
TOO_SLOW: Reason = "too_slow"
SERVER_STOPPING: Reason = "server_stopping"

_MOMENT_SECONDS = 0.05


class Cut(Exception):
    """The request was ended from outside, for this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Lifeline:
    """A context around a part of a request that can be cut."""

    __slots__ = ("_armed", "_deadline", "_expiry", "_loop", "_moment", "_reason", "_receive", "_task", "_watch")

    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a lifeline belongs to a task")
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._receive = receive
        self._armed = False
        self._reason: Reason | None = None
        self._moment: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None

    def __enter__(self) -> "Lifeline":
        self._armed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._armed = False
        self.unlimit()
        if self._moment is not None:
            self._moment.cancel()
        if self._expiry is not None:
            self._expiry.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if self._reason is not None and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise Cut(self._reason) from None

    def cut(self, reason: Reason) -> None:
        """End the request now. Does nothing outside the block, or once another reason came first."""
        if self._armed and self._reason is None:
            self._reason = reason
            self._task.cancel()

    def watch(self) -> None:
        """Cut when the client goes away. Nothing else may receive from it then."""
        self._moment = self._loop.call_later(_MOMENT_SECONDS, self._start_watching)

    def limit(self, seconds: float) -> None:
        """Cut after so many seconds, unless `unlimit` is called before."""
        self.unlimit()
        self._deadline = self._loop.call_later(seconds, self.cut, TOO_SLOW)

    def unlimit(self) -> None:
        """Take the time limit away."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @property
    def is_endless(self) -> bool:
        """Whether only the token's end would end this request."""
        return self._expiry is not None

    def expire(self, seconds: float) -> None:
        """Cut when the token expires, in so many seconds."""
        self._expiry = self._loop.call_later(max(0.0, seconds), self.cut, TOKEN_EXPIRED)

    def _start_watching(self) -> None:
        self._watch = self._loop.create_task(self._watch_client())

    async def _watch_client(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.cut(CLIENT_GONE)
                return
