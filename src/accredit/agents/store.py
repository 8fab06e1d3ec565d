"""The rows of agents and of their credentials."""

import functools
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select, update
from sqlalchemy.dialects import sqlite

from accredit.agents.client_metadata import ClientMetadata
from accredit.agents.model import Agent, AgentStatus, Credential, CredentialKind, RegistrationToken
from accredit.errors import NotFound
from accredit.ids import AgentId, CredentialId, PersonId
from accredit.storage.schema import agents, credentials, people, registration_tokens, revocations
from accredit.storage.writer import Tx

_agents_with_owners = select(agents, people.c.email.label("owner_email")).join_from(
    agents, people, agents.c.owner == people.c.id
)
# Made once: to put a statement together takes SQLAlchemy twenty times as long as SQLite takes to run it.
_agent_with_credentials = (
    _agents_with_owners.add_columns(*(column.label(f"credential_{column.name}") for column in credentials.c))
    .outerjoin(credentials, credentials.c.agent == agents.c.id)
    .where(agents.c.id == bindparam("agent"))
)
_agent_with_credentials_on_sqlite = str(_agent_with_credentials.compile(dialect=sqlite.dialect()))
_AGENT = (*(column.name for column in agents.c), "owner_email")
_CREDENTIAL = tuple(column.name for column in credentials.c)


def load_agent(connection: Connection, agent_id: str) -> Agent | None:
    """One agent by id, with its credentials, the revoked ones too, the oldest first."""
    rows = _rows_of_agent(connection, agent_id)
    if not rows:
        return None
    held = [dict(zip(_CREDENTIAL, row[len(_AGENT) :], strict=True)) for row in rows]
    found = [_credential(one) for one in held if one["id"] is not None]
    agent = dict(zip(_AGENT, rows[0][: len(_AGENT)], strict=True))
    return _agent(agent, tuple(sorted(found, key=lambda one: one.id)))


def load_agent_named(connection: Connection, name: str) -> Agent | None:
    """One agent by name, with its credentials."""
    agent_id = connection.execute(select(agents.c.id).where(agents.c.name == name)).scalar_one_or_none()
    return None if agent_id is None else load_agent(connection, agent_id)


def load_agent_of_client_url(connection: Connection, url: str) -> Agent | None:
    """The agent whose client_id is this URL, with its credentials."""
    agent_id = connection.execute(select(agents.c.id).where(agents.c.client_url == url)).scalar_one_or_none()
    return None if agent_id is None else load_agent(connection, agent_id)


def load_agent_of_workload(connection: Connection, issuer: str, subject: str) -> Agent | None:
    """The agent that an issuer's workload of this name is, with its credentials."""
    query = select(credentials.c.agent).where(
        credentials.c.issuer == issuer, credentials.c.subject == subject, credentials.c.revoked_at.is_(None)
    )
    agent_id = connection.execute(query.limit(1)).scalar_one_or_none()
    return None if agent_id is None else load_agent(connection, agent_id)


def load_workload_credentials(connection: Connection, issuer: str, subject: str) -> list[Credential]:
    """The credentials for this workload that were not revoked, whosever they are."""
    query = select(credentials).where(
        credentials.c.issuer == issuer, credentials.c.subject == subject, credentials.c.revoked_at.is_(None)
    )
    return [_credential(row._mapping) for row in connection.execute(query)]


def find_agent(connection: Connection, name: str) -> Agent:
    """The agent with this name or id. Raises NotFound."""
    query = load_agent if name.startswith("agt_") else load_agent_named
    found = query(connection, name)
    if found is None:
        raise NotFound(f"there is no agent {name!r}", next_step="`accredit agent list` shows them")
    return found


def load_agents_after(connection: Connection, name: str, limit: int) -> list[Agent]:
    """Agents by name, those after `name`, at most `limit`; without credentials' rows read one by one."""
    query = _agents_with_owners.where(agents.c.name > name).order_by(agents.c.name).limit(limit)
    rows = [row._mapping for row in connection.execute(query)]
    held: dict[str, list[Credential]] = {row["id"]: [] for row in rows}
    for row in connection.execute(select(credentials).where(credentials.c.agent.in_(held))):
        held[row.agent].append(_credential(row._mapping))
    return [_agent(row, tuple(held[row["id"]])) for row in rows]


def insert_agent(tx: Tx, agent: Agent) -> None:
    """Add an agent."""
    values = {**_changeable(agent), "id": agent.id, "created_at": agent.created_at}
    tx.connection.execute(insert(agents), values)


def update_agent(tx: Tx, agent: Agent) -> None:
    """Write an agent's present state."""
    tx.connection.execute(update(agents).where(agents.c.id == agent.id).values(_changeable(agent)))


def insert_credential(tx: Tx, credential: Credential) -> None:
    """Add a credential."""
    values = {
        "id": credential.id,
        "agent": credential.agent,
        "kind": credential.kind.value,
        "secret_hash": credential.secret_hash,
        "jwks": credential.jwks,
        "created_at": credential.created_at,
        "revoked_at": credential.revoked_at,
        "issuer": credential.issuer,
        "subject": credential.subject,
        "claims": msgspec.json.encode(dict(credential.claims)).decode() if credential.claims else None,
    }
    tx.connection.execute(insert(credentials), values)


def revoke_credential(tx: Tx, credential_id: str, now: float) -> None:
    """Mark a credential as revoked."""
    tx.connection.execute(update(credentials).where(credentials.c.id == credential_id).values(revoked_at=now))


def _changeable(agent: Agent) -> dict[str, object]:
    return {
        "name": agent.name,
        "owner": agent.owner,
        "type": agent.type,
        "roles": msgspec.json.encode(agent.roles).decode(),
        "systems": msgspec.json.encode(agent.systems).decode(),
        "capability_level": agent.capability_level,
        "status": agent.status.value,
        "epoch": agent.epoch,
        "version": agent.version,
        "max_session_seconds": agent.max_session_seconds,
        "may_act": msgspec.json.encode(agent.may_act).decode(),
        "client": None if agent.client is None else msgspec.json.encode(agent.client).decode(),
        "client_url": agent.client_url,
    }


def _rows_of_agent(connection: Connection, agent_id: str) -> Sequence[Sequence[Any]]:
    if connection.dialect.name != "sqlite":
        return connection.execute(_agent_with_credentials, {"agent": agent_id}).all()
    # The driver itself, for agents that are not in memory: SQLAlchemy would cost more than the rows.
    driver = cast("Any", connection.connection.driver_connection)
    rows: list[tuple[Any, ...]] = driver.execute(_agent_with_credentials_on_sqlite, (agent_id,)).fetchall()
    return rows


def _agent(row: RowMapping | dict[str, Any], held: tuple[Credential, ...]) -> Agent:
    return Agent(
        id=AgentId(row["id"]),
        name=row["name"],
        owner=PersonId(row["owner"]),
        owner_email=row["owner_email"],
        type=row["type"],
        roles=_texts(row["roles"]),
        systems=_texts(row["systems"]),
        capability_level=row["capability_level"],
        status=AgentStatus(row["status"]),
        epoch=row["epoch"],
        version=row["version"],
        created_at=row["created_at"],
        credentials=held,
        max_session_seconds=row["max_session_seconds"],
        may_act=cast("tuple[AgentId, ...]", _texts(row["may_act"])),
        client=None if row["client"] is None else msgspec.json.decode(row["client"], type=ClientMetadata),
        client_url=row["client_url"],
    )


@functools.lru_cache(maxsize=4_096)
def _texts(json: str) -> tuple[str, ...]:
    """A list of texts; agents who have the same roles share them."""
    return msgspec.json.decode(json, type=tuple[str, ...])


def _credential(row: RowMapping | dict[str, Any]) -> Credential:
    return Credential(
        id=CredentialId(row["id"]),
        agent=AgentId(row["agent"]),
        kind=CredentialKind(row["kind"]),
        secret_hash=row["secret_hash"],
        jwks=row["jwks"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        issuer=row["issuer"],
        subject=row["subject"],
        claims=tuple(msgspec.json.decode(row["claims"], type=dict[str, str]).items()) if row["claims"] else (),
    )


def insert_revocation(connection: Connection, thing: str, expires_at: float) -> None:
    """End a thing; one that was ended before stays ended, for the longer of both times."""
    known = connection.execute(select(revocations.c.expires_at).where(revocations.c.id == thing)).scalar_one_or_none()
    if known is None:
        connection.execute(insert(revocations).values(id=thing, expires_at=expires_at))
    elif known < expires_at:
        connection.execute(update(revocations).where(revocations.c.id == thing).values(expires_at=expires_at))


def load_revocations(connection: Connection, now: float) -> dict[str, float]:
    """What is ended and would not have expired by itself: id → when it would."""
    query = select(revocations.c.id, revocations.c.expires_at).where(revocations.c.expires_at >= now)
    return {row.id: row.expires_at for row in connection.execute(query)}


def has_expired_revocations(connection: Connection, now: float) -> bool:
    """Whether there is a row to delete."""
    return (
        connection.execute(select(revocations.c.id).where(revocations.c.expires_at < now).limit(1)).first() is not None
    )


def delete_expired_revocations(connection: Connection, now: float) -> None:
    """Forget what has expired by itself."""
    connection.execute(delete(revocations).where(revocations.c.expires_at < now))


_registration_tokens_with_owners = select(registration_tokens, people.c.email.label("owner_email")).join_from(
    registration_tokens, people, registration_tokens.c.owner == people.c.id
)


def insert_registration_token(tx: Tx, token: RegistrationToken, token_hash: bytes) -> None:
    """Add an initial access token, by its hash."""
    values = {
        "id": token.id,
        "token_hash": token_hash,
        "owner": token.owner,
        "roles": msgspec.json.encode(token.roles).decode(),
        "systems": msgspec.json.encode(token.systems).decode(),
        "uses_left": token.uses_left,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
    }
    tx.connection.execute(insert(registration_tokens), values)


def load_registration_tokens(connection: Connection) -> list[RegistrationToken]:
    """Every initial access token that was not revoked, the oldest first; also those that are used up or too old."""
    rows = connection.execute(_registration_tokens_with_owners.order_by(registration_tokens.c.id))
    return [_registration_token(row._mapping) for row in rows]


def is_open_registration_token(connection: Connection, token_hash: bytes, now: float) -> bool:
    """Whether an initial access token is known, and neither used up nor too old."""
    table = registration_tokens
    query = select(table.c.id).where(table.c.token_hash == token_hash, table.c.uses_left > 0, table.c.expires_at > now)
    return connection.execute(query).first() is not None


def take_registration_use(tx: Tx, token_hash: bytes, now: float) -> RegistrationToken | None:
    """Use an initial access token once; None if it is unknown, used up or too old."""
    table = registration_tokens
    open_ = (table.c.token_hash == token_hash, table.c.uses_left > 0, table.c.expires_at > now)
    used = tx.connection.execute(update(table).where(*open_).values(uses_left=table.c.uses_left - 1))
    if used.rowcount != 1:
        return None
    query = _registration_tokens_with_owners.where(table.c.token_hash == token_hash)
    return _registration_token(tx.connection.execute(query).one()._mapping)


def delete_registration_token(tx: Tx, token_id: str) -> bool:
    """Forget an initial access token; False if there is none."""
    done = tx.connection.execute(delete(registration_tokens).where(registration_tokens.c.id == token_id))
    return done.rowcount == 1


def load_registration_hash(connection: Connection, agent_id: str) -> bytes | None:
    """The hash of the token with which an agent manages its registration."""
    query = select(agents.c.registration_hash).where(agents.c.id == agent_id)
    found: bytes | None = connection.execute(query).scalar_one_or_none()
    return found


def set_registration_hash(tx: Tx, agent_id: str, token_hash: bytes | None) -> None:
    """Give an agent another token for its registration, or none."""
    tx.connection.execute(update(agents).where(agents.c.id == agent_id).values(registration_hash=token_hash))


def _registration_token(row: RowMapping) -> RegistrationToken:
    return RegistrationToken(
        id=row["id"],
        owner=PersonId(row["owner"]),
        owner_email=row["owner_email"],
        roles=msgspec.json.decode(row["roles"], type=tuple[str, ...]),
        systems=msgspec.json.decode(row["systems"], type=tuple[str, ...]),
        uses_left=row["uses_left"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )
