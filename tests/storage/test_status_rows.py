"""Places in status lists: written with the event of the same turn of the loop, or not at all."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from accredit.audit.event import AuditEvent
from accredit.errors import Unavailable
from accredit.ids import EventId, new_id
from accredit.storage.schema import StatusRow, events, token_statuses
from tests.rooms import Rooms, with_rooms


def _event() -> AuditEvent:
    return AuditEvent(id=EventId(new_id("evt")), time="2027-01-15T08:00:00Z", type="token.issued")


def _row(place: int) -> StatusRow:
    return StatusRow(0, place, "agt_1", 1, '["tok_1"]', 2_000_000_000.0)


async def _count(rooms: Rooms) -> tuple[int, int]:
    """How many events and rows there are."""
    wanted = [select(func.count()).select_from(table) for table in (events, token_statuses)]
    first, second = await rooms.transactions.read(lambda c: [int(c.execute(one).scalar_one()) for one in wanted])
    return first, second


@pytest.mark.parametrize("with_change", [False, True], ids=["events alone", "beside a change of state"])
def test_a_row_is_there_when_its_event_is_durable(tmp_path: Path, with_change: bool) -> None:
    async def act(rooms: Rooms) -> None:
        before = await _count(rooms)
        recorded = rooms.group.add(_event())
        rooms.transactions.put_status(_row(5))
        if with_change:
            await rooms.writer.submit(lambda tx: tx.changed("nothing", "x"))

        await recorded

        assert await _count(rooms) == (before[0] + 1, before[1] + 1)

    with_rooms(tmp_path, act)


@pytest.mark.parametrize("with_change", [False, True], ids=["events alone", "beside a change of state"])
def test_a_row_that_cannot_be_written_takes_its_event_along(tmp_path: Path, with_change: bool) -> None:
    """So no token leaves whose end could not be seen."""

    async def act(rooms: Rooms) -> None:
        await _write(rooms, 5)
        before = await _count(rooms)
        recorded = rooms.group.add(_event())
        rooms.transactions.put_status(_row(5))
        if with_change:
            with pytest.raises(Unavailable):
                await rooms.writer.submit(lambda tx: tx.changed("nothing", "x"))

        with pytest.raises(Unavailable):
            await recorded

        assert await _count(rooms) == before
        await _write(rooms, 6)
        assert await _count(rooms) == (before[0] + 1, before[1] + 1)

    with_rooms(tmp_path, act)


async def _write(rooms: Rooms, place: int) -> None:
    recorded = rooms.group.add(_event())
    rooms.transactions.put_status(_row(place))
    await recorded
