"""The rows of token status lists."""

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, func, insert, or_, select

from accredit.storage.schema import StatusRow, agents, revocations
from accredit.storage.schema import token_statuses as table

RESERVED = -1
"""The place that no token has: its row says that the list is taken."""

_ACTIVE = "active"
_lineage = msgspec.json.Decoder(list[str])


class ActorMark(NamedTuple):
    """An earlier actor as it stands in a lineage: its id and epoch."""

    agent: str
    epoch: int

    @property
    def text(self) -> str:
        """The form in a row."""
        return f"{self.agent} {self.epoch}"


def reserve_list(connection: Connection, expires_at: float) -> int:
    """Take a list that nobody has, until `expires_at`."""
    newest = connection.execute(select(func.max(table.c.list))).scalar_one()
    number = 0 if newest is None else int(newest) + 1
    row = StatusRow(number, RESERVED, "", 0, "[]", expires_at)
    connection.execute(insert(table).values(**row._asdict()))
    return number


def load_ended_places(connection: Connection, number: int, now: float) -> list[int] | None:
    """The places of a list whose tokens were ended; None if there is no such list.

    Straight from the tables of agents and revocations: in one view of the database, whatever memory holds.
    """
    known = select(table.c.place).where(table.c.list == number).limit(1)
    if connection.execute(known).first() is None:
        return None
    living = (table.c.list == number, table.c.place != RESERVED, table.c.expires_at >= now)
    by_agent = (
        select(table.c.place)
        .outerjoin(agents, agents.c.id == table.c.agent)
        .where(*living)
        .where(or_(agents.c.id.is_(None), agents.c.status != _ACTIVE, agents.c.epoch != table.c.epoch))
    )
    ended = set(connection.execute(by_agent).scalars())
    revoked = set(connection.execute(select(revocations.c.id).where(revocations.c.expires_at >= now)).scalars())
    with_actors = connection.execute(select(table.c.place).where(*living, table.c.lineage.contains("agt_")).limit(1))
    if revoked or with_actors.first() is not None:
        found = connection.execute(select(table.c.place, table.c.lineage).where(*living))
        rows = [(place, _lineage.decode(lineage)) for place, lineage in found]
        gone = revoked | _ended_actors(connection, {mark for _, lineage in rows for mark in lineage if " " in mark})
        ended |= {place for place, lineage in rows if not gone.isdisjoint(lineage)}
    return sorted(ended)


def _ended_actors(connection: Connection, marks: set[str]) -> set[str]:
    """The marks of earlier actors that are not what they were."""
    query = select(agents.c.id, agents.c.epoch).where(agents.c.status == _ACTIVE)
    names = {mark.partition(" ")[0] for mark in marks}
    held = {
        ActorMark(row.id, row.epoch).text
        for part in _parts(sorted(names))
        for row in connection.execute(query.where(agents.c.id.in_(part)))
    }
    return marks - held


def _parts(names: list[str], size: int = 500) -> list[list[str]]:
    return [names[at : at + size] for at in range(0, len(names), size)]
