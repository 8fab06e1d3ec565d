"""A real log for tests: a database on disk, the sequencer, and a folder that it publishes to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from accredit.audit import tree
from accredit.audit.checkpoint import LogSigner
from accredit.audit.event import AuditEvent
from accredit.audit.export import export
from accredit.audit.group import Group
from accredit.audit.publishers.filesystem import FilesystemPublisher
from accredit.audit.reading import AuditLog
from accredit.audit.sequencer import Sequencer
from accredit.clock import SystemClock, rfc3339
from accredit.ids import EventId, new_id
from accredit.storage.db import Database
from accredit.storage.feed import Feed
from accredit.storage.migrate import migrate
from accredit.storage.schema import Recorded
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Writer

T = TypeVar("T")

SIGNER = LogSigner(
    Ed25519PrivateKey.from_private_bytes(bytes(range(32))), MLDSA44PrivateKey.from_seed_bytes(bytes(range(32)))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningLog:
    """What a test needs of a log that runs."""

    folder: Path
    database: Database
    writer: Writer
    transactions: Transactions
    group: Group
    sequencer: Sequencer
    audit: AuditLog

    async def append(self, count: int) -> list[Recorded]:
        """Add events and wait until they are durable."""
        return list(await asyncio.gather(*[self.group.add(an_event(reason=f"reason {n}")) for n in range(count)]))

    async def export_to(self, path: Path) -> None:
        """Write an export."""
        chunks = [chunk async for chunk in export(self.transactions, self.sequencer)]
        await asyncio.to_thread(path.write_bytes, b"".join(chunks))


@asynccontextmanager
async def open_log(folder: Path) -> AsyncIterator[RunningLog]:
    """Open a log in `folder`, not started yet. Its lock is given back at the end, as a dead process's is."""
    database = Database(f"sqlite:///{folder / 'accredit.db'}")
    migrate(database)
    writer = Writer(database)
    feed = Feed(database, SystemClock())
    await feed.start()
    transactions = Transactions(database, writer, feed)
    publisher = FilesystemPublisher(folder / "log")
    sequencer = Sequencer(transactions, SIGNER, publisher, SystemClock())
    try:
        yield RunningLog(
            folder=folder,
            database=database,
            writer=writer,
            transactions=transactions,
            group=Group(writer),
            sequencer=sequencer,
            audit=AuditLog(transactions, sequencer),
        )
    finally:
        await publisher.release()
        await writer.close()
        database.close()


def with_log(folder: Path, act: Callable[[RunningLog], Awaitable[T]]) -> T:
    """Run one coroutine beside a started log."""

    async def run() -> T:
        async with open_log(folder) as log:
            await log.sequencer.start()
            return await act(log)

    return asyncio.run(run())


def a_log_of(folder: Path, *sizes: int) -> None:
    """Make a log, with a checkpoint after each of the sizes that it grows to."""

    async def act(log: RunningLog) -> None:
        done = 0
        for size in sizes:
            await log.append(size - done)
            await log.sequencer.advance()
            done = size

    with_log(folder, act)


def an_event(**members: str) -> AuditEvent:
    """A decision, with what the test cares about."""
    values = {
        "type": "call.decided",
        "agent": "agt_test",
        "action": "crm.contacts.search",
        "system": "crm",
        "decision": "permit",
        **members,
    }
    return AuditEvent(id=EventId(new_id("evt")), time=rfc3339(1_800_000_000), **values)  # type: ignore[arg-type]


def leaves(count: int) -> list[bytes]:
    """Leaf hashes that differ from each other."""
    return [tree.leaf_hash(sha256(str(n).encode()).digest()) for n in range(count)]


def reader_of(hashes: list[bytes]) -> tree.ReadNode:
    """Read nodes by building each of them from the leaves: slow and plain."""

    def read(level: int, index: int) -> bytes:
        below = hashes[index << level : (index + 1) << level]
        assert len(below) == 1 << level, "a proof asked for a subtree that is not complete"
        return reference_root(below)

    return read


def reference_root(hashes: list[bytes]) -> bytes:
    """MTH as RFC 6962 §2.1 defines it, word for word."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return sha256(b"\x01" + reference_root(hashes[:k]) + reference_root(hashes[k:])).digest()
