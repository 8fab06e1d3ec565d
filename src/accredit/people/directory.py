"""The directory of people: who owns agents, and who runs the installation.

An address is compared in lower case and without surrounding space, so that one person is not two.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence

from accredit.audit.event import Actor, AuditEvent, management_event
from accredit.audit.group import record
from accredit.clock import Clock, rfc3339
from accredit.errors import Conflict, InputRefused, NotFound
from accredit.ids import EventId, NewId, PersonId
from accredit.people.model import CHANGE, Person, WaysIn
from accredit.people.store import (
    insert_person,
    load_people_after,
    load_people_in_role,
    load_person,
    load_person_by_email,
    load_person_named,
    load_ways_in,
    update_own_roles,
)
from accredit.storage.feed import Feed
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

CACHE_LIMIT = 10_000
ADMINISTRATOR = "administrator"
LOCAL_ADMINISTRATOR_EMAIL = "admin@localhost"
ROLE = r"^[a-z][a-z0-9-]{0,62}$"
ROLES_A_PERSON = 64
_EMAIL_LIMIT = 254  # RFC 5321 §4.5.3.1.3: a path of 256 octets, less its brackets


class LastAdministrator(Conflict):
    """Without this person nobody could open the console as an administrator any more."""

    code = "last_administrator"


class People:
    """Find people, and make those who are named for the first time."""

    def __init__(self, transactions: Transactions, feed: Feed, clock: Clock, new_id: NewId) -> None:
        self._transactions = transactions
        self._feed = feed
        self._clock = clock
        self._new_id = new_id
        self._cache: OrderedDict[str, Person] = OrderedDict()
        feed.subscribe(CHANGE, self._forget)

    def ensure(self, tx: Tx, email: str, name: str = "", roles: tuple[str, ...] = ()) -> Person:
        """The person of this address, made in this transaction if there is none; one who exists is left as they are.

        Writes no event of its own: the event of the caller's change names the person. Raises InputRefused for
        what cannot be an address.
        """
        email = normal_email(email)
        if (known := load_person_by_email(tx.connection, email)) is not None:
            return known
        person = Person(
            id=PersonId(self._new_id("per")), email=email, name=name, roles=roles, created_at=self._clock.seconds()
        )
        insert_person(tx.connection, person)
        return person

    async def invite(self, email: str, actor: Actor) -> Person:
        """The person of this address, made, with an event, if there is none: they can be given a link to sign in.

        Raises InputRefused for what cannot be an address, and Unavailable.
        """

        def write(tx: Tx) -> Person:
            known = load_person_by_email(tx.connection, normal_email(email))
            if known is not None:
                return known
            person = self.ensure(tx, email)
            record(tx, management_event("person.created", actor, self._clock, self._new_id, resource=person.id))
            return person

        person, _ = await self._transactions.change(write)
        return person

    async def get(self, person: PersonId) -> Person | None:
        """The person of this id: from memory as long as the change feed is heard, else from the database.

        Raises Unavailable.
        """
        if not self._feed.is_stale() and (known := self._cache.get(person)) is not None:
            return known
        # The number is read before the row: a change in between makes the row too new, never too old.
        before = self._feed.applied
        found = await self._transactions.read(lambda c: load_person(c, person))
        if found is not None and before == self._feed.applied:
            self._cache[person] = found
            while len(self._cache) > CACHE_LIMIT:
                self._cache.popitem(last=False)
        return found

    async def by_email(self, email: str) -> Person | None:
        """The person of this address. Raises Unavailable."""
        normal = email.strip().lower()
        return await self._transactions.read(lambda c: load_person_by_email(c, normal))

    async def named(self, name: str) -> Person:
        """The person of this id or address. Raises NotFound, Unavailable."""
        return _found(await self._transactions.read(lambda c: load_person_named(c, name)))

    async def list(self, after: str, limit: int) -> Sequence[Person]:
        """People by address, those after `after`. Raises Unavailable."""
        return await self._transactions.read(lambda c: load_people_after(c, after, limit))

    async def ways_in(self, people: Sequence[Person]) -> dict[PersonId, WaysIn]:
        """How each of these people can sign in, beside a one-time link. Raises Unavailable."""
        return await self._transactions.read(lambda c: load_ways_in(c, [person.id for person in people]))

    async def set_roles(self, name: str, roles: Sequence[str], actor: Actor) -> Person:
        """Give a person, by id or address, these roles in the place of those given here; a group's roles stay.

        Raises InputRefused for what cannot be a role, NotFound, LastAdministrator, Unavailable.
        """
        given = tuple(dict.fromkeys(roles))
        if len(given) > ROLES_A_PERSON or not all(re.fullmatch(ROLE, role) for role in given):
            raise InputRefused(
                f"roles must be at most {ROLES_A_PERSON} words of a-z, 0-9 and -", next_step="for example delegator"
            )

        def write(tx: Tx) -> Person:
            person = _found(load_person_named(tx.connection, name))
            if ADMINISTRATOR not in (*given, *person.mapped_roles):
                _check_not_the_last(tx, person)
            update_own_roles(tx, person, given)
            reason = f"roles that are given here: {', '.join(given) or 'none'}"
            record(
                tx,
                management_event(
                    "person.roles_changed", actor, self._clock, self._new_id, resource=person.id, reason=reason
                ),
            )
            return load_person(tx.connection, person.id) or person

        person, _ = await self._transactions.change(write)
        return person

    async def administrator(self) -> Person:
        """The one local administrator, made, with an event, at first start. Raises Unavailable."""
        known = await self.by_email(LOCAL_ADMINISTRATOR_EMAIL)
        if known is not None:
            return known
        person, _ = await self._transactions.change(self._make_administrator)
        return person

    def _forget(self, person: str) -> None:
        self._cache.pop(person, None)

    def _make_administrator(self, tx: Tx) -> Person:
        # Asked again inside the transaction: another process may have been first.
        known = load_person_by_email(tx.connection, LOCAL_ADMINISTRATOR_EMAIL)
        if known is not None:
            return known
        person = self.ensure(tx, LOCAL_ADMINISTRATOR_EMAIL, "Administrator", (ADMINISTRATOR,))
        event = AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type="person.created",
            person=person.id,
            action="person.created",
            resource=person.id,
            reason="the local administrator, at first start",
            outcome="ok",
        )
        record(tx, event)
        return person


def _found(person: Person | None) -> Person:
    if person is None:
        raise NotFound(
            "there is no person of this address",
            next_step="`accredit person list` shows who there is; `accredit person link EMAIL` invites somebody",
        )
    return person


def _check_not_the_last(tx: Tx, person: Person) -> None:
    administrators = [one.id for one in load_people_in_role(tx.connection, ADMINISTRATOR)]
    if administrators == [person.id]:
        raise LastAdministrator(
            "this is the last administrator, so the role was not taken away",
            next_step="give it to somebody else first",
        )


def normal_email(email: str) -> str:
    """The one spelling under which an address is stored. Raises InputRefused for what cannot be an address."""
    normal = email.strip().lower()
    local, at, domain = normal.rpartition("@")
    if not (local and at and domain) or len(normal) > _EMAIL_LIMIT or not normal.isprintable() or " " in normal:
        raise InputRefused("this is not an e-mail address", next_step="give one such as ana@example.com")
    return normal
