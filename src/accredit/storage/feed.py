"""The change feed: how every process learns that its snapshot is old.

The poll is the guarantee: every 250 ms, whatever else wakes it. Numbers come from the same locked row as the
events', so a reader that has seen number n has seen everything below n (a plain sequence was seen to lose rows).
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from sqlalchemy import Connection, select

from accredit.clock import Clock
from accredit.storage import schema
from accredit.storage.db import Database

PERIOD_SECONDS = 0.25
STALE_SECONDS = 1.0

Subscriber = Callable[[str], None]
"""Called with the subject of a change, on the event loop. It only forgets or marks; it never waits."""


class Feed:
    """Reads changes in order and tells the subscribers of each kind."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._subscribers: defaultdict[str, list[Subscriber]] = defaultdict(list)
        self._lock = asyncio.Lock()
        self._heard_at = clock.monotonic()
        self.applied = 0

    def subscribe(self, kind: str, subscriber: Subscriber) -> None:
        """Have `subscriber` called for every change of this kind from now on."""
        self._subscribers[kind].append(subscriber)

    async def start(self) -> None:
        """Begin after the newest change; snapshots are loaded after this, so nothing is missed in between."""
        self.applied = await self._database.read(_newest)
        self._heard_at = self._clock.monotonic()

    def is_stale(self) -> bool:
        """True when nothing was heard for a second: then memory is not to be trusted (rule 3 of the spine)."""
        return self._clock.monotonic() - self._heard_at > STALE_SECONDS

    async def poll(self) -> None:
        """Apply every change since the last. Raises Unavailable if the database cannot be read."""
        async with self._lock:
            asked_at = self._clock.monotonic()
            for number, kind, subject in await self._database.read(lambda c: _since(c, self.applied)):
                for subscriber in self._subscribers[kind]:
                    subscriber(subject)
                self.applied = number
            self._heard_at = asked_at

    async def catch_up(self, number: int) -> None:
        """Return when change `number` was applied here. Raises Unavailable."""
        if number > self.applied:
            await self.poll()


def _newest(connection: Connection) -> int:
    return int(connection.execute(select(schema.head.c.next_change)).scalar_one()) - 1


def _since(connection: Connection, number: int) -> list[tuple[int, str, str]]:
    table = schema.changes
    query = (
        select(table.c.number, table.c.kind, table.c.subject).where(table.c.number > number).order_by(table.c.number)
    )
    return [(row.number, row.kind, row.subject) for row in connection.execute(query)]
