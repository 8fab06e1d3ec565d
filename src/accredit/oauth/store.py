"""Rows of the authorization server: which clients were told of a session, and requests that wait."""

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from accredit.ids import AgentId, PersonId, SessionId
from accredit.storage.schema import agents, pending_authorizations, session_clients


class ToldClient(NamedTuple):
    """A client that was given an ID token of a session; `metadata` is its own, as JSON."""

    agent: AgentId
    metadata: str


def insert_session_client(connection: Connection, session: SessionId, agent: AgentId) -> None:
    """Keep that a client was told of a session; once is enough."""
    known = select(session_clients).where(session_clients.c.session == session, session_clients.c.agent == agent)
    if connection.execute(known).first() is None:
        connection.execute(insert(session_clients).values(session=session, agent=agent))


def take_session_clients(connection: Connection, session: SessionId) -> list[ToldClient]:
    """The clients that were told of a session; they are forgotten with it."""
    query = (
        select(agents.c.id, agents.c.client)
        .join(session_clients, session_clients.c.agent == agents.c.id)
        .where(session_clients.c.session == session, agents.c.client.is_not(None))
    )
    told = [ToldClient(AgentId(row.id), row.client) for row in connection.execute(query)]
    connection.execute(session_clients.delete().where(session_clients.c.session == session))
    return told


class PendingRow(NamedTuple):
    """A request that waits for a person; see `pending.py`."""

    key: bytes
    kind: str
    agent: str
    person: str | None
    user_code: str | None
    request: str
    status: str
    answer: str | None
    created_at: float
    expires_at: float


_pending = pending_authorizations
_SHOWN = 50
_COLUMNS = [_pending.c[name] for name in PendingRow._fields]


def insert_pending(connection: Connection, row: PendingRow) -> None:
    """Keep a request. Both of its codes are unique."""
    connection.execute(insert(_pending), row._asdict())


def load_pending(connection: Connection, key: bytes) -> PendingRow | None:
    """The request of this key."""
    row = connection.execute(select(*_COLUMNS).where(_pending.c.key == key)).one_or_none()
    return None if row is None else PendingRow(*row)


def load_pending_by_user_code(connection: Connection, user_code: str) -> PendingRow | None:
    """The device request that waits under this code."""
    row = connection.execute(select(*_COLUMNS).where(_pending.c.user_code == user_code)).one_or_none()
    return None if row is None else PendingRow(*row)


def load_pending_of_person(connection: Connection, person: PersonId, now: float) -> list[PendingRow]:
    """What waits for a person, the newest first, at most 50."""
    query = select(*_COLUMNS).where(*_waits_for(person, now)).order_by(_pending.c.created_at.desc()).limit(_SHOWN)
    return [PendingRow(*row) for row in connection.execute(query)]


def count_pending_of_person(connection: Connection, person: PersonId, now: float) -> int:
    """How many requests wait for a person."""
    return connection.execute(select(func.count()).select_from(_pending).where(*_waits_for(person, now))).scalar_one()


def _waits_for(person: PersonId, now: float) -> tuple[ColumnElement[bool], ...]:
    return (_pending.c.person == person, _pending.c.status == "pending", _pending.c.expires_at > now)


def answer_pending(
    connection: Connection, key: bytes, *, status: str, person: str, answer: str | None, now: float
) -> bool:
    """Approve or deny; False if it was answered before, or its time is over."""
    waits = (_pending.c.key == key, _pending.c.status == "pending", _pending.c.expires_at > now)
    answered = update(_pending).where(*waits).values(status=status, person=person, answer=answer)
    return connection.execute(answered).rowcount == 1


def delete_expired_pending(connection: Connection, before: float) -> None:
    """Forget requests whose time was over before then."""
    connection.execute(delete(_pending).where(_pending.c.expires_at < before))


def count_pending(connection: Connection, kind: str, agent: str, now: float) -> int:
    """How many requests of a client wait."""
    waits = (_pending.c.kind == kind, _pending.c.agent == agent, _pending.c.expires_at > now)
    return connection.execute(select(func.count()).select_from(_pending).where(*waits)).scalar_one()


def take_pending(connection: Connection, key: bytes, kind: str, agent: str, now: float) -> str | None:
    """What a client's request asks for; it is deleted. None if there is none, or if its time is over."""
    its = (_pending.c.key == key, _pending.c.kind == kind, _pending.c.agent == agent)
    row = connection.execute(select(_pending.c.request, _pending.c.expires_at).where(*its)).one_or_none()
    if row is None:
        return None
    connection.execute(delete(_pending).where(_pending.c.key == key))
    return row.request if now < row.expires_at else None
