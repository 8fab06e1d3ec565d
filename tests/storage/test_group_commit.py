"""The one writer: groups, numbers, savepoints, and what fails alone."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from accredit.audit.event import AuditEvent
from accredit.audit.group import seal_event
from accredit.errors import Conflict, Unavailable
from accredit.ids import EventId, new_id
from accredit.storage import schema
from accredit.storage.schema import EventRow
from accredit.storage.writer import Once, Tx, UsedBefore
from tests.rooms import Rooms, with_rooms


def an_event() -> EventRow:
    return seal_event(AuditEvent(id=EventId(new_id("evt")), time="2026-11-24T00:00:00.000Z", type="test"))


async def _numbers(rooms: Rooms) -> list[int]:
    query = select(schema.events.c.seq).order_by(schema.events.c.seq)
    return await rooms.transactions.read(lambda c: list(c.execute(query).scalars()))


def test_events_get_dense_numbers_in_the_order_of_their_commits(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        recorded = await asyncio.gather(*(rooms.writer.append(an_event()) for _ in range(500)))

        assert [one.seq for one in recorded] == list(range(500))
        assert await _numbers(rooms) == list(range(500))

    with_rooms(tmp_path, act)


def test_a_change_of_state_and_its_event_are_there_together_or_not_at_all(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        def fails_half_way(tx: Tx) -> None:
            tx.connection.execute(insert(schema.used_once).values(key=b"half", expires_at=1.0))
            tx.append(an_event())
            tx.changed("test", "half")
            raise Conflict("half way")

        def works(tx: Tx) -> None:
            tx.connection.execute(insert(schema.used_once).values(key=b"whole", expires_at=1.0))
            tx.append(an_event())
            tx.changed("test", "whole")

        results = await asyncio.gather(
            rooms.writer.submit(fails_half_way), rooms.writer.submit(works), return_exceptions=True
        )

        assert isinstance(results[0], Conflict)
        query = select(schema.used_once.c.key)
        assert await rooms.transactions.read(lambda c: list(c.execute(query).scalars())) == [b"whole"]
        assert await _numbers(rooms) == [0]
        query2 = select(schema.changes.c.subject)
        assert await rooms.transactions.read(lambda c: list(c.execute(query2).scalars())) == ["whole"]

    with_rooms(tmp_path, act)


def test_a_value_that_was_used_before_fails_only_its_own_request(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        once = (Once(b"jti", 9e9),)

        results = await asyncio.gather(
            rooms.writer.append(an_event(), once),
            rooms.writer.append(an_event(), once),
            rooms.writer.append(an_event()),
            return_exceptions=True,
        )

        assert [type(one).__name__ for one in results] == ["Recorded", "UsedBefore", "Recorded"]
        assert await _numbers(rooms) == [0, 1]

    with_rooms(tmp_path, act)


def test_a_value_stays_used_across_a_restart(tmp_path: Path) -> None:
    async def first(rooms: Rooms) -> None:
        await rooms.writer.append(an_event(), (Once(b"jti", 9e9),))

    async def second(rooms: Rooms) -> None:
        with pytest.raises(UsedBefore):
            await rooms.writer.append(an_event(), (Once(b"jti", 9e9),))

    with_rooms(tmp_path, first)
    with_rooms(tmp_path, second)


def test_a_log_that_cannot_be_written_fails_everyone_who_waits_and_then_works_again(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        def rename(old: str, new: str) -> None:
            with rooms.database.writing.begin() as connection:
                connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

        await asyncio.to_thread(rename, "events", "gone")
        with pytest.raises(Unavailable):
            await rooms.writer.append(an_event())
        await asyncio.to_thread(rename, "gone", "events")

        recorded = await rooms.writer.append(an_event())

        assert recorded.seq == 0
        assert await _numbers(rooms) == [0]

    with_rooms(tmp_path, act)


def test_a_log_line_that_cannot_be_written_does_not_end_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def error(self, *_: object, **__: object) -> None:
            raise ValueError("I/O operation on closed file")

    monkeypatch.setattr("accredit.storage.writer._log", Broken())

    async def act(rooms: Rooms) -> None:
        with rooms.database.writing.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE events RENAME TO gone")
        with pytest.raises(Unavailable):
            await asyncio.wait_for(rooms.writer.append(an_event()), 20)
        with rooms.database.writing.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE gone RENAME TO events")

        assert (await asyncio.wait_for(rooms.writer.append(an_event()), 20)).seq == 0

    with_rooms(tmp_path, act)


def test_a_commit_tells_the_newest_change(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        before = await rooms.writer.append(an_event())

        _, changed = await rooms.writer.submit(lambda tx: tx.changed("test", "x"))
        after = await rooms.writer.append(an_event())

        assert changed.change == before.change + 1
        assert after.change == changed.change

    with_rooms(tmp_path, act)


def test_a_closed_writer_refuses_and_what_waited_is_written(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        waiting = [rooms.writer.append(an_event()) for _ in range(50)]
        await rooms.writer.close()

        assert [(await one).seq for one in waiting] == list(range(50))
        with pytest.raises(Unavailable):
            await rooms.writer.append(an_event())

    with_rooms(tmp_path, act)


@settings(max_examples=15, deadline=None)
@given(plan=st.lists(st.tuples(st.sampled_from(["row", "job", "fail"]), st.integers(0, 3)), max_size=40))
def test_numbers_have_no_gap_whatever_fails_in_between(
    plan: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def act(rooms: Rooms) -> None:
        def job(events: int, *, fail: bool) -> object:
            def run(tx: Tx) -> None:
                for _ in range(events):
                    tx.append(an_event())
                    tx.changed("test", "x")
                if fail:
                    raise Conflict("on purpose")

            return rooms.writer.submit(run)

        waits = [
            rooms.writer.append(an_event()) if kind == "row" else job(count, fail=kind == "fail")
            for kind, count in plan
        ]
        await asyncio.gather(*waits, return_exceptions=True)  # type: ignore[call-overload]

        expected = sum(1 if kind == "row" else count for kind, count in plan if kind != "fail")
        assert await _numbers(rooms) == list(range(expected))
        query = select(schema.changes.c.number).order_by(schema.changes.c.number)
        numbers = await rooms.transactions.read(lambda c: list(c.execute(query).scalars()))
        assert numbers == list(range(1, len(numbers) + 1))

    with_rooms(tmp_path_factory.mktemp("gap"), act)
