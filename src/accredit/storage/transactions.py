"""What a room needs of the database: read, change, and know that the change is seen here before it is answered."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from accredit.storage.db import Database, Found
from accredit.storage.feed import Feed
from accredit.storage.schema import Recorded, StatusRow
from accredit.storage.writer import Tx, Writer

T = TypeVar("T")


class Transactions:
    """Reads in threads, changes through the one writer."""

    def __init__(self, database: Database, writer: Writer, feed: Feed) -> None:
        self._database = database
        self._writer = writer
        self._feed = feed

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query in a thread. Raises Unavailable."""
        return await self._database.read(query)

    def read_here(self, query: Callable[[Connection], T]) -> Found[T] | None:
        """Run a query for a few rows at once, without a thread; None if it is to be `read`."""
        return self._database.read_here(query)

    async def change(self, run: Callable[[Tx], T]) -> tuple[T, Recorded]:
        """Run a change of state, its events and its change notes in one transaction, or nothing.

        Returns when this process has applied the change too. Raises what `run` raises, and Unavailable.
        """
        result, recorded = await self._writer.submit(run)
        await self._feed.catch_up(recorded.change)
        return result, recorded

    def put_status(self, status: StatusRow) -> None:
        """Write a token's place in a status list with the event that was queued in this turn of the loop."""
        self._writer.put_status(status)
