"""Is the log whole? Rebuilds the tree from the events, offline, and holds everything that is stored to it.

It trusts nothing that the server computed and shares no code with the sequencer, only the hash functions (`tree.py`)
and the form of a commitment (`group.py`). It reads the database with the standard library's driver, read-only.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec

from accredit.audit.checkpoint import Checkpoint, VerifierKey, open_checkpoint, parse_vkey
from accredit.audit.errors import CheckpointRefused, LogBroken
from accredit.audit.export import REMOVED_BODY, ExportedEvent, ExportHead
from accredit.audit.rebuild import Event, FolderTiles, Promise, Rebuild
from accredit.audit.tiles import WIDTH, Tile
from accredit.errors import NotFound

S = TypeVar("S", bound=msgspec.Struct)

Progress = Callable[[int], None]
"""Called now and then with the number of events that were checked."""

_DATABASE = "accredit.db"
_LINE_LIMIT = 64 * 1024 * 1024
_head_decoder = msgspec.json.Decoder(ExportHead)
_event_decoder = msgspec.json.Decoder(ExportedEvent)


class Report(msgspec.Struct, frozen=True):
    """What was found whole.

    `size` and `root` are the checkpoint's; `uncovered` events came after it and were held to their own commitments
    only; of `removed` events nothing but the commitment is left. `key_given` is False when the only keys were those
    that lay beside the log: then the log agrees with itself, which whoever rewrote all of it could also bring about.
    """

    origin: str
    events: int
    size: int
    root: str
    uncovered: int
    removed: int
    keys: tuple[str, ...]
    key_given: bool


def verify_data(folder: Path, vkey: str | None = None, progress: Progress | None = None) -> Report:
    """Verify a data folder: every event, every tile in the database and in `log/`, and the checkpoint.

    It may be run beside a server, and on a copy. Raises LogBroken with the first bad event, NotFound if there is
    no log, and InputRefused if `vkey` is not one.
    """
    database = folder / _DATABASE
    if not database.is_file():
        raise NotFound(f"{folder} holds no {_DATABASE}", next_step="name the data folder, or verify an export")
    # Read before the database, so that it cannot be newer than the snapshot below.
    note = _read_text(folder / "log" / "checkpoint")
    keys = _Keys(vkey, _read_text(folder / "log" / "key"))
    with closing(_open_database(database)) as connection:
        return _verify_database(connection, folder / "log", note, keys, progress)


def verify_export(path: Path, vkey: str | None = None, progress: Progress | None = None) -> Report:
    """Verify an export. Raises LogBroken with the first bad event, NotFound, and InputRefused if `vkey` is not one."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise NotFound(f"{path} cannot be read", next_step="name a file", detail=repr(error)) from error
    with file:
        head = _parse_line(file, _head_decoder, None)
        if head is None:
            raise LogBroken("the export is empty")
        keys = _Keys(vkey, "".join(f"{key}\n" for key in head.keys))
        checkpoint = keys.open(head.checkpoint, "the export's checkpoint")
        rebuild = Rebuild([Promise(checkpoint.size, checkpoint.root, "the checkpoint")])
        rebuild.walk(_exported(file), progress)
    return keys.report(checkpoint, rebuild)


class _Keys:
    """The key that was given, and the keys that lie beside the log."""

    def __init__(self, vkey: str | None, beside: str | None) -> None:
        self._given = None if vkey is None else parse_vkey(vkey.strip())
        *lines, last = (beside or "").split("\n")
        try:
            self._beside = [parse_vkey(line) for line in [*lines, *([last] if last else [])]]
        except CheckpointRefused as error:
            raise LogBroken("the verifier keys beside the log are damaged", detail=error.explanation) from error
        if self._given is None and not self._beside:
            raise NotFound("there is no verifier key beside the log", next_step="give one with --key")

    def open(self, note: str, what: str) -> Checkpoint:
        """Verify a note with all keys: a signature that was spoiled is not to pass for one of an unknown key."""
        try:
            if self._given is not None:
                open_checkpoint(note, [self._given])
            return open_checkpoint(note, self._all(), every_key=True)
        except CheckpointRefused as error:
            raise LogBroken(f"{what}: {error.explanation}", detail=error.detail) from error

    def report(self, checkpoint: Checkpoint, rebuild: Rebuild) -> Report:
        """Say what was found."""
        return Report(
            origin=checkpoint.origin,
            events=rebuild.count,
            size=checkpoint.size,
            root=checkpoint.root.hex(),
            uncovered=rebuild.count - checkpoint.size,
            removed=rebuild.removed,
            keys=tuple(key.text() for key in self._all()),
            key_given=self._given is not None,
        )

    def _all(self) -> list[VerifierKey]:
        others = [key for key in self._beside if key != self._given]
        return others if self._given is None else [self._given, *others]


class _LogRow(NamedTuple):
    origin: str
    tree_size: int
    root: bytes
    checkpoint: str
    next_event: int


class _DatabaseTiles(NamedTuple):
    """The tiles that the database keeps: one row each, of the width that `size` gives."""

    connection: sqlite3.Connection
    size: int
    name: str = "the database"

    def tile(self, tile: Tile) -> bytes | None:
        row = self.connection.execute(
            "SELECT data FROM tiles WHERE level = ? AND number = ?", (tile.level, tile.number)
        ).fetchone()
        return row[0] if row is not None and isinstance(row[0], bytes) else None


def _verify_database(
    connection: sqlite3.Connection, log: Path, note: str | None, keys: _Keys, progress: Progress | None
) -> Report:
    row = _load_row(connection)
    if note is None and not row.checkpoint and not row.tree_size:
        # A first start that ended between naming the log and publishing it: nothing was ever promised.
        raise NotFound("the log was never published", next_step="start the server once")
    if note is None:
        raise LogBroken("the published checkpoint, log/checkpoint, is missing")
    published = keys.open(note, "the published checkpoint")
    if published.origin != row.origin:
        raise LogBroken(f"the database is of the log {row.origin}, what is published of {published.origin}")
    if published.size > row.tree_size:
        explanation = f"the log was set back: {published.size} events were published, the tree holds {row.tree_size}"
        raise LogBroken(explanation, seq=row.tree_size)
    promises = [
        Promise(published.size, published.root, "the published checkpoint"),
        Promise(row.tree_size, row.root, "the database"),
    ]
    if row.checkpoint:
        kept = keys.open(row.checkpoint, "the checkpoint in the database")
        promises.append(Promise(kept.size, kept.root, "the checkpoint in the database"))
    rebuild = Rebuild(promises, _DatabaseTiles(connection, row.tree_size), FolderTiles(log, published.size))
    rebuild.walk(_stored(connection), progress)
    if rebuild.count < row.next_event:
        raise LogBroken("is missing from the database", seq=rebuild.count)
    return keys.report(published, rebuild)


def _open_database(path: Path) -> sqlite3.Connection:
    # A database in WAL mode on a read-only medium can be read only if nobody can be writing: no `-wal` beside it.
    plain = f"{path.absolute().as_uri()}?mode=ro"
    last_resort = [] if path.with_name(path.name + "-wal").exists() else [plain + "&immutable=1"]
    failure: sqlite3.Error | None = None
    for uri in [plain, *last_resort]:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        # Bytes as they lie there: a text that is not UTF-8 is a finding, not a failure of the driver.
        connection.text_factory = bytes
        try:
            # One snapshot for everything, however long it takes and whoever writes meanwhile.
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.Error as error:
            connection.close()
            failure = error
        else:
            return connection
    raise LogBroken("the database cannot be opened: it is damaged", detail=repr(failure))


def _load_row(connection: sqlite3.Connection) -> _LogRow:
    query = "SELECT origin, tree_size, root, checkpoint, next_event FROM log, head"
    try:
        row = connection.execute(query).fetchone()
        if row is None:
            raise NotFound("the database holds no log: it was never started")
        return _LogRow(row[0].decode(), int(row[1]), bytes(row[2]), row[3].decode(), int(row[4]))
    except (sqlite3.Error, ValueError, TypeError, AttributeError) as error:
        raise LogBroken("the log's row in the database is damaged", detail=repr(error)) from error


def _stored(connection: sqlite3.Connection) -> Iterator[list[Event]]:
    """The events as they lie in the database, a tile's worth at a time."""
    count = 0
    try:
        rows = connection.execute("SELECT seq, nonce, body, commitment, id FROM events ORDER BY seq")
        while block := rows.fetchmany(WIDTH):
            yield [Event(*row) for row in block]
            count += len(block)
    except sqlite3.Error as error:
        raise LogBroken("the database is damaged here or soon after", seq=count, detail=repr(error)) from error


def _exported(file: BinaryIO) -> Iterator[list[Event]]:
    """The events of an export, a tile's worth at a time."""
    seq = 0
    block: list[Event] = []
    while (line := _parse_line(file, _event_decoder, seq)) is not None:
        body = None if line.body == REMOVED_BODY else bytes(line.body)
        block.append(Event(line.seq, line.nonce, body, line.commitment, None))
        seq += 1
        if len(block) == WIDTH:
            yield block
            block = []
    yield block


def _parse_line(file: BinaryIO, decoder: msgspec.json.Decoder[S], seq: int | None) -> S | None:
    line = file.readline(_LINE_LIMIT)
    if not line:
        return None
    try:
        value = decoder.decode(line)
    except (msgspec.MsgspecError, ValueError) as error:
        raise LogBroken("this line of the export is damaged", seq=seq, detail=str(error)) from error
    # One value, one spelling: otherwise a byte could change and nobody would know.
    if msgspec.json.encode(value) + b"\n" != line:
        raise LogBroken("this line of the export is not in the form that exports have", seq=seq)
    return value


def _read_text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LogBroken(f"{path.name} cannot be read", detail=repr(error)) from error
