"""Rows of applied policy sets: every one is kept, the newest is in force."""

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, insert, select

from accredit.storage.schema import policy_sets


class StoredSet(msgspec.Struct, frozen=True, kw_only=True):
    """One applied set: its sources (file name → text) without the starter set. `applied_at` is seconds since 1970."""

    digest: str
    sources: dict[str, str]
    applied_by: str
    applied_at: float


def newest(connection: Connection) -> StoredSet | None:
    """The set that was applied last."""
    row = connection.execute(select(policy_sets).order_by(policy_sets.c.id.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    return StoredSet(
        digest=row.digest,
        sources=msgspec.json.decode(row.source, type=dict[str, str]),
        applied_by=row.applied_by,
        applied_at=row.applied_at,
    )


def add(connection: Connection, stored: StoredSet) -> None:
    """Keep an applied set; it is then the newest."""
    connection.execute(
        insert(policy_sets).values(
            digest=stored.digest,
            source=encode_sources(stored.sources),
            applied_by=stored.applied_by,
            applied_at=stored.applied_at,
        )
    )


def encode_sources(sources: Mapping[str, str]) -> str:
    """Sources as they are stored: JSON, sorted by file name."""
    return msgspec.json.encode(sources, order="sorted").decode()
