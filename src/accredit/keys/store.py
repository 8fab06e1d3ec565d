"""The rows of sealed keys."""

from typing import NamedTuple

from sqlalchemy import Connection, insert, or_, select, update

from accredit.storage.schema import keys
from accredit.storage.writer import Tx


class KeyRow(NamedTuple):
    """One key. `sealed` is the private key, or a reference to it, sealed; empty once the key is retired.

    `kept_in` names a place of `signers`. Times are seconds since 1970: it signs from `active_at`, verifies until
    `retired_at`.
    """

    id: str
    purpose: str
    algorithm: str
    sealed: bytes
    created_at: float
    active_at: float
    retired_at: float | None
    kept_in: str


_columns = tuple(keys.c[name] for name in KeyRow._fields)


def load_keys(connection: Connection) -> list[KeyRow]:
    """Every key, the newest first."""
    return [KeyRow(*row) for row in connection.execute(select(*_columns).order_by(keys.c.created_at.desc(), keys.c.id))]


def load_purpose(connection: Connection, purpose: str) -> list[KeyRow]:
    """Every key of one purpose, the newest first."""
    query = select(*_columns).where(keys.c.purpose == purpose).order_by(keys.c.created_at.desc(), keys.c.id)
    return [KeyRow(*row) for row in connection.execute(query)]


def insert_key(tx: Tx, row: KeyRow) -> None:
    """Add a key."""
    tx.connection.execute(insert(keys), row._asdict())


def retire_others(tx: Tx, kept: KeyRow, at: float) -> None:
    """Let every other key of this purpose and algorithm verify until `at` at the latest."""
    others = (keys.c.purpose == kept.purpose) & (keys.c.algorithm == kept.algorithm) & (keys.c.id != kept.id)
    later = or_(keys.c.retired_at.is_(None), keys.c.retired_at > at)
    tx.connection.execute(update(keys).where(others & later).values(retired_at=at))


def erase_retired(tx: Tx, now: float) -> None:
    """Forget the private half of every key that verifies nothing any more: no later change can bring it back."""
    tx.connection.execute(update(keys).where(keys.c.retired_at <= now).values(sealed=b""))
