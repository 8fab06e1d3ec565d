"""The rows of agents and of their credentials."""

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, update

from accredit.agents.model import Agent, AgentStatus, Credential, CredentialKind
from accredit.errors import NotFound
from accredit.ids import AgentId, CredentialId, PersonId
from accredit.storage.schema import agents, credentials, people
from accredit.storage.writer import Tx

_agents_with_owners = select(agents, people.c.email.label("owner_email")).join_from(
    agents, people, agents.c.owner == people.c.id
)


def load_agent(connection: Connection, agent_id: str) -> Agent | None:
    """One agent by id, with its credentials."""
    row = connection.execute(_agents_with_owners.where(agents.c.id == agent_id)).one_or_none()
    return None if row is None else _agent(row._mapping, load_credentials(connection, agent_id))


def load_agent_named(connection: Connection, name: str) -> Agent | None:
    """One agent by name, with its credentials."""
    agent_id = connection.execute(select(agents.c.id).where(agents.c.name == name)).scalar_one_or_none()
    return None if agent_id is None else load_agent(connection, agent_id)


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


def load_credentials(connection: Connection, agent_id: str) -> tuple[Credential, ...]:
    """An agent's credentials, the revoked ones too, the oldest first."""
    query = select(credentials).where(credentials.c.agent == agent_id).order_by(credentials.c.id)
    return tuple(_credential(row._mapping) for row in connection.execute(query))


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
    }


def _agent(row: RowMapping, held: tuple[Credential, ...]) -> Agent:
    return Agent(
        id=AgentId(row["id"]),
        name=row["name"],
        owner=PersonId(row["owner"]),
        owner_email=row["owner_email"],
        type=row["type"],
        roles=msgspec.json.decode(row["roles"], type=tuple[str, ...]),
        systems=msgspec.json.decode(row["systems"], type=tuple[str, ...]),
        capability_level=row["capability_level"],
        status=AgentStatus(row["status"]),
        epoch=row["epoch"],
        version=row["version"],
        created_at=row["created_at"],
        credentials=held,
    )


def _credential(row: RowMapping) -> Credential:
    return Credential(
        id=CredentialId(row["id"]),
        agent=AgentId(row["agent"]),
        kind=CredentialKind(row["kind"]),
        secret_hash=row["secret_hash"],
        jwks=row["jwks"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
    )
