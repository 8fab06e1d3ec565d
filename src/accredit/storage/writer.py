"""The group commit: one thread that writes, in transactions that carry whatever is waiting.

A change of state is a closure that runs inside the transaction, in a savepoint of its own, so that one that fails
does not take its neighbours with it. A hot-path event is a row. Both get their numbers at the end, from the one row
of `head`, locked last: numbers follow the order of the commits, without a gap.

What a crash leaves: before COMMIT nothing, and nobody was answered; after it everything, and an answer that was lost.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import structlog
from sqlalchemy import Connection, insert, update
from sqlalchemy.exc import IntegrityError

from accredit.errors import Conflict, Unavailable
from accredit.storage import schema
from accredit.storage.db import Database
from accredit.storage.schema import EventRow, Recorded, StatusRow

T = TypeVar("T")

GROUP_LIMIT = 4_096
_INSERT_EVENT = "INSERT INTO events (seq, id, nonce, body, commitment) VALUES (?, ?, ?, ?, ?)"
_INSERT_ONCE = "INSERT INTO used_once (key, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING"
_INSERT_STATUS = "INSERT INTO token_statuses (list, place, agent, epoch, lineage, expires_at) VALUES (?, ?, ?, ?, ?, ?)"
_log = structlog.get_logger("accredit.storage")


class UsedBefore(Conflict):
    """A value that may be used once was used before: `once` (RFC 7523 §3: `jti`; RFC 6749 §4.1.2: a code)."""

    code = "used_before"

    def __init__(self, once: "Once") -> None:
        super().__init__("this was used before", next_step="get a new one")
        self.once = once


@dataclass(frozen=True, slots=True)
class Once:
    """A value that may be used once: its hash, and when it may be forgotten (seconds since 1970)."""

    key: bytes
    expires_at: float


@dataclass(slots=True)
class Tx:
    """A transaction as a closure sees it. `append` and `changed` take effect with the commit, in that order."""

    connection: Connection
    events: list[EventRow] = field(default_factory=list)
    changes: list[tuple[str, str]] = field(default_factory=list)

    def append(self, row: EventRow) -> None:
        """Add an event to the log with this transaction, or not at all."""
        self.events.append(row)

    def use(self, once: Once) -> None:
        """Use a value up with this transaction, or not at all. Raises UsedBefore."""
        if not _use_once_of(self.connection, once):
            raise UsedBefore(once)

    def changed(self, kind: str, subject: str) -> None:
        """Tell every process that keeps a snapshot of this thing."""
        self.changes.append((kind, subject))


@dataclass(slots=True)
class _Job(Generic[T]):
    run: Callable[[Tx], T]
    done: asyncio.Future[tuple[T, Recorded]]


@dataclass(slots=True)
class _Row:
    row: EventRow | None
    once: tuple[Once, ...]
    done: asyncio.Future[Recorded]
    status: StatusRow | None = None


_Item = _Job[Any] | _Row
_Outcome = tuple[asyncio.Future[Any], object]


class Writer:
    """Owns the writing thread. Made and closed on the event loop whose futures it resolves."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[list[_Item] | None] = queue.SimpleQueue()
        self._gathered: list[_Item] = []
        self._thread = threading.Thread(target=self._run, name="accredit-writer", daemon=True)
        self._closed = False
        self._thread.start()

    def append(self, row: EventRow, once: tuple[Once, ...] = ()) -> asyncio.Future[Recorded]:
        """Add a hot-path event; the future is done when it is durable.

        It fails with UsedBefore (only this row) if one of `once` was used before; those that stand before it are used
        then. It fails with Unavailable if the commit failed.
        """
        done: asyncio.Future[Recorded] = self._loop.create_future()
        self._put(_Row(row, once, done), done)
        return done

    def use(self, once: tuple[Once, ...]) -> asyncio.Future[Recorded]:
        """Use values up without an event, as `append` does; `Recorded.seq` is -1."""
        done: asyncio.Future[Recorded] = self._loop.create_future()
        self._put(_Row(None, once, done), done)
        return done

    def put_status(self, status: StatusRow) -> None:
        """Write a token's place in a status list with what else is asked for in this turn of the loop, or not at all.

        So the row is there when the event of the same turn is durable, and costs no commit of its own.
        """
        done: asyncio.Future[Recorded] = self._loop.create_future()
        self._put(_Row(None, (), done, status), done)
        # The one who waits for the event hears of a failure.
        done.add_done_callback(lambda failed: failed.exception())

    async def submit(self, run: Callable[[Tx], T]) -> tuple[T, Recorded]:
        """Run a change of state in the next transaction, and wait for its commit.

        `Recorded.seq` is the number of its first event, -1 if it wrote none. What `run` raises is raised here,
        and nothing that it did remains. Raises Unavailable if the commit failed.
        """
        done: asyncio.Future[tuple[T, Recorded]] = self._loop.create_future()
        self._put(_Job(run, done), done)
        return await done

    async def flush(self) -> None:
        """Return when everything that was asked for until now is written, or has failed."""
        with contextlib.suppress(Unavailable):
            await self.submit(_nothing)

    async def close(self) -> None:
        """Write what waits, then stop the thread."""
        self._closed = True
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _put(self, item: _Item, done: asyncio.Future[Any]) -> None:
        if self._closed:
            done.set_exception(Unavailable("the server is stopping", next_step="try again"))
            return
        if not self._gathered:
            # All that is asked for in this turn of the loop goes over together: one waking of the thread, one group.
            self._loop.call_soon(self._hand_over)
        self._gathered.append(item)

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    def _run(self) -> None:
        with self._database.writing.connect() as connection:
            open_ = True
            while open_:
                items, open_ = self._take()
                if items:
                    outcomes = self._write(connection, items)
                    # The loop may be gone when a server is torn down hard; then nobody waits for an answer.
                    with contextlib.suppress(RuntimeError):
                        self._loop.call_soon_threadsafe(_deliver, outcomes)

    def _take(self) -> tuple[list[_Item], bool]:
        items: list[_Item] = []
        handed = self._queue.get()
        try:
            while handed is not None:
                items.extend(handed)
                if len(items) >= GROUP_LIMIT:
                    return items, True
                handed = self._queue.get_nowait()
        except queue.Empty:
            return items, True
        return items, False

    def _write(self, connection: Connection, items: list[_Item]) -> list[_Outcome]:
        try:
            if connection.dialect.name == "sqlite" and all(type(item) is _Row for item in items):
                driver = cast("sqlite3.Connection", connection.connection.driver_connection)
                return _write_rows(driver, cast("list[_Row]", items))
            with connection.begin():
                return _write_group(connection, items)
        except Exception as error:  # noqa: BLE001  # the thread must go on: the next group may succeed
            # Nothing of the group is durable: everyone who waits is told so, and the next group is tried afresh.
            # A log line that cannot be written must not end the thread that everyone waits for.
            with contextlib.suppress(Exception):
                _log.error("group commit failed", error=repr(error), waiting=len(items))
            failure = Unavailable("the log cannot be written; nothing was done", next_step="try again")
            return [(item.done, failure) for item in items]


def _write_rows(driver: sqlite3.Connection, items: list[_Row]) -> list[_Outcome]:
    """The hot path: events alone, by the driver itself. SQLAlchemy would cost more than the rows."""
    outcomes: list[_Outcome] = []
    rows: list[_Row] = []
    unnumbered: list[_Row] = []
    driver.execute("BEGIN IMMEDIATE")
    try:
        for item in items:
            if (used := next((one for one in item.once if not _use_once(driver, one)), None)) is not None:
                outcomes.append((item.done, UsedBefore(used)))
            elif item.row is None:
                unnumbered.append(item)
            else:
                rows.append(item)
        next_event, next_change = driver.execute(
            "UPDATE head SET next_event = next_event + ? RETURNING next_event, next_change", (len(rows),)
        ).fetchone()
        first = next_event - len(rows)
        events = [item.row for item in rows if item.row is not None]
        driver.executemany(_INSERT_EVENT, [(first + n, *row) for n, row in enumerate(events)])
        if statuses := [item.status for item in unnumbered if item.status is not None]:
            driver.executemany(_INSERT_STATUS, statuses)
        driver.execute("COMMIT")
    except BaseException:
        if driver.in_transaction:
            driver.execute("ROLLBACK")
        raise
    outcomes.extend((item.done, Recorded(first + n, next_change - 1)) for n, item in enumerate(rows))
    outcomes.extend((item.done, Recorded(-1, next_change - 1)) for item in unnumbered)
    return outcomes


def _write_group(connection: Connection, items: list[_Item]) -> list[_Outcome]:
    tx = Tx(connection)
    outcomes: list[_Outcome] = []
    jobs: list[tuple[_Job[Any], object, int, int]] = []
    rows: list[_Row] = []
    unnumbered: list[_Row] = []
    for item in items:
        if isinstance(item, _Job):
            before = len(tx.events)
            failure, result = _attempt(tx, item.run)
            if failure is not None:
                outcomes.append((item.done, failure))
            else:
                jobs.append((item, result, before, len(tx.events)))
        elif (used := next((one for one in item.once if not _use_once_of(connection, one)), None)) is not None:
            outcomes.append((item.done, UsedBefore(used)))
        elif item.row is None:
            unnumbered.append(item)
        else:
            rows.append(item)

    events = tx.events + [item.row for item in rows if item.row is not None]
    first, newest_change = _number(connection, len(events), tx.changes)
    _insert_events(connection, first, events)
    if statuses := [item.status._asdict() for item in unnumbered if item.status is not None]:
        connection.execute(insert(schema.token_statuses), statuses)

    for job, result, before, after in jobs:
        seq = first + before if after > before else -1
        outcomes.append((job.done, (result, Recorded(seq=seq, change=newest_change))))
    start = first + len(tx.events)
    outcomes.extend((item.done, Recorded(seq=start + n, change=newest_change)) for n, item in enumerate(rows))
    outcomes.extend((item.done, Recorded(seq=-1, change=newest_change)) for item in unnumbered)
    return outcomes


def _attempt(tx: Tx, run: Callable[[Tx], T]) -> tuple[Exception | None, T | None]:
    events, changes = len(tx.events), len(tx.changes)
    savepoint = tx.connection.begin_nested()
    try:
        result = run(tx)
    except Exception as error:  # noqa: BLE001  # it is the answer to the one who asked, and to nobody else
        savepoint.rollback()
        del tx.events[events:], tx.changes[changes:]
        if isinstance(error, IntegrityError):
            return Conflict("something of this name or id is there already", detail=repr(error)), None
        return error, None
    savepoint.commit()
    return None, result


def _use_once(driver: sqlite3.Connection, once: Once) -> bool:
    return driver.execute(_INSERT_ONCE, (once.key, once.expires_at)).rowcount == 1


def _use_once_of(connection: Connection, once: Once) -> bool:
    statement = _INSERT_ONCE if connection.dialect.name == "sqlite" else _INSERT_ONCE.replace("?", "%s")
    return connection.exec_driver_sql(statement, (once.key, once.expires_at)).rowcount == 1


def _number(connection: Connection, events: int, changes: list[tuple[str, str]]) -> tuple[int, int]:
    """Take a dense range of numbers; returns the first event's number and the newest change's."""
    statement = (
        update(schema.head)
        .values(next_event=schema.head.c.next_event + events, next_change=schema.head.c.next_change + len(changes))
        .returning(schema.head.c.next_event, schema.head.c.next_change)
    )
    next_event, next_change = connection.execute(statement).one()
    if changes:
        start = next_change - len(changes)
        now = time.time()
        values = [
            {"number": start + n, "kind": kind, "subject": subject, "time": now}
            for n, (kind, subject) in enumerate(changes)
        ]
        connection.execute(insert(schema.changes), values)
    return next_event - events, next_change - 1


def _insert_events(connection: Connection, first: int, events: list[EventRow]) -> None:
    if not events:
        return
    if connection.dialect.name == "sqlite":
        # The driver itself: SQLAlchemy Core makes 23k rows/s where the driver makes 38k to 43k.
        driver = cast("Any", connection.connection.driver_connection)
        driver.executemany(_INSERT_EVENT, [(first + n, *row) for n, row in enumerate(events)])
    else:
        connection.execute(insert(schema.events), [{"seq": first + n, **row._asdict()} for n, row in enumerate(events)])


def _deliver(outcomes: list[_Outcome]) -> None:
    for done, outcome in outcomes:
        if done.cancelled():
            continue
        if isinstance(outcome, Exception):
            done.set_exception(outcome)
            # The one who waits may have gone with its connection; the failure was logged where it happened.
            done.exception()
        else:
            done.set_result(outcome)


def _nothing(_tx: Tx) -> None:
    """Change nothing: whoever waits for it waits for what was asked for before."""
