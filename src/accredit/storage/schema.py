"""Every table, in one readable file, with the reason for each index.

Only `storage` and each room's `store.py` speak SQL. Times are whole or fractional seconds since 1970 UTC; what is
JSON is stored as text that a struct decodes.
"""

from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

metadata = MetaData()

head = Table(
    # One row. Locked last in every transaction, so numbers follow the order of the commits and have no gap.
    "head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("next_event", BigInteger, nullable=False),
    Column("next_change", BigInteger, nullable=False),
)

changes = Table(
    # What changed, for every process that keeps a snapshot in memory.
    "changes",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("time", Float, nullable=False),
)

events = Table(
    # The log's events. `nonce` and `body` may go one day; `commitment` stays, so that every proof stays.
    "events",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("nonce", LargeBinary),
    Column("body", LargeBinary),
    Column("commitment", LargeBinary, nullable=False),
    # An outcome names its decision by id; ids grow with time, so the index is appended to.
    Index("events_by_id", "id", unique=True),
)

log = Table(
    # One row: the log's name and the size and root that were last promised, stored before a signature leaves.
    "log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("origin", Text, nullable=False),
    Column("tree_size", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("checkpoint", Text, nullable=False),
)

tiles = Table(
    # C2SP tlog-tiles, height 8: `data` is 1 to 256 hashes of 32 bytes; fewer than 256 is a partial tile.
    "tiles",
    metadata,
    Column("level", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("level", "number"),
)

keys = Table(
    # Private keys, sealed by the master key. What each `purpose` is for stands in `keys/keyring.py`.
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("retired_at", Float),
)

people = Table(
    "people",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

sign_in_links = Table(
    # One-time links. Only the hash is kept, so a copy of the database signs nobody in.
    "sign_in_links",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("person", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("person", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_seen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
)

agents = Table(
    "agents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("systems", Text, nullable=False),
    Column("capability_level", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("id", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("secret_hash", LargeBinary),
    Column("jwks", Text),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
    # An agent is loaded with its credentials.
    Index("credentials_by_agent", "agent"),
)

used_once = Table(
    # `jti` values of client assertions (RFC 7523 §3), kept until they would be refused for their age anyway.
    "used_once",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("expires_at", Float, nullable=False),
    Index("used_once_by_expiry", "expires_at"),
)

systems = Table(
    "systems",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("manifest", Text, nullable=False),
    # The manifest in the form that the code reads.
    Column("definition", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
)

tools = Table(
    # Input schemas learned from each upstream's tools/list.
    "tools",
    metadata,
    Column("system", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("input_schema", Text, nullable=False),
    Column("learned_at", Float, nullable=False),
    PrimaryKeyConstraint("system", "name"),
)

policy_sets = Table(
    # Every applied set is kept; the newest is in force. `source` is JSON: file name → text.
    "policy_sets",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("digest", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("applied_by", Text, nullable=False),
    Column("applied_at", Float, nullable=False),
)


class EventRow(NamedTuple):
    """One event ready for the log; the writer adds its number."""

    id: str
    nonce: bytes
    body: bytes
    commitment: bytes


class Recorded(NamedTuple):
    """An event is durable: its number in the log, and the newest change that its commit saw."""

    seq: int
    change: int
