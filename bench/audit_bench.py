"""`audit`: events appended through the group commit, proved, and verified, in process."""

import asyncio
import itertools
import random
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from accredit.audit.checkpoint import LogSigner, VerifierKey, parse_vkey
from accredit.audit.event import AuditEvent
from accredit.audit.group import Group, seal_event
from accredit.audit.proof import check_proof, parse_proof
from accredit.audit.publishers.filesystem import FilesystemPublisher
from accredit.audit.reading import AuditLog, EventProof
from accredit.audit.sequencer import Sequencer
from accredit.clock import SystemClock, rfc3339
from accredit.ids import EventId, new_id
from accredit.storage.db import Database
from accredit.storage.feed import Feed
from accredit.storage.migrate import migrate
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Writer
from bench import processes
from bench.load import percentile
from bench.report import Detail, Peer, Report

TASKS = 256
_INTEGRATE_SECONDS = 1.0
_PROOFS = 500
_MADE = 20_000


@dataclass(frozen=True, slots=True)
class _Log:
    group: Group
    sequencer: Sequencer
    log: AuditLog


@dataclass(frozen=True, slots=True)
class _Appended:
    seconds: float
    count: int
    latencies_ms: list[float]

    @property
    def per_second(self) -> float:
        return self.count / self.seconds


def run(seconds: float) -> Report:
    """Append with 256 tasks, alone and while the tree grows; then prove and verify; then a plain SQLite beside it."""
    with processes.folder() as folder:
        alone, growing, integrated, prove_ms, verify_ms = _on_the_servers_loop(folder, seconds)
        plain_ms = _insert_one_by_one(folder / "plain.db", seconds)
    plain_per_second = len(plain_ms) / (sum(plain_ms) / 1_000)
    return Report(
        name="audit",
        seconds=alone.seconds,
        connections=TASKS,
        per_second=alone.per_second,
        p50_ms=percentile(alone.latencies_ms, 0.5),
        p99_ms=percentile(alone.latencies_ms, 0.99),
        peer=Peer(
            name="SQLite, one event a commit",
            per_second=plain_per_second,
            p50_ms=percentile(plain_ms, 0.5),
            p99_ms=percentile(plain_ms, 0.99),
            ratio=alone.per_second / plain_per_second,
        ),
        load=f"{TASKS} tasks in this process, each waiting for its event to be durable",
        goal="30,000 events/s",
        details=(
            Detail(name="append while the tree grows, once a second", value=growing.per_second, unit="/s"),
            Detail(name="make an event, before it is appended", value=_making_us(), unit="µs"),
            Detail(name="integrate into the tree, with tiles", value=integrated, unit="events/s"),
            Detail(name="prove one event, p50", value=percentile(prove_ms, 0.5), unit="ms"),
            Detail(name="prove", value=1_000 / (sum(prove_ms) / len(prove_ms)), unit="/s"),
            Detail(name="verify one proof with its checkpoint, p50", value=percentile(verify_ms, 0.5), unit="ms"),
            Detail(name="verify", value=1_000 / (sum(verify_ms) / len(verify_ms)), unit="/s"),
        ),
    )


def _on_the_servers_loop(folder: Path, seconds: float) -> tuple[_Appended, _Appended, float, list[float], list[float]]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(folder, seconds))


async def _measure(folder: Path, seconds: float) -> tuple[_Appended, _Appended, float, list[float], list[float]]:
    async with _open(folder) as log:
        await _append(log.group, min(1.0, seconds))
        alone = await _append(log.group, seconds)

        before = time.perf_counter()
        await log.sequencer.advance()
        integrated = await log.log.count() / (time.perf_counter() - before)

        growing = await _append_while_growing(log, seconds)
        await log.sequencer.advance()
        proofs, prove_ms = await _prove(log.log, seconds)
        keys = [parse_vkey(line) for line in log.sequencer.keys.splitlines()]
        return alone, growing, integrated, prove_ms, _verify(proofs, keys)


@asynccontextmanager
async def _open(folder: Path) -> AsyncIterator[_Log]:
    clock = SystemClock()
    database = Database(f"sqlite:///{folder / 'accredit.db'}")
    migrate(database)
    writer = Writer(database)
    feed = Feed(database, clock)
    transactions = Transactions(database, writer, feed)
    signer = LogSigner(Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
    sequencer = Sequencer(transactions, signer, FilesystemPublisher(folder / "log"), clock)
    try:
        await sequencer.start()
        yield _Log(Group(writer), sequencer, AuditLog(transactions, sequencer))
        await sequencer.close()
    finally:
        await writer.close()
        database.close()


async def _append(group: Group, seconds: float) -> _Appended:
    latencies: list[float] = []
    started = time.perf_counter()
    deadline = started + seconds

    async def one_task() -> None:
        while (before := time.perf_counter()) < deadline:
            await group.add(_new_event())
            latencies.append((time.perf_counter() - before) * 1_000)

    await asyncio.gather(*(one_task() for _ in range(TASKS)))
    return _Appended(time.perf_counter() - started, len(latencies), latencies)


async def _append_while_growing(log: _Log, seconds: float) -> _Appended:
    async def grow() -> None:
        while True:
            await asyncio.sleep(_INTEGRATE_SECONDS)
            await log.sequencer.advance()

    growing = asyncio.create_task(grow())
    try:
        return await _append(log.group, seconds)
    finally:
        growing.cancel()
        await asyncio.gather(growing, return_exceptions=True)


async def _prove(log: AuditLog, seconds: float) -> tuple[list[EventProof], list[float]]:
    count = await log.count()
    chosen = random.Random(1)
    proofs: list[EventProof] = []
    latencies: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(proofs) < _PROOFS and (not proofs or time.perf_counter() < deadline):
        before = time.perf_counter()
        proofs.append(await log.prove(chosen.randrange(count)))
        latencies.append((time.perf_counter() - before) * 1_000)
    return proofs, latencies


def _verify(proofs: list[EventProof], keys: list[VerifierKey]) -> list[float]:
    latencies: list[float] = []
    for proof in proofs:
        before = time.perf_counter()
        check_proof(parse_proof(proof.proof), proof.entry, keys)
        latencies.append((time.perf_counter() - before) * 1_000)
    return latencies


def _insert_one_by_one(file: Path, seconds: float) -> list[float]:
    """Milliseconds of each commit of one event, as durable as ours."""
    latencies: list[float] = []
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(
            "CREATE TABLE events (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, nonce BLOB, body BLOB, commitment BLOB)"
        )
        deadline = time.perf_counter() + seconds
        while (before := time.perf_counter()) < deadline:
            connection.execute(
                "INSERT INTO events (id, nonce, body, commitment) VALUES (?, ?, ?, ?)", tuple(seal_event(_new_event()))
            )
            latencies.append((time.perf_counter() - before) * 1_000)
    finally:
        connection.close()
    return latencies


def _new_event() -> AuditEvent:
    """The next event: what a permitted call leaves, with an id of its own."""
    return msgspec.structs.replace(_EVENT, id=EventId(f"evt_{next(_numbers):026d}"))


# Made once: making an event is the caller's work, and is told apart from writing it.
def _example() -> AuditEvent:
    return AuditEvent(
        id=EventId(new_id("evt")),
        time=rfc3339(time.time()),
        type="call.decided",
        agent="agt_01JD8X0000000000000000000A",
        agent_name="bench",
        authentication="client_secret_post",
        token_id="tok_01JD8X0000000000000000000B",
        action="crm.contacts.search",
        system="crm",
        resource="search_contacts",
        decision="permit",
        policies=("ai-agent-readonly",),
        policy_set="6f1ed002ab5595859014ebf0951522d9" * 2,
        reason="permitted by ai-agent-readonly",
    )


def _making_us() -> float:
    """Microseconds to make one event, which every caller pays beside the writing."""
    started = time.perf_counter()
    for _ in range(_MADE):
        _example()
    return (time.perf_counter() - started) / _MADE * 1_000_000


_EVENT = _example()
_numbers = itertools.count()
