"""Builds the tree again from the events alone, and holds promises and stored tiles to it. Used by `fsck.py`."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from accredit.audit import tree
from accredit.audit.errors import LogBroken
from accredit.audit.group import commit_to, entry_of
from accredit.audit.tiles import TILE_BYTES, WIDTH, EntryBundle, Tile, pack_entries

_LEVEL_BITS = 8
_ENTRY_BYTES = len(pack_entries([entry_of(bytes(tree.HASH_BYTES))]))
_LEAF_PREFIX = b"\x00" + entry_of(b"")


class Event(NamedTuple):
    """An event as it was found. Nothing of it is trusted, not even the types: a database keeps what it is given.

    `id` is None where only the body tells it.
    """

    seq: object
    nonce: object
    body: object
    commitment: object
    id: object


class Promise(NamedTuple):
    """Somebody said which root the first `size` events have."""

    size: int
    root: bytes
    who: str


class Shelf(Protocol):
    """A place that keeps tiles of a tree of `size` leaves."""

    @property
    def size(self) -> int:
        """How many leaves its tiles cover."""

    @property
    def name(self) -> str:
        """What the place is called in a finding."""

    def tile(self, tile: Tile) -> bytes | None:
        """The hashes of a tile, None if they are missing."""


class FolderTiles(NamedTuple):
    """The tiles that were published as files."""

    folder: Path
    size: int
    name: str = "the published files"

    def tile(self, tile: Tile) -> bytes | None:
        """The tile's file, or the full one that took its place."""
        return self._read(tile.path, Tile(tile.level, tile.number).path, tile.width * tree.HASH_BYTES)

    def bundle(self, number: int, width: int) -> bytes | None:
        """The file of the entries under a tile of level 0, or the full one that took its place."""
        return self._read(EntryBundle(number, width).path, EntryBundle(number).path, width * _ENTRY_BYTES)

    def _read(self, path: str, full_path: str, length: int) -> bytes | None:
        for candidate in (path, full_path):
            try:
                data = (self.folder / candidate).read_bytes()
            except OSError:
                continue
            return data if candidate == path else data[:length]
        return None


class _Named(msgspec.Struct, frozen=True):
    id: str


_id_decoder = msgspec.json.Decoder(_Named)


class Rebuild:
    """One walk over the events, in order."""

    def __init__(
        self, promises: Sequence[Promise], database: Shelf | None = None, published: FolderTiles | None = None
    ) -> None:
        self._promises = promises
        self._shelves: list[Shelf] = [shelf for shelf in (database, published) if shelf is not None]
        self._published = published
        # Level 0 is never kept: a block of leaves is folded at once. `_levels[l]` are the newest hashes of level l.
        self._levels: list[bytes] = [b""]
        self.count = 0
        self.removed = 0

    def walk(self, blocks: Iterable[list[Event]], progress: Callable[[int], None] | None = None) -> None:
        """Check every event, in blocks of 256, only the last of which is shorter. Raises LogBroken."""
        self._check_promises(0, b"")
        for block in blocks:
            if block:
                self._add(block)
            if progress is not None:
                progress(self.count)
        for level in range(1, len(self._levels)):
            self._check_tile(level, self.count >> (_LEVEL_BITS * (level + 1)), self._levels[level])
        for promise in self._promises:
            if promise.size > self.count:
                raise LogBroken(f"is missing: {promise.who} covers {promise.size} events", seq=self.count)

    def _add(self, block: list[Event]) -> None:
        first = self.count
        commitments = [self._check_event(event, first + n) for n, event in enumerate(block)]
        leaves = b"".join([sha256(_LEAF_PREFIX + commitment).digest() for commitment in commitments])
        self._check_tile(0, first // WIDTH, leaves)
        self._check_bundle(first // WIDTH, commitments)
        self._check_promises(first, leaves)
        self.count += len(block)
        if len(block) == WIDTH:
            self._raise_up(1, first // WIDTH, tree.root(leaves))

    def _check_event(self, event: Event, seq: int) -> bytes:
        if event.seq != seq:
            raise LogBroken("is missing, or out of order", seq=seq)
        nonce, body, commitment = event.nonce, event.body, event.commitment
        if not isinstance(commitment, bytes) or len(commitment) != tree.HASH_BYTES:
            raise LogBroken("its commitment is damaged", seq=seq)
        if nonce is None and body is None:
            self.removed += 1
            return commitment
        if not isinstance(nonce, bytes) or not isinstance(body, bytes) or commit_to(nonce, body) != commitment:
            raise LogBroken("its body, its nonce or its commitment was changed", seq=seq)
        if event.id is not None:
            _check_id(event.id, body, seq)
        return commitment

    def _raise_up(self, level: int, index: int, digest: bytes) -> None:
        """Add a complete subtree's hash to its level, and the level's own when it is full."""
        if level == len(self._levels):
            self._levels.append(b"")
        self._levels[level] += digest
        if len(self._levels[level]) == TILE_BYTES:
            full, self._levels[level] = self._levels[level], b""
            self._check_tile(level, index // WIDTH, full)
            self._raise_up(level + 1, index // WIDTH, tree.root(full))

    def _check_tile(self, level: int, number: int, hashes: bytes) -> None:
        for shelf in self._shelves:
            width = min(WIDTH, (shelf.size >> (_LEVEL_BITS * level)) - number * WIDTH)
            if width > 0:
                found = shelf.tile(Tile(level, number, width))
                wrong = _first_difference(hashes, found, width, tree.HASH_BYTES)
                if wrong is not None:
                    seq = (number * WIDTH + wrong) << (_LEVEL_BITS * level)
                    raise LogBroken(f"does not agree with tile {level}/{number} of {shelf.name}", seq=seq)

    def _check_bundle(self, number: int, commitments: list[bytes]) -> None:
        if self._published is None or self._published.size <= number * WIDTH:
            return
        width = min(WIDTH, self._published.size - number * WIDTH)
        entries = pack_entries([entry_of(commitment) for commitment in commitments])
        wrong = _first_difference(entries, self._published.bundle(number, width), width, _ENTRY_BYTES)
        if wrong is not None:
            raise LogBroken("does not agree with the published entries", seq=number * WIDTH + wrong)

    def _check_promises(self, first: int, leaves: bytes) -> None:
        """Hold the promises whose size lies in this block, or at the very beginning, to the tree as it is there."""
        end = first + len(leaves) // tree.HASH_BYTES
        for promise in self._promises:
            if first < promise.size <= end or (promise.size == 0 and end == 0):
                below = leaves[: (promise.size - first) * tree.HASH_BYTES]
                if self._root(below) != promise.root:
                    raise LogBroken(f"the first {promise.size} events do not give the root that {promise.who} has")

    def _root(self, leaves: bytes) -> bytes:
        below = tree.root(leaves) if leaves else b""
        for level in self._levels[1:]:
            hashes = level + below
            below = tree.root(hashes) if hashes else b""
        return below or tree.EMPTY_ROOT


def _check_id(identifier: object, body: bytes, seq: int) -> None:
    try:
        said = _id_decoder.decode(body).id
    except (msgspec.MsgspecError, ValueError) as error:
        raise LogBroken("its body is not an event", seq=seq, detail=str(error)) from error
    if identifier != said.encode():
        raise LogBroken("it is stored under the id of another event", seq=seq)


def _first_difference(rebuilt: bytes, found: bytes | None, width: int, size: int) -> int | None:
    """Which of the first `width` parts of `size` bytes differs; None if none does.

    Fewer parts than `width` may have been rebuilt, when events are missing at the end: that is found elsewhere.
    """
    if found is None:
        return 0
    expected = rebuilt[: width * size]
    if found == expected or (len(expected) < width * size and found.startswith(expected)):
        return None
    parts = range(0, len(expected), size)
    return next((at // size for at in parts if expected[at : at + size] != found[at : at + size]), width - 1)
