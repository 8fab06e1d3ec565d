"""The SQL of the log: events, tiles, and the one row that says how far the tree goes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, and_, bindparam, insert, or_, select, update

from accredit.audit import tree
from accredit.audit.errors import LogBroken
from accredit.audit.tiles import Tile, node_reader
from accredit.storage import schema


class LogRow(NamedTuple):
    """The log's name, the size and root that were last promised, and the last checkpoint that was published."""

    origin: str
    tree_size: int
    root: bytes
    checkpoint: str


class StoredEvent(NamedTuple):
    """An event as it lies in the database; `nonce` and `body` may have been removed."""

    seq: int
    id: str
    nonce: bytes | None
    body: bytes | None
    commitment: bytes


_EVENT = select(
    schema.events.c.seq,
    schema.events.c.id,
    schema.events.c.nonce,
    schema.events.c.body,
    schema.events.c.commitment,
)


def load_event(connection: Connection, seq: int) -> StoredEvent | None:
    """The event with this number."""
    return _one(connection, _EVENT.where(schema.events.c.seq == seq))


def load_event_by_id(connection: Connection, event_id: str) -> StoredEvent | None:
    """The event with this id."""
    return _one(connection, _EVENT.where(schema.events.c.id == event_id))


def load_after(connection: Connection, seq: int, limit: int) -> list[StoredEvent]:
    """At most `limit` events whose number is greater, oldest first."""
    query = _EVENT.where(schema.events.c.seq > seq).order_by(schema.events.c.seq).limit(limit)
    return [_stored(row) for row in connection.execute(query)]


def load_before(connection: Connection, seq: int | None, limit: int) -> list[StoredEvent]:
    """At most `limit` events whose number is smaller (None: the latest), newest first."""
    query = _EVENT.order_by(schema.events.c.seq.desc()).limit(limit)
    if seq is not None:
        query = query.where(schema.events.c.seq < seq)
    return [_stored(row) for row in connection.execute(query)]


def load_mentioning(connection: Connection, seq: int, within: int, text: bytes) -> list[StoredEvent]:
    """The events whose body holds `text`, among the `within` that follow event `seq`, oldest first."""
    table = schema.events
    query = _EVENT.where(table.c.seq > seq, table.c.seq <= seq + within).order_by(table.c.seq)
    return [_stored(row) for row in connection.execute(query) if row.body is not None and text in row.body]


def count_events(connection: Connection) -> int:
    """How many events are committed: the next number to be given."""
    return int(connection.execute(select(schema.head.c.next_event)).scalar_one())


def load_commitments(connection: Connection, start: int, end: int) -> list[bytes]:
    """The commitments of events [start, end). Raises LogBroken if one of them is missing."""
    table = schema.events
    query = select(table.c.seq, table.c.commitment).where(table.c.seq >= start, table.c.seq < end).order_by(table.c.seq)
    commitments: list[bytes] = []
    for row in connection.execute(query):
        if row.seq != start + len(commitments):
            break
        commitments.append(row.commitment)
    if len(commitments) != end - start:
        raise LogBroken("an event is missing from the database", seq=start + len(commitments))
    return commitments


def load_log(connection: Connection) -> LogRow | None:
    """The log's row, if the log was ever started."""
    table = schema.log
    row = connection.execute(select(table.c.origin, table.c.tree_size, table.c.root, table.c.checkpoint)).one_or_none()
    return None if row is None else LogRow(row.origin, row.tree_size, row.root, row.checkpoint)


def create_log(connection: Connection, origin: str) -> None:
    """Name the log. From now on the name is fixed."""
    values = {"id": 1, "origin": origin, "tree_size": 0, "root": tree.EMPTY_ROOT, "checkpoint": ""}
    connection.execute(insert(schema.log).values(values))


def move_tree(connection: Connection, old_size: int, new_size: int, root: bytes) -> bool:
    """Promise a larger tree; False if the tree is not of `old_size`, and then nothing is done."""
    statement = update(schema.log).where(schema.log.c.tree_size == old_size).values(tree_size=new_size, root=root)
    return connection.execute(statement).rowcount == 1


def save_checkpoint(connection: Connection, checkpoint: str) -> None:
    """Keep the text of the checkpoint that was published."""
    connection.execute(update(schema.log).values(checkpoint=checkpoint))


def load_tile(connection: Connection, level: int, number: int) -> bytes | None:
    """The hashes of a tile, as many as there are."""
    table = schema.tiles
    query = select(table.c.data).where(table.c.level == level, table.c.number == number)
    data: bytes | None = connection.execute(query).scalar_one_or_none()
    return data


def load_tiles(connection: Connection, tiles: list[Tile]) -> dict[tuple[int, int], bytes]:
    """The hashes of several tiles, by level and number; those that do not exist are left out."""
    table = schema.tiles
    ranges: dict[int, tuple[int, int]] = {}
    for tile in tiles:
        low, high = ranges.get(tile.level, (tile.number, tile.number))
        ranges[tile.level] = (min(low, tile.number), max(high, tile.number))
    wanted = [and_(table.c.level == level, table.c.number.between(*ends)) for level, ends in ranges.items()]
    if not wanted:
        return {}
    query = select(table.c.level, table.c.number, table.c.data).where(or_(*wanted))
    return {(row.level, row.number): row.data for row in connection.execute(query)}


def save_tiles(connection: Connection, changed: Mapping[tuple[int, int], bytes]) -> None:
    """Write tiles that are new or have become wider.

    Raises LogBroken, and then nothing may be committed, if a stored tile is not the beginning of the new one.
    """
    table = schema.tiles
    present = load_tiles(connection, [Tile(level, number) for level, number in changed])
    for (level, number), data in present.items():
        if (level, number) in changed and not changed[level, number].startswith(data):
            raise LogBroken(
                f"tile {level}/{number} is stored with other bytes than its events give",
                seq=number << (8 * (level + 1)),
            )
    wider = [
        {"l": level, "n": number, "d": changed[level, number]} for level, number in changed.keys() & present.keys()
    ]
    new = [
        {"level": level, "number": number, "data": changed[level, number]}
        for level, number in changed.keys() - present.keys()
    ]
    if wider:
        statement = update(table).where(table.c.level == bindparam("l"), table.c.number == bindparam("n"))
        connection.execute(statement.values(data=bindparam("d")), wider)
    if new:
        connection.execute(insert(table), new)


def load_root(connection: Connection, size: int) -> bytes:
    """The root of the first `size` events, from the tiles. Raises LogBroken if they do not reach so far."""
    return tree.root_at(size, _read_node(connection))


def load_inclusion_proof(connection: Connection, index: int, size: int) -> tuple[bytes, ...]:
    """The proof of one event, from the tiles. Raises LogBroken if they do not reach so far."""
    return tree.inclusion_proof(index, size, _read_node(connection))


def _read_node(connection: Connection) -> tree.ReadNode:
    # One proof reads a tile several times: once for each of its own hashes that the proof needs.
    seen: dict[tuple[int, int], bytes] = {}

    def read_tile(level: int, number: int) -> bytes:
        if (level, number) not in seen:
            seen[level, number] = load_tile(connection, level, number) or b""
        return seen[level, number]

    return node_reader(read_tile)


def _one(connection: Connection, query: Select[*tuple[Any, ...]]) -> StoredEvent | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else _stored(row)


def _stored(row: Row[*tuple[Any, ...]]) -> StoredEvent:
    return StoredEvent(row.seq, row.id, row.nonce, row.body, row.commitment)
