"""Counts how often the database is read: an answer that takes another number of reads tells by its time why."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accredit.storage.db import Database


class Reads:
    """How many there were, in a thread and here."""

    def __init__(self) -> None:
        self.count = 0


@contextmanager
def counted_reads(database: Database) -> Iterator[Reads]:
    """Count the reads of a database while this lasts."""
    reads, in_thread, here = Reads(), database.read, database.read_here

    async def read(query: Any) -> Any:
        reads.count += 1
        return await in_thread(query)

    def read_here(query: Any) -> Any:
        found = here(query)
        # None: it is to be read in a thread, and is counted there.
        reads.count += found is not None
        return found

    database.read = read  # type: ignore[method-assign]
    database.read_here = read_here  # type: ignore[method-assign]
    try:
        yield reads
    finally:
        database.read, database.read_here = in_thread, here  # type: ignore[method-assign]
