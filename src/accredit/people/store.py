"""Rows of people, their one-time links and their sessions."""

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, or_, select, update

from accredit.ids import PersonId, SessionId
from accredit.people.model import CHANGE, KnownAs, Passkey, Person, Session, WaysIn
from accredit.storage import schema
from accredit.storage.writer import Once, Tx

_people = schema.people
_links = schema.sign_in_links
_sessions = schema.sessions
_identities = schema.identities
_passkeys = schema.passkeys
_used_once = schema.used_once


# Made once: to put a statement together takes SQLAlchemy ten times as long as SQLite takes to run it.
_person_of_id = select(_people).where(_people.c.id == bindparam("person"))


def insert_person(connection: Connection, person: Person) -> None:
    """Add a person; the address is unique."""
    connection.execute(
        insert(_people).values(
            id=person.id,
            email=person.email,
            name=person.name,
            roles=_texts(tuple(role for role in person.roles if role not in person.mapped_roles)),
            mapped_roles=_texts(person.mapped_roles),
            created_at=person.created_at,
        )
    )


def load_person(connection: Connection, person: PersonId) -> Person | None:
    """The person of this id."""
    row = connection.execute(_person_of_id, {"person": person}).one_or_none()
    return None if row is None else _person(row)


def load_person_by_email(connection: Connection, email: str) -> Person | None:
    """The person of this address, as it is stored: in lower case."""
    row = connection.execute(select(_people).where(_people.c.email == email)).one_or_none()
    return None if row is None else _person(row)


def load_person_named(connection: Connection, name: str) -> Person | None:
    """The person of this id or, however it is written, of this address."""
    found = load_person(connection, PersonId(name)) if name.startswith("per_") else None
    return found or load_person_by_email(connection, name.strip().lower())


def load_people_after(connection: Connection, after: str, limit: int) -> list[Person]:
    """People by address, those after `after`."""
    query = select(_people).where(_people.c.email > after).order_by(_people.c.email).limit(limit)
    return [_person(row) for row in connection.execute(query)]


def load_people_in_role(connection: Connection, role: str) -> list[Person]:
    """Everybody who has a role, given here or by a group."""
    # The columns hold JSON: the quotes belong to the name, and what is found is looked at again.
    text = msgspec.json.encode(role).decode()
    either = or_(
        _people.c.roles.contains(text, autoescape=True), _people.c.mapped_roles.contains(text, autoescape=True)
    )
    found = [_person(row) for row in connection.execute(select(_people).where(either))]
    return [person for person in found if role in person.roles]


def load_identities(connection: Connection, people: Collection[PersonId]) -> list[KnownAs]:
    """As whom providers and trusted issuers know these people, the oldest first."""
    query = select(_identities).where(_identities.c.person.in_(people))
    query = query.order_by(_identities.c.created_at, _identities.c.issuer, _identities.c.subject)
    return [
        KnownAs(issuer=row.issuer, subject=row.subject, person=PersonId(row.person), created_at=row.created_at)
        for row in connection.execute(query)
    ]


def delete_identity(connection: Connection, issuer: str, subject: str, person: PersonId) -> bool:
    """Forget who a subject is here; False if it is not this person."""
    own = (_identities.c.issuer == issuer) & (_identities.c.subject == subject) & (_identities.c.person == person)
    return connection.execute(delete(_identities).where(own)).rowcount == 1


def load_ways_in(connection: Connection, people: Collection[PersonId]) -> dict[PersonId, WaysIn]:
    """The passkeys of these people, counted, and as whom they are known elsewhere."""
    query = select(_passkeys.c.person, func.count()).where(_passkeys.c.person.in_(people)).group_by(_passkeys.c.person)
    passkeys = {PersonId(person): count for person, count in connection.execute(query)}
    known: dict[PersonId, list[KnownAs]] = {}
    for one in load_identities(connection, people):
        known.setdefault(one.person, []).append(one)
    return {
        person: WaysIn(passkeys=passkeys.get(person, 0), identities=tuple(known.get(person, ()))) for person in people
    }


def load_identity(connection: Connection, issuer: str, subject: str) -> Person | None:
    """The person whom this issuer knows by this subject."""
    query = (
        select(_people)
        .join(_identities, _identities.c.person == _people.c.id)
        .where(_identities.c.issuer == issuer, _identities.c.subject == subject)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _person(row)


def insert_identity(connection: Connection, issuer: str, subject: str, person: PersonId, now: float) -> None:
    """Let an issuer's subject be this person; a subject is one person."""
    connection.execute(insert(_identities).values(issuer=issuer, subject=subject, person=person, created_at=now))


def update_from_provider(tx: Tx, person: Person) -> None:
    """Keep the name and the roles that a provider gave; the roles that were given here stay as they are."""
    values = {"name": person.name, "mapped_roles": _texts(person.mapped_roles)}
    tx.connection.execute(update(_people).where(_people.c.id == person.id).values(values))
    tx.changed(CHANGE, person.id)


def update_own_roles(tx: Tx, person: Person, roles: tuple[str, ...]) -> None:
    """Give the roles that are given here; those of a provider's groups stay as they are."""
    tx.connection.execute(update(_people).where(_people.c.id == person.id).values(roles=_texts(roles)))
    tx.changed(CHANGE, person.id)


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
            last_seen_at=session.last_seen_at,
            expires_at=session.expires_at,
            authentication=session.authentication,
            acr=session.acr,
            amr=_texts(session.amr),
            auth_time=session.auth_time,
            user_agent=session.user_agent,
        )
    )


def load_session(connection: Connection, token_hash: bytes) -> Session | None:
    """The session of this cookie, whatever its age."""
    row = connection.execute(_select_sessions().where(_sessions.c.token_hash == token_hash)).one_or_none()
    return None if row is None else _session(row)


def load_sessions(connection: Connection, person: PersonId) -> tuple[Session, ...]:
    """Every session of a person, whatever its age, the last used first."""
    query = _select_sessions().where(_sessions.c.person == person).order_by(_sessions.c.last_seen_at.desc())
    return tuple(_session(row) for row in connection.execute(query))


def mark_seen(connection: Connection, session: SessionId, now: float) -> None:
    """The session was used now."""
    connection.execute(update(_sessions).where(_sessions.c.id == session).values(last_seen_at=now))


def delete_session(connection: Connection, session: SessionId) -> bool:
    """End a session; False if it had ended before."""
    return connection.execute(delete(_sessions).where(_sessions.c.id == session)).rowcount == 1


def insert_passkey(connection: Connection, passkey: Passkey) -> None:
    """Keep a passkey; its id is unique."""
    connection.execute(
        insert(_passkeys).values(
            id=passkey.id,
            person=passkey.person,
            name=passkey.name,
            public_key=passkey.public_key,
            sign_count=passkey.sign_count,
            created_at=passkey.created_at,
            last_used_at=passkey.last_used_at,
        )
    )


def load_passkey(connection: Connection, passkey_id: str) -> Passkey | None:
    """The passkey of this credential id, whosever it is."""
    row = connection.execute(select(_passkeys).where(_passkeys.c.id == passkey_id)).one_or_none()
    return None if row is None else _passkey(row)


def load_passkeys(connection: Connection, person: PersonId) -> tuple[Passkey, ...]:
    """A person's passkeys, the oldest first."""
    query = select(_passkeys).where(_passkeys.c.person == person).order_by(_passkeys.c.created_at, _passkeys.c.id)
    return tuple(_passkey(row) for row in connection.execute(query))


def mark_passkey_used(connection: Connection, passkey_id: str, sign_count: int, now: float) -> None:
    """The passkey was used now, and counts this far."""
    connection.execute(
        update(_passkeys).where(_passkeys.c.id == passkey_id).values(sign_count=sign_count, last_used_at=now)
    )


def rename_passkey(connection: Connection, passkey_id: str, person: PersonId, name: str) -> bool:
    """Rename a passkey of this person; False if they have none of this id."""
    own = (_passkeys.c.id == passkey_id) & (_passkeys.c.person == person)
    return connection.execute(update(_passkeys).where(own).values(name=name)).rowcount == 1


def delete_passkey(connection: Connection, passkey_id: str, person: PersonId) -> bool:
    """Forget a passkey of this person; False if they have none of this id."""
    own = (_passkeys.c.id == passkey_id) & (_passkeys.c.person == person)
    return connection.execute(delete(_passkeys).where(own)).rowcount == 1


def has_identity(connection: Connection, person: PersonId) -> bool:
    """Whether a provider or a trusted issuer knows this person."""
    query = select(_identities.c.subject).where(_identities.c.person == person).limit(1)
    return connection.execute(query).first() is not None


def use_once(connection: Connection, once: Once) -> bool:
    """Use a value up; False if it was used before. A clash that is seen only by the database is its IntegrityError."""
    if connection.execute(select(_used_once.c.key).where(_used_once.c.key == once.key)).first() is not None:
        return False
    connection.execute(insert(_used_once).values(key=once.key, expires_at=once.expires_at))
    return True


def _select_sessions() -> Select[tuple[object, ...]]:
    own = (column.label(f"session_{column.name}") for column in _sessions.c if column.name != "token_hash")
    return select(*own, _people).join(_people, _people.c.id == _sessions.c.person)


def _session(row: Row[tuple[object, ...]]) -> Session:
    return Session(
        id=SessionId(row.session_id),
        person=_person(row),
        created_at=row.session_created_at,
        last_seen_at=row.session_last_seen_at,
        expires_at=row.session_expires_at,
        authentication=row.session_authentication,
        acr=row.session_acr,
        amr=msgspec.json.decode(row.session_amr, type=tuple[str, ...]),
        auth_time=row.session_auth_time,
        user_agent=row.session_user_agent,
    )


def _passkey(row: Row[tuple[object, ...]]) -> Passkey:
    return Passkey(
        id=row.id,
        person=PersonId(row.person),
        name=row.name,
        public_key=row.public_key,
        sign_count=row.sign_count,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )


def _person(row: Row[tuple[object, ...]]) -> Person:
    given = msgspec.json.decode(row.roles, type=tuple[str, ...])
    mapped = msgspec.json.decode(row.mapped_roles, type=tuple[str, ...])
    return Person(
        id=PersonId(row.id),
        email=row.email,
        name=row.name,
        roles=given + tuple(role for role in mapped if role not in given),
        created_at=row.created_at,
        mapped_roles=mapped,
    )


def _texts(values: tuple[str, ...]) -> str:
    return msgspec.json.encode(values).decode()
