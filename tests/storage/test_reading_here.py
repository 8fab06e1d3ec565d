"""Reading on the event loop's own thread: no read may see an older state than the one that was committed last."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from accredit.storage.db import Database, Found


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'accredit.db'}")
    with database.writing.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE seen (number INTEGER)")
    yield database
    database.close()


def count(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM seen").scalar_one())


def test_each_read_sees_what_was_committed_before_it(database: Database) -> None:
    for number in range(3):
        assert database.read_here(count) == Found(number)

        with database.writing.begin() as connection:
            connection.exec_driver_sql("INSERT INTO seen VALUES (1)")

    assert database.read_here(count) == Found(3)


def test_what_is_not_committed_is_not_seen(database: Database) -> None:
    with database.writing.begin() as connection:
        connection.exec_driver_sql("INSERT INTO seen VALUES (1)")

        assert database.read_here(count) == Found(0)

    assert database.read_here(count) == Found(1)
