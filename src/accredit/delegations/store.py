"""The rows of delegations."""

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from accredit.delegations.model import ActionDetails, Delegation
from accredit.ids import AgentId, DelegationId, PersonId
from accredit.storage.schema import delegations as table


def insert_delegation(connection: Connection, one: Delegation) -> None:
    """Add a delegation."""
    values = {
        "id": one.id,
        "person": one.person,
        "agent": one.agent,
        "system": one.system,
        "audience": one.audience,
        "scopes": msgspec.json.encode(one.scopes).decode(),
        "details": msgspec.json.encode(one.details).decode(),
        "remembered": int(one.remembered),
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "ended_at": one.ended_at,
    }
    connection.execute(insert(table), values)


def load_delegation(connection: Connection, delegation: str) -> Delegation | None:
    """One delegation, whether it holds or not."""
    row = connection.execute(select(table).where(table.c.id == delegation)).one_or_none()
    return None if row is None else _delegation(row)


def load_living_of_person(connection: Connection, person: PersonId, now: float) -> list[Delegation]:
    """What a person has delegated and what holds now, the newest first."""
    query = select(table).where(table.c.person == person, table.c.ended_at.is_(None), table.c.expires_at > now)
    return [_delegation(row) for row in connection.execute(query.order_by(table.c.created_at.desc()))]


def load_living(connection: Connection, person: PersonId, agent: AgentId, now: float) -> list[Delegation]:
    """What a person has delegated to one agent and what holds now, the newest first."""
    return [one for one in load_living_of_person(connection, person, now) if one.agent == agent]


def load_living_of_agent(connection: Connection, agent: AgentId, now: float, limit: int) -> list[Delegation]:
    """What was delegated to an agent and what holds now, the newest first."""
    query = select(table).where(table.c.agent == agent, table.c.ended_at.is_(None), table.c.expires_at > now)
    return [_delegation(row) for row in connection.execute(query.order_by(table.c.created_at.desc()).limit(limit))]


def count_living(connection: Connection, people: Collection[PersonId], now: float) -> dict[PersonId, int]:
    """How many delegations of these people hold now; one who has none is left out."""
    query = select(table.c.person, func.count()).group_by(table.c.person)
    query = query.where(table.c.person.in_(people), table.c.ended_at.is_(None), table.c.expires_at > now)
    return {PersonId(person): count for person, count in connection.execute(query)}


def end_delegation(connection: Connection, delegation: DelegationId, now: float) -> bool:
    """Mark a delegation as ended; False if it was already."""
    ended = update(table).where(table.c.id == delegation, table.c.ended_at.is_(None)).values(ended_at=now)
    return connection.execute(ended).rowcount == 1


def _delegation(row: Row[tuple[object, ...]]) -> Delegation:
    return Delegation(
        id=DelegationId(row.id),
        person=PersonId(row.person),
        agent=AgentId(row.agent),
        system=row.system,
        audience=row.audience,
        scopes=msgspec.json.decode(row.scopes, type=tuple[str, ...]),
        details=msgspec.json.decode(row.details, type=tuple[ActionDetails, ...]),
        remembered=bool(row.remembered),
        created_at=row.created_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
    )
