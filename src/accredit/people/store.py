"""Rows of people, their one-time links and their sessions."""

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select, update

from accredit.ids import PersonId, SessionId
from accredit.people.model import Person, Session
from accredit.storage import schema

_people = schema.people
_links = schema.sign_in_links
_sessions = schema.sessions


class SeenSession(NamedTuple):
    """A session and when it was last used, in seconds since 1970."""

    session: Session
    last_seen_at: float


def insert_person(connection: Connection, person: Person) -> None:
    """Add a person; the address is unique."""
    connection.execute(
        insert(_people).values(
            id=person.id,
            email=person.email,
            name=person.name,
            roles=msgspec.json.encode(person.roles).decode(),
            created_at=person.created_at,
        )
    )


def load_person(connection: Connection, person: PersonId) -> Person | None:
    """The person of this id."""
    row = connection.execute(select(_people).where(_people.c.id == person)).one_or_none()
    return None if row is None else _person(row)


def load_person_by_email(connection: Connection, email: str) -> Person | None:
    """The person of this address, as it is stored: in lower case."""
    row = connection.execute(select(_people).where(_people.c.email == email)).one_or_none()
    return None if row is None else _person(row)


def insert_link(connection: Connection, token_hash: bytes, person: PersonId, expires_at: float) -> None:
    """Keep a one-time link by the hash of its token."""
    connection.execute(insert(_links).values(token_hash=token_hash, person=person, expires_at=expires_at))


def take_link(connection: Connection, token_hash: bytes, now: float) -> Person | None:
    """Delete the link and return whose it was; None if there is none or its time is over."""
    taken = connection.execute(
        delete(_links).where(_links.c.token_hash == token_hash).returning(_links.c.person, _links.c.expires_at)
    ).one_or_none()
    if taken is None or taken.expires_at <= now:
        return None
    return load_person(connection, taken.person)


def delete_expired(connection: Connection, now: float) -> None:
    """Forget links and sessions whose time is over."""
    connection.execute(delete(_links).where(_links.c.expires_at <= now))
    connection.execute(delete(_sessions).where(_sessions.c.expires_at <= now))


def insert_session(connection: Connection, session: Session, token_hash: bytes) -> None:
    """Keep a session by the hash of its cookie."""
    connection.execute(
        insert(_sessions).values(
            id=session.id,
            token_hash=token_hash,
            person=session.person.id,
            created_at=session.created_at,
            last_seen_at=session.created_at,
            expires_at=session.expires_at,
        )
    )


def load_session(connection: Connection, token_hash: bytes) -> SeenSession | None:
    """The session of this cookie, whatever its age."""
    query = (
        select(
            _sessions.c.id.label("session_id"),
            _sessions.c.created_at.label("session_created_at"),
            _sessions.c.last_seen_at,
            _sessions.c.expires_at,
            _people,
        )
        .join(_people, _people.c.id == _sessions.c.person)
        .where(_sessions.c.token_hash == token_hash)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    session = Session(
        id=SessionId(row.session_id),
        person=_person(row),
        created_at=row.session_created_at,
        expires_at=row.expires_at,
    )
    return SeenSession(session, row.last_seen_at)


def mark_seen(connection: Connection, session: SessionId, now: float) -> None:
    """The session was used now."""
    connection.execute(update(_sessions).where(_sessions.c.id == session).values(last_seen_at=now))


def delete_session(connection: Connection, session: SessionId) -> bool:
    """End a session; False if it had ended before."""
    return connection.execute(delete(_sessions).where(_sessions.c.id == session)).rowcount == 1


def _person(row: Row[tuple[object, ...]]) -> Person:
    return Person(
        id=PersonId(row.id),
        email=row.email,
        name=row.name,
        roles=msgspec.json.decode(row.roles, type=tuple[str, ...]),
        created_at=row.created_at,
    )
