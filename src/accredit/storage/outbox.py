"""Messages to others: written in the transaction of the change that they tell of, delivered after it, at least once.

What a crash leaves: before the commit, neither change nor message; after it, both; while a message is sent, one that is
sent again when its lease is over. A message is sealed, bound to its address: what is sent can be a credential.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import NamedTuple, Protocol

import structlog
from sqlalchemy import Connection, delete, insert, select, update

from accredit.clock import Clock
from accredit.ids import NewId
from accredit.storage import schema
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 300.0
DELIVERY_SECONDS = 30.0
LEASE_SECONDS = 60.0
"""For so long no other process sends a message that one has begun to send."""

_AT_ONCE = 32
_DOUBLINGS = 16
_table = schema.outbox
_log = structlog.get_logger("accredit.storage")


class Message(NamedTuple):
    """One message: what kind it is, where it goes, and what its handler needs to make it (JSON)."""

    id: str
    kind: str
    url: str
    message: bytes
    attempts: int


Deliver = Callable[[Message], Awaitable[None]]
"""Sends one message; raises when it has to be tried again. It may be called twice for one message."""


class Seals(Protocol):
    """What keeps messages closed in the database; `context` binds each to its place."""

    def seal(self, plain: bytes, context: str) -> bytes:
        """Encrypt."""

    def open(self, sealed: bytes, context: str) -> bytes:
        """Decrypt. Raises Unavailable if the key is another one, or the text or its place was changed."""


class Outbox:
    """Keeps messages and hands them to their kind's handler."""

    def __init__(self, transactions: Transactions, clock: Clock, new_id: NewId, seals: Seals) -> None:
        self._transactions = transactions
        self._clock = clock
        self._new_id = new_id
        self._seals = seals
        self._handlers: Mapping[str, Deliver] = {}

    def handle(self, handlers: Mapping[str, Deliver]) -> None:
        """Name who delivers each kind."""
        self._handlers = handlers

    def put(self, tx: Tx, kind: str, url: str, message: bytes, *, seconds: float) -> None:
        """Send this after the commit; given up when `seconds` have passed."""
        now = self._clock.seconds()
        message_id = self._new_id("msg")
        values = {
            "id": message_id,
            "kind": kind,
            "url": url,
            "message": self._seals.seal(message, _context(message_id, kind, url)),
            "attempts": 0,
            "next_at": now,
            "expires_at": now + seconds,
        }
        tx.connection.execute(insert(_table), values)

    async def deliver(self) -> None:
        """Send what is due, all at once: one slow receiver holds up no other. Raises Unavailable."""
        now = self._clock.seconds()
        if not await self._transactions.read(lambda c: _due(c, now)):
            return
        claimed, _ = await self._transactions.change(partial(_claim, now=now))
        ended = await asyncio.gather(*(self._send(one) for one in claimed), return_exceptions=True)
        for one in ended:
            if isinstance(one, BaseException):
                raise one

    async def _send(self, sealed: Message) -> None:
        try:
            async with asyncio.timeout(DELIVERY_SECONDS):
                await self._hand_over(sealed)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with one message, the others are sent
            wait = min(FIRST_RETRY_SECONDS * 2 ** min(sealed.attempts, _DOUBLINGS), LONGEST_RETRY_SECONDS)
            at = self._clock.seconds() + wait
            given_up, _ = await self._transactions.change(partial(_postpone, message=sealed, at=at))
            _log.warning(
                "message given up" if given_up else "message not delivered",
                kind=sealed.kind,
                attempts=sealed.attempts + 1,
                error=repr(error),
            )
        else:
            await self._transactions.change(partial(_remove, message=sealed))

    async def _hand_over(self, sealed: Message) -> None:
        handler = self._handlers.get(sealed.kind)
        if handler is None:
            # Of a newer version that ran here before: it is kept for that one until its time is over.
            raise LookupError(f"nobody here delivers {sealed.kind}")
        plain = self._seals.open(sealed.message, _context(sealed.id, sealed.kind, sealed.url))
        await handler(sealed._replace(message=plain))


def _context(message_id: str, kind: str, url: str) -> str:
    return f"outbox\0{message_id}\0{kind}\0{url}"


def _due(connection: Connection, now: float) -> list[Message]:
    query = select(_table).where(_table.c.next_at <= now).order_by(_table.c.next_at).limit(_AT_ONCE)
    return [Message(row.id, row.kind, row.url, row.message, row.attempts) for row in connection.execute(query)]


def _claim(tx: Tx, now: float) -> list[Message]:
    """What is due and ours from now on: of two processes that ask for it one gets it."""
    return [one for one in _due(tx.connection, now) if _lease(tx.connection, one, now)]


def _lease(connection: Connection, one: Message, now: float) -> bool:
    free = (_table.c.id == one.id, _table.c.next_at <= now)
    return connection.execute(update(_table).where(*free).values(next_at=now + LEASE_SECONDS)).rowcount == 1


def _postpone(tx: Tx, message: Message, at: float) -> bool:
    """Try again then; True if its time is over by then, and it is given up."""
    gone = delete(_table).where(_table.c.id == message.id, _table.c.expires_at < at)
    if tx.connection.execute(gone).rowcount:
        return True
    later = update(_table).where(_table.c.id == message.id).values(attempts=message.attempts + 1, next_at=at)
    tx.connection.execute(later)
    return False


def _remove(tx: Tx, message: Message) -> None:
    tx.connection.execute(delete(_table).where(_table.c.id == message.id))
