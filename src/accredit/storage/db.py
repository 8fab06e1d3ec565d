"""The database: two engines over one file (or server), one that only reads and one that only the writer uses.

SQLite has one writer; its transactions begin IMMEDIATE, so two processes queue instead of failing half way.
"""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from accredit.errors import Unavailable

T = TypeVar("T")

READ_SECONDS = 5.0
_BUSY_MILLISECONDS = 5_000
_SLOW_SECONDS = 0.05
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a query found, which may be nothing."""

    value: T


class Database:
    """Reads in a small pool of threads; the writer has its own engine and its own thread (`writer.py`)."""

    def __init__(self, url: str) -> None:
        self.reading = _engine(url, read_only=True)
        self.writing = _engine(url, read_only=False)
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="accredit-read")
        self._here: Connection | None = None
        # A server elsewhere is never asked on the event loop's thread.
        self._not_here_until = 0.0 if url.startswith("sqlite") else math.inf

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query in a thread, on a snapshot of its own.

        Raises Unavailable if the database fails or does not answer in five seconds.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await loop.run_in_executor(self._threads, self._read, query)
        except (SQLAlchemyError, sqlite3.Error, TimeoutError, RuntimeError) as error:
            raise Unavailable("the database does not answer", next_step="try again", detail=repr(error)) from error

    def read_here(self, query: Callable[[Connection], T]) -> Found[T] | None:
        """Run a query on the event loop's own thread; None if it is not to be done here: then `read` does it.

        Only for a few rows by their keys, that SQLite finds in microseconds where the way to a thread and back takes
        ten times as long. It waits for no lock. If the disk was slow, nothing is read here for a while.
        """
        now = time.perf_counter()
        if now < self._not_here_until:
            return None
        try:
            if self._here is None:
                self._here = self._open_here()
            try:
                found = Found(query(self._here))
            finally:
                # The engine begins a transaction with the first query: left open, it would show what was then for ever.
                self._here.rollback()
        except (SQLAlchemyError, sqlite3.Error):
            found = None
        took = time.perf_counter() - now
        if found is None or took > _SLOW_SECONDS:
            self._not_here_until = now + _PAUSE_SECONDS
        return found

    def _open_here(self) -> Connection:
        connection = self.reading.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("PRAGMA busy_timeout=0")
        return connection

    def read_now(self, query: Callable[[Connection], T]) -> T:
        """Run a query on this thread: only for start-up and commands, never on the event loop of a server."""
        return self._read(query)

    def _read(self, query: Callable[[Connection], T]) -> T:
        with self.reading.connect() as connection:
            return query(connection)

    def close(self) -> None:
        """Give every connection back; a read in flight is waited for."""
        self._threads.shutdown(wait=True)
        self._not_here_until = math.inf
        if self._here is not None:
            self._here.close()
        self.reading.dispose()
        self.writing.dispose()


def _engine(url: str, *, read_only: bool) -> Engine:
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"), hide_parameters=True)
    if not url.startswith("sqlite"):
        return engine

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own transaction handling is switched off: BEGIN is sent below.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        # Rule 2 of the spine: an event is durable before its effect, so a commit reaches the disk.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
        connection.execute("PRAGMA foreign_keys=ON")
        if read_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            # SQLAlchemy says `begin` here too; a BEGIN would hold the first snapshot for good.
            return
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
