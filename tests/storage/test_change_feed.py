"""The change feed: what changed is told in order, and silence is noticed."""

from pathlib import Path

import pytest

from accredit.errors import Conflict
from accredit.storage.db import Database
from accredit.storage.feed import STALE_SECONDS, Feed
from accredit.storage.migrate import migrate
from accredit.storage.writer import Tx
from tests.rooms import Rooms, with_rooms


def test_another_process_sees_changes_in_their_order(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        other = Feed(rooms.database, rooms.clock)
        heard: list[str] = []
        other.subscribe("test", heard.append)
        await other.start()

        def change(tx: Tx) -> None:
            for one in "abc":
                tx.changed("test", one)

        await rooms.transactions.change(change)
        await rooms.transactions.change(lambda tx: tx.changed("other", "z"))
        await other.poll()

        assert heard == ["a", "b", "c"]
        assert other.applied == rooms.feed.applied

    with_rooms(tmp_path, act)


def test_a_change_is_seen_here_before_it_is_answered(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        heard: list[str] = []
        rooms.feed.subscribe("test", heard.append)

        await rooms.transactions.change(lambda tx: tx.changed("test", "a"))

        assert heard == ["a"]

    with_rooms(tmp_path, act)


def test_a_feed_that_heard_nothing_for_a_second_is_stale_until_it_polls(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        assert not rooms.feed.is_stale()

        rooms.clock.move(STALE_SECONDS + 0.1)
        stale = rooms.feed.is_stale()
        await rooms.feed.poll()

        assert stale
        assert not rooms.feed.is_stale()

    with_rooms(tmp_path, act)


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'accredit.db'}")
    migrate(database)
    with database.writing.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(Conflict, match="9999"):
        migrate(database)

    database.close()
