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
    # Signs from then on: a new key stands in the JWKS document before it is used.
    Column("active_at", Float, nullable=False, server_default="0"),
    # Verifies until then; `sealed` is empty afterwards.
    Column("retired_at", Float),
    # The place of `keys/signers` that holds the private key; `sealed` is then a reference to it.
    Column("kept_in", Text, nullable=False, server_default="sealed"),
)

people = Table(
    "people",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    # Given here, and given by the groups of the last sign-on at a provider.
    Column("roles", Text, nullable=False),
    Column("mapped_roles", Text, nullable=False, server_default="[]"),
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
    # How the person signed in: `sign_in_link`, `passkey`, `oidc:NAME`, `saml:NAME`.
    Column("authentication", Text, nullable=False, server_default="sign_in_link"),
    Column("acr", Text, nullable=False, server_default=""),
    Column("amr", Text, nullable=False, server_default="[]"),
    Column("user_agent", Text, nullable=False, server_default=""),
    # When the person proved who they are: at a provider this can be before the session began.
    Column("auth_time", Float, nullable=False, server_default="0"),
    # A person sees and ends their own.
    Index("sessions_by_person", "person"),
)

sign_in_providers = Table(
    # Where people sign on. `configuration` is the kind's own struct as JSON; the secret is sealed by the master key.
    "sign_in_providers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("configuration", Text, nullable=False),
    Column("sealed_secret", LargeBinary),
    Column("version", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
)

identities = Table(
    # A person as a provider or a trusted issuer knows them.
    "identities",
    metadata,
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    PrimaryKeyConstraint("issuer", "subject"),
)

passkeys = Table(
    # WebAuthn credentials; `id` is the credential id in base64url.
    "passkeys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float),
    Index("passkeys_by_person", "person"),
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
    # Bounds every token, refresh chain and elevation.
    Column("max_session_seconds", Integer, nullable=False, server_default="28800"),
    # Ids of the agents that may act with its tokens (RFC 8693 §4.4).
    Column("may_act", Text, nullable=False, server_default="[]"),
    # OAuth client metadata (RFC 7591 §2) as JSON; null for an agent that only acts as itself.
    Column("client", Text),
    # The URL that is its client_id (Client ID Metadata Documents).
    Column("client_url", Text),
    # Of the token with which a registered client manages its own registration (RFC 7592 §3).
    Column("registration_hash", LargeBinary),
    Index("agents_by_client_url", "client_url", unique=True),
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
    # A federated workload: whose word is taken, for whom, and what else the assertion must say (JSON).
    # A certificate: `subject` is what it must hold (RFC 8705 §2.1.2).
    Column("issuer", Text),
    Column("subject", Text),
    Column("claims", Text),
    # An agent is loaded with its credentials.
    Index("credentials_by_agent", "agent"),
    # A workload's assertion names no agent: it is found by who it says it is.
    Index("credentials_by_subject", "issuer", "subject"),
)

delegations = Table(
    # A person lets an agent act for them: which system, with which scopes, until when. `details` is RFC 9396 JSON.
    "delegations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("system", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("details", Text, nullable=False),
    # 1: the next request for the same or less is not asked again.
    Column("remembered", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("ended_at", Float),
    # What a person has delegated; what an agent acts with.
    Index("delegations_by_person", "person"),
    Index("delegations_by_agent", "agent"),
)

revocations = Table(
    # What was ended before its time: the id of a token, of a refresh family or of a delegation. Everything derived
    # from it carries that id. Kept until the last of it would have expired anyway.
    "revocations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("expires_at", Float, nullable=False),
    Index("revocations_by_expiry", "expires_at"),
)

pending_authorizations = Table(
    # Requests that wait: pushed ones for the browser (RFC 9126), device and backchannel ones for a person.
    # `kind`: par, carried, device, ciba. `status`: pending, approved, denied. The key is a hash, never the code itself.
    "pending_authorizations",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("person", Text),
    # Of a device request: what the person types (RFC 8628 §6.1).
    Column("user_code", Text, unique=True),
    Column("request", Text, nullable=False),
    Column("status", Text, nullable=False),
    # What the person gave, once approved: the chain of tokens that it begins, as JSON.
    Column("answer", Text),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    # A person sees what waits for them.
    Index("pending_authorizations_by_person", "person"),
)

registration_tokens = Table(
    # Initial access tokens (RFC 7591 §3): who owns what registers with one, and what it may.
    "registration_tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("systems", Text, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
)

trusted_issuers = Table(
    # Whose assertions are taken: workload platforms (RFC 7523 §2.1) and identity providers that issue ID-JAGs.
    "trusted_issuers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("issuer", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("configuration", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", Float, nullable=False),
)

session_clients = Table(
    # Which clients were told of a session: they hear of its end (OpenID Connect Back-Channel Logout).
    "session_clients",
    metadata,
    Column("session", Text, nullable=False),
    Column("agent", Text, nullable=False),
    PrimaryKeyConstraint("session", "agent"),
)

outbox = Table(
    # Messages that leave after the commit of the change that they tell of, at least once.
    "outbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("url", Text, nullable=False),
    # Sealed by the session key: what is sent can be a credential.
    Column("message", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    # What is due.
    Index("outbox_by_time", "next_at"),
)

token_statuses = Table(
    # Tokens with a place in a status list (draft-ietf-oauth-status-list): what ends them is looked up when the list
    # is made.
    "token_statuses",
    metadata,
    Column("list", BigInteger, nullable=False),
    Column("place", Integer, nullable=False),
    Column("agent", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("lineage", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
    PrimaryKeyConstraint("list", "place"),
    Index("token_statuses_by_expiry", "expires_at"),
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


class StatusRow(NamedTuple):
    """One row of `token_statuses`, in the order of its columns. `lineage` is JSON."""

    list: int
    place: int
    agent: str
    epoch: int
    lineage: str
    expires_at: float


class Recorded(NamedTuple):
    """An event is durable: its number in the log, and the newest change that its commit saw."""

    seq: int
    change: int
