"""The register of trusted issuers: all in memory, kept current by the change feed."""

from collections.abc import Mapping

import msgspec

from accredit.agents.registry import Agents
from accredit.audit.event import Actor, management_event
from accredit.audit.group import record
from accredit.clock import Clock
from accredit.errors import Conflict, InputRefused, NotFound, Unavailable
from accredit.federation.issuer_configuration import IssuerInvalid, TrustedIssuer, parse_issuer
from accredit.federation.store import IssuerRow, delete_issuer, insert_issuer, load_issuers, update_issuer
from accredit.ids import NewId
from accredit.storage.feed import Feed
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

CHANGE = "trusted_issuer"
_NEXT = "`accredit issuer list` shows them"
_CLAIMS = 16
_CLAIM_LIMIT = 512


class TrustedIssuers:
    """Every trusted issuer, read at the first use and again after a change of kind `trusted_issuer`.

    `own_issuer` is this installation: it never trusts itself as somebody else.
    """

    def __init__(
        self, transactions: Transactions, feed: Feed, agents: Agents, clock: Clock, new_id: NewId, own_issuer: str
    ) -> None:
        self._transactions = transactions
        self._agents = agents
        self._clock = clock
        self._new_id = new_id
        self._own_issuer = own_issuer
        self._by_issuer: Mapping[str, TrustedIssuer] = {}
        self._stale = True
        self._asked = self._shown = 0
        self._feed = feed
        feed.subscribe(CHANGE, self._mark_stale)

    async def all(self) -> tuple[TrustedIssuer, ...]:
        """Every issuer, by name. Raises Unavailable."""
        return tuple((await self._load()).values())

    async def named(self, name: str) -> TrustedIssuer:
        """The issuer of this name. Raises NotFound, Unavailable."""
        found = next((one for one in await self.all() if one.name == name), None)
        if found is None:
            raise _not_there(name)
        return found

    async def get(self, issuer: str) -> TrustedIssuer | None:
        """The issuer that calls itself so. Raises Unavailable."""
        return (await self._load()).get(issuer)

    async def add(self, text: str, file: str, actor: Actor, *, replace: bool = False) -> TrustedIssuer:
        """Trust an issuer; with `replace`, in the place of the one of the same name.

        Raises IssuerInvalid, NotFound, and Conflict if the name or the issuer is taken.
        """
        one = await self._with_agents_by_id(parse_issuer(text, file), file)

        def write(tx: Tx) -> None:
            known = load_issuers(tx.connection)
            old = next((row for row in known if row.name == one.name), None)
            if replace and old is None:
                raise _not_there(one.name)
            if not replace and old is not None:
                next_step = "`accredit issuer add --replace` puts this one in its place"
                raise Conflict(f"there is an issuer {one.name!r} already", next_step=next_step)
            if other := next((row for row in known if row.issuer == one.issuer and row.name != one.name), None):
                raise Conflict(f"{one.issuer} is the issuer {other.name!r} already", next_step=_NEXT)
            self._write(tx, one, old, actor)

        await self._transactions.change(write)
        return one

    async def remove(self, name: str, actor: Actor) -> None:
        """Trust an issuer no more; tokens that were given on its word live on to their end. Raises NotFound."""

        def write(tx: Tx) -> None:
            row = next((row for row in load_issuers(tx.connection) if row.name == name), None)
            if row is None:
                raise _not_there(name)
            delete_issuer(tx, row.id)
            self._record(tx, "trusted_issuer.removed", row, actor)

        await self._transactions.change(write)

    async def check_credential(self, issuer: str, subject: str, claims: Mapping[str, str]) -> None:
        """Whether a credential for this workload could ever be used, and only by it. Raises InputRefused."""
        trusted = await self.get(issuer)
        kind = None if trusted is None else trusted.workload()
        if trusted is None or kind is None:
            raise InputRefused(f"{issuer[:200]} is no trusted issuer of workloads", next_step=_NEXT)
        of_issuer = trusted.kind != "spiffe" or subject.startswith(f"{trusted.issuer}/")
        if kind.subject.fullmatch(subject) is None or not of_issuer:
            raise InputRefused(
                f"the subject is not one of a {trusted.kind} issuer", next_step=f"such as {kind.example}"
            )
        if kind.pins and not claims.keys() & set(kind.pins):
            names = " or ".join(kind.pins)
            raise InputRefused(
                f"a claim is missing: {names}", next_step="a name can become somebody else's, an id cannot"
            )
        if len(claims) > _CLAIMS or any(not 0 < len(text) <= _CLAIM_LIMIT for pair in claims.items() for text in pair):
            raise InputRefused("at most 16 claims, each a name and a text of at most 512 characters")

    async def _with_agents_by_id(self, one: TrustedIssuer, file: str) -> TrustedIssuer:
        if one.issuer == self._own_issuer:
            raise IssuerInvalid(f"{file}: issuer is this installation itself", next_step="name another issuer")
        if one.peer is None:
            return one
        clients = {(await self._agents.named(name)).id: client for name, client in one.peer.clients.items()}
        return msgspec.structs.replace(one, peer=msgspec.structs.replace(one.peer, clients=clients))

    def _write(self, tx: Tx, one: TrustedIssuer, old: IssuerRow | None, actor: Actor) -> None:
        text = msgspec.json.encode(one).decode()
        if old is None:
            row = IssuerRow(self._new_id("iss"), one.name, one.issuer, one.kind, text, 1)
            insert_issuer(tx, row, self._clock.seconds())
            self._record(tx, "trusted_issuer.added", row, actor)
        else:
            row = IssuerRow(old.id, one.name, one.issuer, one.kind, text, old.version + 1)
            update_issuer(tx, row)
            self._record(tx, "trusted_issuer.changed", row, actor)

    async def _load(self) -> Mapping[str, TrustedIssuer]:
        # A process that hears nothing would take the word of an issuer that was removed.
        if not self._stale and not self._feed.is_stale():
            return self._by_issuer
        self._stale = False
        self._asked = asked = self._asked + 1
        try:
            rows = await self._transactions.read(load_issuers)
        except Unavailable:
            self._stale = True
            raise
        # Of two readings at once, the one that began later is the newer.
        if asked > self._shown:
            self._shown = asked
            found = {row.issuer: msgspec.json.decode(row.configuration, type=TrustedIssuer) for row in rows}
            self._by_issuer = found
        return self._by_issuer

    def _mark_stale(self, name: str) -> None:
        del name
        self._stale = True

    def _record(self, tx: Tx, kind: str, row: IssuerRow, actor: Actor) -> None:
        event = management_event(
            kind, actor, self._clock, self._new_id, resource=row.id, reason=f"{row.name} {row.issuer}"
        )
        record(tx, event)
        tx.changed(CHANGE, row.name)


def _not_there(name: str) -> NotFound:
    return NotFound(f"there is no trusted issuer {name[:64]!r}", next_step=_NEXT)
