"""The rows of sealed keys."""

from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from accredit.storage.schema import keys
from accredit.storage.writer import Tx


class KeyRow(NamedTuple):
    """One sealed private key."""

    id: str
    purpose: str
    algorithm: str
    sealed: bytes
    created_at: float
    retired_at: float | None


def load_keys(connection: Connection) -> list[KeyRow]:
    """Every key, the newest first."""
    return [KeyRow(*row) for row in connection.execute(select(keys).order_by(keys.c.created_at.desc(), keys.c.id))]


def insert_key(tx: Tx, row: KeyRow) -> None:
    """Add a key."""
    tx.connection.execute(insert(keys), row._asdict())
