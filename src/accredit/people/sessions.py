"""Who is signed in to the console: one-time links and sessions.

Both are random values of 256 bits of which only the SHA-256 is stored, so a copy of the database signs nobody in;
a slow hash would add nothing to values that nobody can guess.
"""

import hashlib
import secrets

from accredit.audit.event import AuditEvent
from accredit.audit.group import record
from accredit.canonical import base64url
from accredit.clock import Clock, rfc3339
from accredit.errors import NotAuthenticated
from accredit.ids import EventId, NewId, PersonId, SessionId
from accredit.people.model import Person, Session
from accredit.people.store import (
    delete_expired,
    delete_session,
    insert_link,
    insert_session,
    load_session,
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


class SignInRefused(NotAuthenticated):
    """The link was used before, is too old, or never was; which of them is not said."""

    code = "sign_in_refused"


class Sessions:
    """Makes links, turns each into one session, and says who a cookie stands for."""

    def __init__(self, transactions: Transactions, clock: Clock, new_id: NewId) -> None:
        self._transactions = transactions
        self._clock = clock
        self._new_id = new_id

    async def new_link(self, person: Person) -> str:
        """Make a one-time token, valid for 15 minutes, and return it: it is shown once and stored nowhere.

        Raises Unavailable.
        """
        token = _new_token()

        def write(tx: Tx) -> None:
            now = self._clock.seconds()
            delete_expired(tx.connection, now)
            insert_link(tx.connection, _hash(token), person.id, now + LINK_SECONDS)
            self._record(tx, "sign_in_link.created", person=person.id)

        await self._transactions.change(write)
        return token

    async def redeem(self, token: str) -> tuple[Session, str]:
        """Turn a link's token into a session; returns it with the cookie's value, which is stored nowhere.

        The link is deleted in the same transaction, so of two who use it at once one is refused. Raises
        SignInRefused, after recording that, and Unavailable.
        """
        cookie_token = _new_token()

        def write(tx: Tx) -> Session | None:
            now = self._clock.seconds()
            person = take_link(tx.connection, _hash(token), now)
            delete_expired(tx.connection, now)
            if person is None:
                # Returned, not raised: what is raised undoes the transaction, and its event with it.
                self._record(tx, "session.refused", reason="the link was used before, is too old, or never was")
                return None
            session = Session(
                id=SessionId(self._new_id("ses")), person=person, created_at=now, expires_at=now + SESSION_SECONDS
            )
            insert_session(tx.connection, session, _hash(cookie_token))
            self._record(tx, "session.started", person=person.id, session=session.id)
            return session

        session, recorded = await self._transactions.change(write)
        if session is None:
            raise SignInRefused(
                "this link was used before, or its 15 minutes are over",
                next_step="`accredit init --link` on the server's machine makes another",
                event=recorded.seq,
            )
        return session, cookie_token

    async def find(self, cookie_token: str, *, active: bool = True) -> Session | None:
        """The session of this cookie, unless it ended, is 12 hours old, or was not used for 30 minutes.

        `active` is False for what a page asks by itself: it does not count as use. Raises Unavailable.
        """
        token_hash = _hash(cookie_token)
        seen = await self._transactions.read(lambda c: load_session(c, token_hash))
        now = self._clock.seconds()
        if seen is None or now >= seen.session.expires_at or now - seen.last_seen_at >= IDLE_SECONDS:
            return None
        if active and now - seen.last_seen_at >= _SEEN_SECONDS:
            await self._transactions.change(lambda tx: mark_seen(tx.connection, seen.session.id, now))
        return seen.session

    async def end(self, session: Session) -> None:
        """Sign out. One that ended before stays ended, without a second event. Raises Unavailable."""

        def write(tx: Tx) -> None:
            if delete_session(tx.connection, session.id):
                self._record(tx, "session.ended", person=session.person.id, session=session.id)

        await self._transactions.change(write)

    def _record(
        self,
        tx: Tx,
        kind: str,
        *,
        person: PersonId | None = None,
        session: SessionId | None = None,
        reason: str | None = None,
    ) -> None:
        event = AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type=kind,
            # Who makes a link has the data folder, and proved nothing here.
            authentication=None if kind == "sign_in_link.created" else AUTHENTICATION,
            session=session,
            person=person,
            action=kind,
            reason=reason,
            outcome="refused" if reason else "ok",
        )
        record(tx, event)


def _new_token() -> str:
    return base64url(secrets.token_bytes(_TOKEN_BYTES))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
