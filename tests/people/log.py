"""Reading back what was recorded."""

import msgspec
from sqlalchemy import Connection, select

from accredit.audit.event import AuditEvent
from accredit.audit.reading import LoggedEvent
from accredit.storage import schema
from tests.rooms import Rooms


async def events(rooms: Rooms) -> list[LoggedEvent]:
    """Every event, the oldest first."""

    def read(connection: Connection) -> list[LoggedEvent]:
        rows = connection.execute(select(schema.events).order_by(schema.events.c.seq))
        return [
            LoggedEvent(row.seq, msgspec.json.decode(row.body, type=AuditEvent), row.nonce, row.body) for row in rows
        ]

    return await rooms.transactions.read(read)
