"""Who is signed in to the console: one-time links and sessions.

Both are random values of 256 bits of which only the SHA-256 is stored, so a copy of the database signs nobody in;
a slow hash would add nothing to values that nobody can guess.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterable

from accredit.audit.event import Actor, AuditEvent
from accredit.audit.group import record
from accredit.canonical import base64url
from accredit.clock import Clock, rfc3339
from accredit.errors import NotAuthenticated, NotFound
from accredit.ids import EventId, NewId, SessionId
from accredit.people.model import Person, Session
from accredit.people.store import (
    delete_expired,
    delete_session,
    insert_link,
    insert_session,
    load_session,
    load_sessions,
    mark_seen,
    take_link,
)
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

LINK_SECONDS = 15 * 60
IDLE_SECONDS = 30 * 60
SESSION_SECONDS = 12 * 60 * 60
AUTHENTICATION = "sign_in_link"

_TOKEN_BYTES = 32
# A page is not a reason to write: the mark of the last use may lag by this much.
_SEEN_SECONDS = 60.0
_USER_AGENT_LIMIT = 256

OnEnd = Callable[[Tx, Session], None]
"""Told of each session that a person ends, in the transaction that ends it: clients must hear of it."""


class SignInRefused(NotAuthenticated):
    """The link was used before, is too old, or never was; which of them is not said."""

    code = "sign_in_refused"


class Sessions:
    """Makes links, turns each into one session, and says who a cookie stands for."""

    def __init__(self, transactions: Transactions, clock: Clock, new_id: NewId, on_end: tuple[OnEnd, ...] = ()) -> None:
        self._transactions = transactions
        self._clock = clock
        self._new_id = new_id
        self._on_end = on_end

    async def new_link(self, person: Person, actor: Actor | None = None) -> str:
        """Make a one-time token, valid for 15 minutes, and return it: it is shown once and stored nowhere.

        `actor` makes it for this person; None is whoever has the data folder. Raises Unavailable.
        """
        token = _new_token()

        def write(tx: Tx) -> None:
            now = self._clock.seconds()
            delete_expired(tx.connection, now)
            insert_link(tx.connection, _hash(token), person.id, now + LINK_SECONDS)
            self._record(
                tx,
                "sign_in_link.created",
                # Who has the data folder proved nothing here.
                authentication=None if actor is None else actor.authentication,
                person=person.id if actor is None else actor.person,
                resource=person.id,
            )

        await self._transactions.change(write)
        return token

    async def redeem(self, token: str, *, user_agent: str = "") -> tuple[Session, str]:
        """Turn a link's token into a session; returns it with the cookie's value, which is stored nowhere.

        The link is deleted in the same transaction, so of two who use it at once one is refused. Raises
        SignInRefused, after recording that, and Unavailable.
        """

        def write(tx: Tx) -> tuple[Session, str] | None:
            person = take_link(tx.connection, _hash(token), self._clock.seconds())
            if person is None:
                # Returned, not raised: what is raised undoes the transaction, and its event with it.
                reason = "the link was used before, is too old, or never was"
                self._record(tx, "session.refused", authentication=AUTHENTICATION, reason=reason, outcome="refused")
                return None
            return self.start_in(tx, person, authentication=AUTHENTICATION, user_agent=user_agent)

        started, recorded = await self._transactions.change(write)
        if started is None:
            raise SignInRefused(
                "this link was used before, or its 15 minutes are over",
                next_step="ask an administrator for another; `accredit init --link` makes one for the administrator",
                event=recorded.seq,
            )
        return started

    async def start(
        self,
        person: Person,
        *,
        authentication: str,
        acr: str = "",
        amr: tuple[str, ...] = (),
        user_agent: str = "",
        auth_time: float | None = None,
    ) -> tuple[Session, str]:
        """Begin a session of somebody who has just proved who they are; see `start_in`. Raises Unavailable."""
        started, _ = await self._transactions.change(
            lambda tx: self.start_in(
                tx, person, authentication=authentication, acr=acr, amr=amr, user_agent=user_agent, auth_time=auth_time
            )
        )
        return started

    def start_in(
        self,
        tx: Tx,
        person: Person,
        *,
        authentication: str,
        acr: str = "",
        amr: tuple[str, ...] = (),
        user_agent: str = "",
        auth_time: float | None = None,
    ) -> tuple[Session, str]:
        """Begin a session in the caller's transaction; returns it with the cookie's value, which is stored nowhere.

        The value is always a new one, so a cookie that was planted before a sign-in is worth nothing after it.
        `auth_time` is in seconds since 1970, now if None; one in the future counts as now.
        """
        now = self._clock.seconds()
        delete_expired(tx.connection, now)
        session = Session(
            id=SessionId(self._new_id("ses")),
            person=person,
            created_at=now,
            last_seen_at=now,
            expires_at=now + SESSION_SECONDS,
            authentication=authentication,
            acr=acr,
            amr=amr,
            auth_time=now if auth_time is None else min(auth_time, now),
            user_agent=user_agent[:_USER_AGENT_LIMIT],
        )
        cookie_token = _new_token()
        insert_session(tx.connection, session, _hash(cookie_token))
        self._record(tx, "session.started", authentication=authentication, person=person.id, session=session.id)
        return session, cookie_token

    async def find(self, cookie_token: str, *, active: bool = True) -> Session | None:
        """The session of this cookie, unless it ended, is 12 hours old, or was not used for 30 minutes.

        `active` is False for what a page asks by itself: it does not count as use. Raises Unavailable.
        """
        token_hash = _hash(cookie_token)
        session = await self._transactions.read(lambda c: load_session(c, token_hash))
        now = self._clock.seconds()
        if session is None or not _is_live(session, now):
            return None
        if active and now - session.last_seen_at >= _SEEN_SECONDS:
            await self._transactions.change(lambda tx: mark_seen(tx.connection, session.id, now))
        return session

    async def list(self, person: Person) -> tuple[Session, ...]:
        """A person's sessions, the last used first. Raises Unavailable."""
        sessions = await self._transactions.read(lambda c: load_sessions(c, person.id))
        now = self._clock.seconds()
        return tuple(session for session in sessions if _is_live(session, now))

    async def end(self, session: Session) -> None:
        """Sign out. One that ended before stays ended, without a second event. Raises Unavailable."""
        await self._transactions.change(lambda tx: self._end_in(tx, (session,)))

    async def end_by_id(self, person: Person, session_id: str) -> None:
        """End one of this person's sessions. Raises NotFound if they have none of this id, and Unavailable."""

        def write(tx: Tx) -> None:
            own = [one for one in load_sessions(tx.connection, person.id) if one.id == session_id]
            if not own:
                raise NotFound("you have no such session", next_step="reload the page: it may have ended by itself")
            self._end_in(tx, own)

        await self._transactions.change(write)

    async def end_others(self, session: Session) -> None:
        """End every session of this person but this one. Raises Unavailable."""
        await self._transactions.change(
            lambda tx: self._end_in(
                tx, [one for one in load_sessions(tx.connection, session.person.id) if one.id != session.id]
            )
        )

    async def end_all(self, person: Person) -> None:
        """End every session of this person. Raises Unavailable."""
        await self._transactions.change(lambda tx: self.end_all_in(tx, person))

    def end_all_in(self, tx: Tx, person: Person) -> None:
        """The same in the caller's transaction."""
        self._end_in(tx, load_sessions(tx.connection, person.id))

    def _end_in(self, tx: Tx, sessions: Iterable[Session]) -> None:
        for session in sessions:
            if delete_session(tx.connection, session.id):
                self._record(
                    tx,
                    "session.ended",
                    authentication=session.authentication,
                    person=session.person.id,
                    session=session.id,
                )
                for tell in self._on_end:
                    tell(tx, session)

    def _record(self, tx: Tx, kind: str, *, outcome: str = "ok", **members: str | None) -> None:
        event = AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type=kind,
            action=kind,
            outcome=outcome,
            **members,  # type: ignore[arg-type]  # the names are AuditEvent's own, and msgspec checks them
        )
        record(tx, event)


def _is_live(session: Session, now: float) -> bool:
    return now < session.expires_at and now - session.last_seen_at < IDLE_SECONDS


def _new_token() -> str:
    return base64url(secrets.token_bytes(_TOKEN_BYTES))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
