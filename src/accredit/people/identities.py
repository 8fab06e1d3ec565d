"""Who somebody is elsewhere → who they are here: one person for each issuer and subject, found or made at sign-on.

An address alone finds nobody, unless the provider has proven it (see `Identity`): elsewhere people can give themselves
any address, and would be taken for its owner here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from accredit.audit.event import Actor, AuditEvent, management_event
from accredit.audit.group import record
from accredit.clock import Clock, rfc3339
from accredit.errors import Conflict, NotAuthenticated, NotFound
from accredit.ids import EventId, NewId, PersonId
from accredit.people.directory import normal_email
from accredit.people.model import KnownAs, Person
from accredit.people.store import (
    delete_identity,
    insert_identity,
    insert_person,
    load_identities,
    load_identity,
    load_person,
    load_person_by_email,
    update_from_provider,
)
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Once, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person as a provider vouches for them.

    `email_is_proven`: the provider verified the address and is authoritative for its domain, so it finds the person of
    that address. `create`: one who is not known may be made, if the address is proven. `roles` are those that the
    groups give now. `authentication`: `oidc:NAME` or `saml:NAME`.
    """

    issuer: str
    subject: str
    email: str | None
    email_is_proven: bool
    name: str
    roles: tuple[str, ...]
    authentication: str
    create: bool


class UnknownIdentity(NotAuthenticated):
    """The provider vouches for somebody who is nobody here, and is not to be made."""

    code = "unknown_identity"


class Identities:
    """Signs people on by what a provider vouches for."""

    def __init__(self, transactions: Transactions, clock: Clock, new_id: NewId) -> None:
        self._transactions = transactions
        self._clock = clock
        self._new_id = new_id

    async def sign_on(self, identity: Identity, once: tuple[Once, ...] = ()) -> Person:
        """The person of this identity, found or made, with the roles that their groups give now.

        `once` is used up in the same transaction. Raises UsedBefore; UnknownIdentity, after recording that;
        Unavailable.
        """

        def write(tx: Tx) -> Person | str:
            for one in once:
                tx.use(one)
            found = self._find_or_make(tx, identity)
            if isinstance(found, str):
                # Returned, not raised: what is raised undoes the transaction, and its event with it.
                self._record(tx, "session.refused", identity, reason=found, outcome="refused")
                return found
            return self._take_over(tx, found, identity)

        found, recorded = await self._transactions.change(write)
        if isinstance(found, str):
            # What exactly is missing is for the event: a stranger learns nothing of who is here.
            raise UnknownIdentity(
                "you signed in at the provider, but you have no account here",
                next_step="ask an administrator, and name the event",
                detail=found,
                event=recorded.seq,
            )
        return found

    async def vouched_for(self, identity: Identity) -> Person:
        """The person of this identity, found or made as at a sign-on; but nobody signs on, so nothing of them changes.

        Only one who is made is given `roles`. Raises UnknownIdentity, after recording that; Unavailable.
        """
        known = await self._transactions.read(lambda c: load_identity(c, identity.issuer, identity.subject))
        if known is not None:
            return known

        def write(tx: Tx) -> Person | str:
            is_new = identity.email is not None and load_person_by_email(tx.connection, identity.email) is None
            found = self._find_or_make(tx, identity)
            if isinstance(found, str):
                self._record(tx, "identity.refused", identity, reason=found, outcome="refused")
                return found
            if is_new and not found.roles and identity.roles:
                found = replace(found, roles=identity.roles, mapped_roles=identity.roles)
                update_from_provider(tx, found)
                reason = f"roles that were given: {', '.join(identity.roles)}"
                self._record(tx, "person.roles_given", identity, person=found.id, reason=reason)
            return found

        found, recorded = await self._transactions.change(write)
        if isinstance(found, str):
            raise UnknownIdentity(found, next_step="ask an administrator, and name the event", event=recorded.seq)
        return found

    async def refuse(self, authentication: str, reason: str) -> int:
        """Record that a provider's answer was refused; returns the event's number. Raises Unavailable."""

        def write(tx: Tx) -> None:
            event = self._event("session.refused", authentication, reason=reason, outcome="refused")
            record(tx, event)

        _, recorded = await self._transactions.change(write)
        return recorded.seq

    async def link(self, issuer: str, subject: str, email: str, actor: Actor) -> Person:
        """Have a subject of an issuer sign on as the person of this address, by an administrator's word.

        Raises NotFound if there is no such person, Conflict if the subject is somebody already, and Unavailable.
        """
        address = normal_email(email)

        def write(tx: Tx) -> Person:
            person = load_person_by_email(tx.connection, address)
            if person is None:
                raise NotFound("there is no person of this address", next_step="see the owners of agents")
            if load_identity(tx.connection, issuer, subject) is not None:
                raise Conflict("this subject signs on as somebody already")
            insert_identity(tx.connection, issuer, subject, person.id, self._clock.seconds())
            # The subject belongs in the log: it is what an auditor compares with the provider's own.
            where = f"{issuer} {subject}"
            event = management_event("identity.linked", actor, self._clock, self._new_id, resource=where)
            record(tx, event)
            return person

        person, _ = await self._transactions.change(write)
        return person

    async def of_person(self, person: PersonId) -> list[KnownAs]:
        """As whom providers and trusted issuers know a person, the oldest first. Raises Unavailable."""
        return await self._transactions.read(lambda c: load_identities(c, (person,)))

    async def unlink(
        self, person: Person, issuer: str, subject: str, actor: Actor, also: Callable[[Tx, Person], None]
    ) -> None:
        """Have a subject of an issuer sign on as this person no more; `also` happens in the same transaction.

        Raises NotFound if it is not this person, and Unavailable.
        """

        def write(tx: Tx) -> None:
            if not delete_identity(tx.connection, issuer, subject, person.id):
                raise NotFound(
                    "this person is not known by that subject", next_step="`accredit person identities` shows as whom"
                )
            also(tx, person)
            event = management_event(
                "identity.unlinked",
                actor,
                self._clock,
                self._new_id,
                resource=f"{issuer} {subject}",
                reason=f"it was {person.id}",
            )
            record(tx, event)

        await self._transactions.change(write)

    def _find_or_make(self, tx: Tx, identity: Identity) -> Person | str:
        known = load_identity(tx.connection, identity.issuer, identity.subject)
        if known is not None:
            return known
        if identity.email is None or not identity.email_is_proven:
            return "nobody here has this identity, and the provider does not prove an e-mail address"
        person = load_person_by_email(tx.connection, identity.email)
        if person is None and not identity.create:
            return "nobody here has this identity, and accounts are not made at the first sign-on"
        if person is None:
            person = self._make(tx, identity, identity.email)
        insert_identity(tx.connection, identity.issuer, identity.subject, person.id, self._clock.seconds())
        self._record(tx, "identity.linked", identity, person=person.id)
        return person

    def _make(self, tx: Tx, identity: Identity, email: str) -> Person:
        person = Person(
            id=PersonId(self._new_id("per")),
            email=email,
            name=identity.name,
            roles=(),
            created_at=self._clock.seconds(),
        )
        insert_person(tx.connection, person)
        self._record(tx, "person.created", identity, person=person.id)
        return person

    def _take_over(self, tx: Tx, person: Person, identity: Identity) -> Person:
        """What the provider says now takes the place of what it said at the last sign-on; our own roles stay."""
        name = person.name or identity.name
        reason = None
        if set(person.mapped_roles) != set(identity.roles):
            reason = f"roles that groups give: {', '.join(identity.roles) or 'none'}"
        if reason is not None or name != person.name:
            update_from_provider(tx, replace(person, name=name, mapped_roles=identity.roles))
        self._record(tx, "person.signed_on", identity, person=person.id, reason=reason)
        # Read again: a role that was given here too is there whether a group gives it or not.
        return load_person(tx.connection, person.id) or person

    def _record(
        self,
        tx: Tx,
        kind: str,
        identity: Identity,
        *,
        person: PersonId | None = None,
        reason: str | None = None,
        outcome: str = "ok",
    ) -> None:
        resource = f"{identity.issuer} {identity.subject}"
        event = self._event(
            kind, identity.authentication, person=person, reason=reason, outcome=outcome, resource=resource
        )
        record(tx, event)

    def _event(self, kind: str, authentication: str, *, outcome: str, **members: str | None) -> AuditEvent:
        return AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type=kind,
            action=kind,
            authentication=authentication,
            outcome=outcome,
            **members,  # type: ignore[arg-type]  # the names are AuditEvent's own, and msgspec checks them
        )
