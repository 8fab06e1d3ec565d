"""The one writer of the tree: committed events → leaves → tiles → checkpoint, in an order that a crash cannot break.

The order of the events was fixed when they were committed (`storage/writer.py`), so every step can be done again:

1. tiles, size and root in one transaction: what is promised is stored before a signature over it exists;
2. publish the tiles; 3. sign; 4. publish the checkpoint; 5. keep its text in the database.

Size and root never go back, so no two signatures contradict each other. If what is published is ahead of the
database, the database was set back to an older copy; then nothing is signed any more.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice

import msgspec

from accredit.audit import store, tree
from accredit.audit.checkpoint import Checkpoint, Signer, open_checkpoint
from accredit.audit.errors import CheckpointRefused, LogBroken, LogSetBack
from accredit.audit.group import entry_of
from accredit.audit.publisher import Publisher
from accredit.audit.tiles import WIDTH, Edge, EntryBundle, Tile, edge_tiles, pack_entries, tiles_between
from accredit.clock import Clock
from accredit.errors import NotFound, Unavailable
from accredit.ids import ulid
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

_EVENTS_A_TRANSACTION = 64 * WIDTH
_TILES_A_PAGE = 64
_CHECKPOINT = "checkpoint"
_KEY = "key"


def new_origin(clock: Clock) -> str:
    """A name for a log that no other log has."""
    return f"accredit/{ulid(int(clock.seconds() * 1000), os.urandom(10))}"


class _State(msgspec.Struct, frozen=True):
    """What memory knows of the log. `published` is the note in the folder, `kept` the one in the database."""

    origin: str
    edge: Edge
    root: bytes
    published_size: int | None
    published: str
    kept: str


class Sequencer:
    """Integrates events into the tree. `start` it once; then call `advance` again and again, or `cover` at need."""

    def __init__(
        self,
        transactions: Transactions,
        signer: Signer,
        publisher: Publisher,
        clock: Clock,
        name_log: Callable[[Clock], str] = new_origin,
    ) -> None:
        self._transactions = transactions
        self._signer = signer
        self._publisher = publisher
        self._clock = clock
        self._name_log = name_log
        self._lock = asyncio.Lock()
        # True while the publisher's claim is held: without it two processes could sign different trees.
        self._claimed = False
        # None while memory may differ from what is stored.
        self._state: _State | None = None
        self._covered = 0
        self._checkpoint = ""
        self._keys = ""

    @property
    def checkpoint(self) -> str:
        """The newest checkpoint that was published, a signed note."""
        return self._checkpoint

    @property
    def keys(self) -> str:
        """The log's verifier keys, one a line."""
        return self._keys

    async def start(self) -> None:
        """Take the log over, and finish what a crash may have left.

        Raises LogSetBack if the database is older than what was published, LogBroken if what is stored contradicts
        itself, AlreadySequenced if another process is the sequencer, and Unavailable.
        """
        await self._publisher.claim()
        try:
            async with self._lock:
                state = await self._recover()
                self._keys = "".join(f"{key.text()}\n" for key in self._signer.verifier_keys(state.origin))
                await self._publisher.replace(_KEY, self._keys.encode())
                self._state = await self._publish(state)
                self._claimed = True
        except BaseException:
            await self._publisher.release()
            raise

    async def advance(self) -> None:
        """Bring every committed event into the tree and publish a checkpoint over them; nothing new, nothing done.

        May be repeated after a failure. Raises as `start` does, and Unavailable before `start` and after `close`.
        """
        async with self._lock:
            await self._advance()

    async def cover(self, seq: int) -> str:
        """Return a checkpoint whose tree holds event `seq`.

        Raises NotFound if there is no such event, and as `advance` does.
        """
        if 0 <= seq < self._covered:
            return self._checkpoint
        async with self._lock:
            # Whoever was before us may have covered it already.
            if seq >= self._covered:
                await self._advance()
            if not 0 <= seq < self._covered:
                raise NotFound(f"the log has no event {seq}", next_step="`accredit audit tail` shows the newest")
            return self._checkpoint

    async def close(self) -> None:
        """Close the log with a checkpoint over everything, and let another process take over. May be repeated."""
        async with self._lock:
            if not self._claimed:
                return
            try:
                await self._advance()
            finally:
                self._claimed = False
                await self._publisher.release()

    async def _advance(self) -> None:
        if not self._claimed:
            raise Unavailable("the log is not open", next_step="start the server")
        # Until the last step has succeeded memory is not trusted: a step can have failed and happened all the same.
        state, self._state = self._state or await self._recover(), None
        state = await self._integrate(state)
        self._state = await self._publish(state)

    async def _recover(self) -> _State:
        text = await self._publisher.read(_CHECKPOINT)
        row = await self._load_row(is_published=text is not None)
        published = None if text is None else self._open_published(text, row.origin)
        partials = list(edge_tiles(row.tree_size))
        edge = _rebuild_edge(row, await self._transactions.read(partial(store.load_tiles, tiles=partials)))
        if published is not None:
            await self._check_not_set_back(row, published)
        return _State(
            origin=row.origin,
            edge=edge,
            root=row.root,
            published_size=None if published is None else published.size,
            published="" if text is None else text.decode(),
            kept=row.checkpoint,
        )

    async def _load_row(self, *, is_published: bool) -> store.LogRow:
        row = await self._transactions.read(store.load_log)
        if row is not None:
            return row
        if is_published:
            raise LogSetBack(
                "a log is published, but the database has none: it was set back, or belongs to another log",
                next_step=_SET_BACK_NEXT_STEP,
            )
        # A crash here leaves nothing, or an empty log with its name.
        created, _ = await self._transactions.change(partial(_create_log, origin=self._name_log(self._clock)))
        return created

    def _open_published(self, text: bytes, origin: str) -> Checkpoint:
        try:
            return open_checkpoint(text.decode(), self._signer.verifier_keys(origin))
        except (CheckpointRefused, UnicodeDecodeError) as error:
            raise LogBroken("the published checkpoint is not one that this log signed", detail=repr(error)) from error

    async def _check_not_set_back(self, row: store.LogRow, published: Checkpoint) -> None:
        if published.size > row.tree_size:
            raise LogSetBack(
                f"the log was set back: a checkpoint over {published.size} events was published, "
                f"and the database's tree holds {row.tree_size}",
                next_step=_SET_BACK_NEXT_STEP,
            )
        if await self._transactions.read(partial(store.load_root, size=published.size)) != published.root:
            raise LogSetBack(
                f"the log was set back and went on differently: the root over its first {published.size} events "
                "is not the one that was published",
                next_step=_SET_BACK_NEXT_STEP,
            )

    async def _integrate(self, state: _State) -> _State:
        target = await self._transactions.read(store.count_events)
        if target < state.edge.size:
            raise LogBroken("events are missing that the tree holds", seq=target)
        while state.edge.size < target:
            start, end = state.edge.size, min(target, state.edge.size + _EVENTS_A_TRANSACTION)
            commitments = await self._transactions.read(partial(store.load_commitments, start=start, end=end))
            edge, changed = await _grow(state.edge, commitments)
            root = edge.root()
            # A crash before this commit leaves events without tiles, and after it tiles without a checkpoint: both
            # are taken up from `tree_size` at the next start.
            await self._transactions.change(
                partial(_write_tree, old_size=start, new_size=end, root=root, changed=changed)
            )
            state = msgspec.structs.replace(state, edge=edge, root=root)
        return state

    async def _publish(self, state: _State) -> _State:
        if state.published_size != state.edge.size:
            # A crash here leaves tiles that no published checkpoint speaks of: the next start gives the same bytes.
            await self._publish_tiles(state.published_size or 0, state.edge.size)
            # A crash here leaves a signature that nobody has seen, over a size and root that stay.
            promise = Checkpoint(state.origin, state.edge.size, state.root)
            note = self._signer.sign(promise, int(self._clock.seconds()))
            # A crash here leaves the older checkpoint, or the new one and its text not in the database.
            await self._publisher.replace(_CHECKPOINT, note.encode())
            state = msgspec.structs.replace(state, published_size=state.edge.size, published=note)
        if state.kept != state.published:
            await self._transactions.change(partial(_keep_checkpoint, note=state.published))
            state = msgspec.structs.replace(state, kept=state.published)
        self._covered, self._checkpoint = state.edge.size, state.published
        return state

    async def _publish_tiles(self, old: int, new: int) -> None:
        tiles = tiles_between(old, new)
        while page := list(islice(tiles, _TILES_A_PAGE)):
            stored = await self._transactions.read(partial(store.load_tiles, tiles=page))
            start, end = _event_range(page)
            commitments = await self._transactions.read(partial(store.load_commitments, start=start, end=end))
            await self._publisher.add(_files(page, stored, commitments))


_SET_BACK_NEXT_STEP = (
    "restore the newest copy of the database; if there is none, keep this folder as evidence and begin a new one"
)


async def _grow(edge: Edge, commitments: list[bytes]) -> tuple[Edge, dict[tuple[int, int], bytes]]:
    changed: dict[tuple[int, int], bytes] = {}
    for chunk in _chunks(commitments, WIDTH):
        leaves = b"".join([tree.leaf_hash(entry_of(commitment)) for commitment in chunk])
        edge, more = edge.grow(leaves)
        changed |= more
        # Half a millisecond of hashing, then everyone else has a turn.
        await asyncio.sleep(0)
    return edge, changed


def _chunks(values: list[bytes], size: int) -> Iterator[list[bytes]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _create_log(tx: Tx, *, origin: str) -> store.LogRow:
    store.create_log(tx.connection, origin)
    return store.LogRow(origin, 0, tree.EMPTY_ROOT, "")


def _write_tree(tx: Tx, *, old_size: int, new_size: int, root: bytes, changed: dict[tuple[int, int], bytes]) -> None:
    if not store.move_tree(tx.connection, old_size, new_size, root):
        raise Unavailable("the tree has another size than it had a moment ago", next_step="try again")
    store.save_tiles(tx.connection, changed)


def _keep_checkpoint(tx: Tx, *, note: str) -> None:
    store.save_checkpoint(tx.connection, note)


def _rebuild_edge(row: store.LogRow, stored: Mapping[tuple[int, int], bytes]) -> Edge:
    levels: list[bytes] = []
    for tile in edge_tiles(row.tree_size):
        data = stored.get((tile.level, tile.number), b"")
        if len(data) != tile.width * tree.HASH_BYTES:
            raise LogBroken(f"the last tile of level {tile.level} has not the width that the tree's size gives")
        levels.append(data)
    edge = Edge(row.tree_size, tuple(levels))
    if edge.root() != row.root:
        raise LogBroken("the stored tiles do not lead to the stored root")
    return edge


def _files(tiles: list[Tile], stored: Mapping[tuple[int, int], bytes], commitments: list[bytes]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    rest = iter(commitments)
    for tile in tiles:
        data = stored.get((tile.level, tile.number), b"")[: tile.width * tree.HASH_BYTES]
        if len(data) != tile.width * tree.HASH_BYTES:
            raise LogBroken(f"tile {tile.level}/{tile.number} is missing from the database")
        files[tile.path] = data
        if tile.level == 0:
            bundle = pack_entries([entry_of(commitment) for commitment in islice(rest, tile.width)])
            files[EntryBundle(tile.number, tile.width).path] = bundle
    return files


def _event_range(tiles: list[Tile]) -> tuple[int, int]:
    """The events under those tiles that are of level 0; they follow each other."""
    leaves = [tile for tile in tiles if tile.level == 0]
    if not leaves:
        return 0, 0
    return leaves[0].number * WIDTH, leaves[-1].number * WIDTH + leaves[-1].width
