"""A person's passkeys: sign in with one, add, rename and remove them. There are no passwords."""

import asyncio

from accredit.audit.event import AuditEvent
from accredit.audit.group import record
from accredit.clock import Clock, rfc3339
from accredit.errors import Conflict, InputRefused, NotFound
from accredit.ids import EventId, NewId
from accredit.keys.seal import Sealer
from accredit.people.ceremonies import Assertion, Ceremony, NewCredential, PasskeyRefused, RelyingParty
from accredit.people.directory import ADMINISTRATOR
from accredit.people.model import Passkey, Person, Session
from accredit.people.sessions import Sessions
from accredit.people.store import (
    delete_passkey,
    has_identity,
    insert_passkey,
    load_passkey,
    load_passkeys,
    load_person,
    mark_passkey_used,
    rename_passkey,
    use_once,
)
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Once, Tx

AUTHENTICATION = "passkey"
PASSKEYS_A_PERSON = 10
NAME_LIMIT = 60
# OpenID Connect EAP ACR Values §4: resistant to phishing. RFC 8176 §2: a key, a person there, two factors.
ACR = "phr"
AMR = ("pop", "user", "mfa")


class TooManyPasskeys(Conflict):
    """A person has at most ten."""

    code = "too_many_passkeys"


class LastPasskey(Conflict):
    """Without it the person could not sign in any more."""

    code = "last_passkey"


class Passkeys:
    """Keeps passkeys and turns a proof of one into a session. `issuer` is our own address."""

    def __init__(
        self,
        transactions: Transactions,
        sessions: Sessions,
        clock: Clock,
        new_id: NewId,
        sealer: Sealer,
        issuer: str,
    ) -> None:
        self._transactions = transactions
        self._sessions = sessions
        self._clock = clock
        self._new_id = new_id
        self._relying_party = RelyingParty(issuer, sealer, clock)

    def begin_sign_in(self) -> Ceremony:
        """The first half of signing in. Nothing is written."""
        return self._relying_party.begin_authentication()

    async def sign_in(self, response: str, sealed: str, *, user_agent: str = "") -> tuple[Session, str]:
        """Turn the browser's answer into a session; returns it with the cookie's value, which is stored nowhere.

        Raises PasskeyRefused, after recording that, and Unavailable.
        """
        assertion = self._relying_party.read_assertion(response)
        passkey = await self._transactions.read(lambda c: load_passkey(c, assertion.credential_id))
        if passkey is None:
            raise await self._refuse("there is no such passkey", None)
        try:
            count, once = await asyncio.to_thread(self._relying_party.check_assertion, assertion, passkey, sealed)
        except PasskeyRefused as error:
            raise await self._refuse("the passkey's answer does not hold", passkey, error.detail) from error
        return await self._use(assertion, count, once, user_agent)

    async def begin_adding(self, session: Session) -> Ceremony:
        """The first half of adding a passkey, which only this session can complete.

        Raises TooManyPasskeys, Unavailable.
        """
        known = await self.list(session.person)
        _check_room(len(known))
        return self._relying_party.begin_registration(session.person, known, session.id)

    async def add(self, session: Session, response: str, sealed: str, name: str) -> None:
        """Keep the passkey that the browser made.

        Raises PasskeyRefused, TooManyPasskeys, InputRefused for its name, Conflict if it is known here, Unavailable.
        """
        name = normal_name(name)
        made = await asyncio.to_thread(self._relying_party.check_registration, response, sealed, session.id)
        await self._transactions.change(lambda tx: self._keep(tx, session, made, name))

    async def list(self, person: Person) -> tuple[Passkey, ...]:
        """A person's passkeys, the oldest first. Raises Unavailable."""
        return await self._transactions.read(lambda c: load_passkeys(c, person.id))

    async def rename(self, session: Session, passkey_id: str, name: str) -> None:
        """Give one of one's own passkeys another name. Raises InputRefused, NotFound, Unavailable."""
        name = normal_name(name)

        def write(tx: Tx) -> None:
            if not rename_passkey(tx.connection, passkey_id, session.person.id, name):
                raise _no_such_passkey()
            self._record(tx, "passkey.renamed", session, passkey_id)

        await self._transactions.change(write)

    async def remove(self, session: Session, passkey_id: str) -> None:
        """Forget one of one's own passkeys. Raises NotFound, LastPasskey, Unavailable."""

        def write(tx: Tx) -> None:
            if not delete_passkey(tx.connection, passkey_id, session.person.id):
                raise _no_such_passkey()
            if not _has_a_way_in(tx, session.person):
                raise LastPasskey(
                    "this is your only way to sign in, so it was not removed",
                    next_step="add another passkey first",
                )
            self._record(tx, "passkey.removed", session, passkey_id)

        await self._transactions.change(write)

    async def _use(self, assertion: Assertion, count: int, once: Once, user_agent: str) -> tuple[Session, str]:
        def write(tx: Tx) -> tuple[Session, str] | str:
            # Read again: it can have been removed, or used, since it was checked.
            passkey = load_passkey(tx.connection, assertion.credential_id)
            person = None if passkey is None else load_person(tx.connection, passkey.person)
            if passkey is None or person is None:
                reason = "there is no such passkey"
            elif not use_once(tx.connection, once):
                reason = "this challenge was used before"
            elif not _counts_up(passkey.sign_count, count):
                reason = "the passkey's counter went back: it may have been copied"
            else:
                mark_passkey_used(tx.connection, passkey.id, count, self._clock.seconds())
                started = self._sessions.start_in(
                    tx, person, authentication=AUTHENTICATION, acr=ACR, amr=AMR, user_agent=user_agent
                )
                self._record(tx, "passkey.used", started[0], passkey.id)
                return started
            # Returned, not raised: what is raised undoes the transaction, and its event with it.
            self._record_refusal(tx, reason, passkey)
            return reason

        started, recorded = await self._transactions.change(write)
        if isinstance(started, str):
            raise _refused(recorded.seq, started)
        return started

    def _keep(self, tx: Tx, session: Session, made: NewCredential, name: str) -> None:
        _check_room(len(load_passkeys(tx.connection, session.person.id)))
        if not use_once(tx.connection, made.once):
            raise PasskeyRefused("this answer was used before", next_step="begin again from the page")
        if load_passkey(tx.connection, made.id) is not None:
            raise Conflict("this passkey is known here already", next_step="choose another device or key")
        passkey = Passkey(
            id=made.id,
            person=session.person.id,
            name=name,
            public_key=made.public_key,
            sign_count=made.sign_count,
            created_at=self._clock.seconds(),
            last_used_at=None,
        )
        insert_passkey(tx.connection, passkey)
        self._record(tx, "passkey.added", session, passkey.id)

    async def _refuse(self, reason: str, passkey: Passkey | None, detail: str = "") -> PasskeyRefused:
        _, recorded = await self._transactions.change(lambda tx: self._record_refusal(tx, reason, passkey))
        return _refused(recorded.seq, detail or reason)

    def _record(self, tx: Tx, kind: str, session: Session, passkey_id: str) -> None:
        event = AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type=kind,
            authentication=session.authentication,
            session=session.id,
            person=session.person.id,
            action=kind,
            resource=passkey_id,
            outcome="ok",
        )
        record(tx, event)

    def _record_refusal(self, tx: Tx, reason: str, passkey: Passkey | None) -> None:
        event = AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type="session.refused",
            authentication=AUTHENTICATION,
            # Whose passkey was shown, not who was there: that was not proved.
            resource=None if passkey is None else passkey.id,
            action="session.refused",
            reason=reason,
            outcome="refused",
        )
        record(tx, event)


def normal_name(name: str) -> str:
    """A passkey's name without space around it. Raises InputRefused for an empty, a long or an unprintable one."""
    normal = " ".join(name.split())
    if not normal or len(normal) > NAME_LIMIT or not normal.isprintable():
        raise InputRefused(
            f"a passkey's name has 1 to {NAME_LIMIT} printable characters", next_step="give it a shorter one"
        )
    return normal


def _counts_up(before: int, now: int) -> bool:
    """Web Authentication §7.2 step 22: both are 0 where an authenticator does not count."""
    return now > before or now == before == 0


def _check_room(count: int) -> None:
    if count >= PASSKEYS_A_PERSON:
        raise TooManyPasskeys(f"you have {PASSKEYS_A_PERSON} passkeys already", next_step="remove one first")


def _has_a_way_in(tx: Tx, person: Person) -> bool:
    """Another passkey, a provider that knows the person, or the administrator's link."""
    return (
        ADMINISTRATOR in person.roles
        or bool(load_passkeys(tx.connection, person.id))
        or has_identity(tx.connection, person.id)
    )


def _no_such_passkey() -> NotFound:
    return NotFound("you have no such passkey", next_step="reload the page: it may have been removed")


def _refused(event: int, detail: str) -> PasskeyRefused:
    return PasskeyRefused(
        "this passkey does not sign you in",
        next_step="try again, or use another way",
        detail=detail,
        event=event,
    )
