"""Every statement that reaches SQLite, as its driver sees them: what a hot path asks of the database is counted."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event


@contextmanager
def recorded_statements() -> Iterator[list[str]]:
    """A list that grows with each statement of connections made inside; clear it before what is counted."""
    statements: list[str] = []

    def trace(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_trace_callback(statements.append)

    event.listen(Engine, "connect", trace)
    try:
        yield statements
    finally:
        event.remove(Engine, "connect", trace)


def assert_only_group_commits(statements: list[str]) -> None:
    """Nothing but transactions that number events and insert them; the change feed's poll is let through."""
    ours = [one for one in statements if not one.startswith("PRAGMA") and "FROM changes" not in one]
    kinds = {one.split()[0] for one in ours}
    assert {"UPDATE", "INSERT"} <= kinds <= {"BEGIN", "UPDATE", "INSERT", "COMMIT", "ROLLBACK"}, kinds
    assert all(one.startswith("UPDATE head") for one in ours if one.startswith("UPDATE"))
    assert all(one.startswith("INSERT INTO events") for one in ours if one.startswith("INSERT"))
