"""Real rooms for tests: a database on disk, its writer and feed, and what is built on them."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from accredit.agents.credentials import hash_client_secret
from accredit.agents.registry import Agents
from accredit.agents.revocations import Revocations
from accredit.audit.event import Actor
from accredit.audit.group import Group
from accredit.clock import Clock
from accredit.delegations.register import Delegations
from accredit.ids import KeyId, PersonId, new_id
from accredit.keys.algorithms import ALGORITHMS, generate_private_key
from accredit.keys.keyring import Keyring
from accredit.keys.signers.sealed import SealedSigner
from accredit.keys.signing_keys import SigningKey, SigningKeys
from accredit.people.directory import People
from accredit.storage.db import Database
from accredit.storage.feed import Feed
from accredit.storage.migrate import migrate
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Writer
from accredit.systems.registry import Systems

T = TypeVar("T")

ADMINISTRATOR = Actor(person=PersonId("per_test"), authentication="management_token")
SECRET_KEY = bytes(range(32))
_SIGNERS = {name: SealedSigner(KeyId(f"key_{name}"), generate_private_key(name)) for name in ALGORITHMS}
SIGNER = _SIGNERS["ES256"]
_LOG_KEY = Ed25519PrivateKey.generate()
_LOG_KEY_MLDSA44 = MLDSA44PrivateKey.generate()

CRM = """
name = "crm"
title = "Customer relations"
kind = "crm"
protocol = "mcp"
upstream = "http://127.0.0.1:9000/mcp"
sensitivity = 2
data = ["personal"]

[[operations]]
action = "crm.contacts.search"
effect = "read"
tool = "search_contacts"
scope = "crm:contacts.read"

[[operations]]
action = "crm.contacts.create"
effect = "write"
tool = "create_contact"
scope = "crm:contacts.write"
"""


class TestClock:
    """A clock that stands until it is moved."""

    __test__ = False

    def __init__(self, seconds: float = 1_800_000_000.0) -> None:
        self.now = seconds

    def seconds(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What most tests need, wired as the server wires it."""

    database: Database
    writer: Writer
    feed: Feed
    transactions: Transactions
    group: Group
    people: People
    systems: Systems
    agents: Agents
    revocations: Revocations
    delegations: Delegations
    keyring: Keyring
    clock: TestClock


@asynccontextmanager
async def open_rooms(folder: Path, clock: TestClock | None = None) -> AsyncIterator[Rooms]:
    """Open rooms on a database in `folder`, and close them."""
    clock = clock or TestClock()
    database = Database(f"sqlite:///{folder / 'accredit.db'}")
    migrate(database)
    writer = Writer(database)
    feed = Feed(database, clock)
    await feed.start()
    transactions = Transactions(database, writer, feed)
    people = People(transactions, feed, clock, new_id)
    systems = Systems(transactions, clock, new_id)
    await systems.load()
    agents = Agents(
        transactions,
        feed,
        people,
        clock,
        new_id,
        functools.partial(hash_client_secret, SECRET_KEY),
        systems.exists,
    )
    revocations = Revocations(transactions, feed, clock)
    await revocations.load()
    try:
        yield Rooms(
            database=database,
            writer=writer,
            feed=feed,
            transactions=transactions,
            group=Group(writer),
            people=people,
            systems=systems,
            agents=agents,
            revocations=revocations,
            delegations=Delegations(transactions, revocations, clock, new_id),
            keyring=a_keyring(clock),
            clock=clock,
        )
    finally:
        await writer.close()
        database.close()


def a_keyring(clock: Clock) -> Keyring:
    """Keys of a test, of every algorithm."""
    signing = tuple(SigningKey(signer=signer, active_at=0.0, retired_at=None) for signer in _SIGNERS.values())
    return Keyring(
        signing_keys=SigningKeys(clock, signing),
        log=_LOG_KEY,
        log_mldsa44=_LOG_KEY_MLDSA44,
        client_secret=SECRET_KEY,
        session=bytes(32),
        refresh_token=bytes([1]) * 32,
        authorization=bytes([2]) * 32,
        nonce=bytes([3]) * 32,
    )


def with_rooms(folder: Path, act: Callable[[Rooms], Awaitable[T]]) -> T:
    """Run one coroutine with rooms open, on the event loop that the server uses."""

    async def run() -> T:
        async with open_rooms(folder) as rooms:
            return await act(rooms)

    return uvloop.run(run())
