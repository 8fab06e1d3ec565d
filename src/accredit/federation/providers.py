"""The register of sign-in providers: all in memory, each with its connector, kept current by the change feed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from accredit.audit.event import Actor, management_event
from accredit.audit.group import record
from accredit.errors import Conflict, NotFound, Unavailable
from accredit.federation.configuration import Configuration, OidcProvider, SamlProvider, parse_configuration
from accredit.federation.connector import LoginConnector, MakeConnector, Parts
from accredit.federation.store import ProviderRow, delete_provider, insert_provider, load_providers, update_provider
from accredit.ids import NewId
from accredit.keys.seal import Sealer
from accredit.sensitive import Sensitive
from accredit.storage.feed import Feed
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

CHANGE = "sign_in_provider"
_NEXT = "`accredit sign-in provider list` shows them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A provider, and how often it was changed (`version` counts from 1)."""

    id: str
    configuration: Configuration
    has_secret: bool
    version: int


@dataclass(frozen=True, slots=True)
class _Known:
    registered: Registered
    row: ProviderRow


class SignInProviders:
    """Every provider, read at the first use and again after a change of kind `sign_in_provider`."""

    def __init__(
        self,
        transactions: Transactions,
        feed: Feed,
        sealer: Sealer,
        new_id: NewId,
        parts: Parts,
        connectors: Mapping[str, MakeConnector],
    ) -> None:
        self._transactions = transactions
        self._sealer = sealer
        self._clock = parts.clock
        self._new_id = new_id
        self._parts = parts
        self._make = connectors
        self._known: dict[str, _Known] = {}
        self._connectors: dict[tuple[str, int], LoginConnector] = {}
        self._stale = True
        self._feed = feed
        feed.subscribe(CHANGE, self._mark_stale)

    async def all(self) -> tuple[Registered, ...]:
        """Every provider, by name. Raises Unavailable."""
        await self._load_if_stale()
        return tuple(one.registered for one in self._known.values())

    async def named(self, name: str) -> Registered:
        """The provider of this name. Raises NotFound, Unavailable."""
        return (await self._find(name)).registered

    async def of_domain(self, domain: str) -> Registered | None:
        """The provider at which the people of an e-mail domain sign on. Raises Unavailable."""
        wanted = domain.strip().lower()
        return next((one for one in await self.all() if wanted in one.configuration.domains), None)

    async def connector(self, name: str) -> LoginConnector:
        """How people sign on at this provider. Raises NotFound, ExtraMissing, Unavailable."""
        known = await self._find(name)
        place = (known.row.id, known.row.version)
        found = self._connectors.get(place)
        if found is None:
            found = self._connectors[place] = self._connect(known.registered.configuration, self._open(known.row))
        return found

    async def add(self, text: str, file: str, secret: Sensitive | None, actor: Actor) -> Registered:
        """Register a provider. Raises ProviderInvalid, ExtraMissing, and Conflict if something of it is another's."""
        configuration = parse_configuration(text, file)
        self._connect(configuration, secret)
        provider_id = self._new_id("idp")

        def write(tx: Tx) -> None:
            known = load_providers(tx.connection)
            if any(row.name == configuration.name for row in known):
                raise Conflict(
                    f"there is a provider {configuration.name!r} already",
                    next_step="`accredit sign-in provider add --replace` puts this one in its place",
                )
            _check_alone(configuration, known)
            insert_provider(tx, self._row(provider_id, configuration, secret, 1), self._clock.seconds())
            self._record(tx, "sign_in_provider.added", configuration.name, provider_id, actor)

        await self._transactions.change(write)
        return await self.named(configuration.name)

    async def replace(self, text: str, file: str, secret: Sensitive | None, actor: Actor) -> Registered:
        """Put a provider in the place of the one of the same name; without a secret, the one before is kept.

        Raises ProviderInvalid, ExtraMissing, NotFound, Conflict.
        """
        configuration = parse_configuration(text, file)
        before = await self._find(configuration.name)
        keeps = secret is None and _takes_secret(configuration)
        self._connect(configuration, self._open(before.row) if keeps else secret)

        def write(tx: Tx) -> None:
            known = load_providers(tx.connection)
            old = next((row for row in known if row.id == before.row.id), None)
            if old is None or old.version != before.row.version:
                raise Conflict("somebody else has just changed this provider", next_step="look at it, and try again")
            _check_alone(configuration, [row for row in known if row.id != old.id])
            row = self._row(old.id, configuration, secret, old.version + 1)
            update_provider(tx, row._replace(sealed_secret=old.sealed_secret) if keeps else row)
            self._record(tx, "sign_in_provider.changed", configuration.name, old.id, actor)

        await self._transactions.change(write)
        return await self.named(configuration.name)

    async def remove(self, name: str, actor: Actor) -> None:
        """Let nobody sign on there any more; sessions that began there live on. Raises NotFound."""

        def write(tx: Tx) -> None:
            row = next((row for row in load_providers(tx.connection) if row.name == name), None)
            if row is None:
                raise _not_there(name)
            delete_provider(tx, row.id)
            self._record(tx, "sign_in_provider.removed", name, row.id, actor)

        await self._transactions.change(write)

    async def _find(self, name: str) -> _Known:
        await self._load_if_stale()
        found = self._known.get(name)
        if found is None:
            raise _not_there(name)
        return found

    async def _load_if_stale(self) -> None:
        # A process that hears nothing would let people in by a provider that was removed.
        if not self._stale and not self._feed.is_stale():
            return
        self._stale = False
        try:
            rows = await self._transactions.read(load_providers)
        except Unavailable:
            self._stale = True
            raise
        self._known = {row.name: _Known(_registered(row), row) for row in rows}
        current = {(row.id, row.version) for row in rows}
        self._connectors = {place: made for place, made in self._connectors.items() if place in current}

    def _mark_stale(self, name: str) -> None:
        del name
        self._stale = True

    def _connect(self, configuration: Configuration, secret: Sensitive | None) -> LoginConnector:
        return self._make[_kind(configuration)](configuration, secret.reveal() if secret else None, self._parts)

    def _row(
        self, provider_id: str, configuration: Configuration, secret: Sensitive | None, version: int
    ) -> ProviderRow:
        sealed = None if secret is None else self._sealer.seal(secret.reveal().encode(), _context(provider_id))
        text = msgspec.json.encode(configuration).decode()
        return ProviderRow(provider_id, configuration.name, _kind(configuration), text, sealed, version)

    def _open(self, row: ProviderRow) -> Sensitive | None:
        if row.sealed_secret is None:
            return None
        return Sensitive(self._sealer.open(row.sealed_secret, _context(row.id)).decode())

    def _record(self, tx: Tx, kind: str, name: str, provider_id: str, actor: Actor) -> None:
        event = management_event(kind, actor, self._clock, self._new_id, resource=provider_id, reason=name)
        record(tx, event)
        tx.changed(CHANGE, name)


def _registered(row: ProviderRow) -> Registered:
    configuration = msgspec.json.decode(row.configuration, type=OidcProvider | SamlProvider)
    has_secret = row.sealed_secret is not None
    return Registered(id=row.id, configuration=configuration, has_secret=has_secret, version=row.version)


def _check_alone(configuration: Configuration, others: Iterable[ProviderRow]) -> None:
    """An issuer and a domain belong to one provider: two could speak for the same people. Raises Conflict."""
    for other in (_registered(row).configuration for row in others):
        if other.key() == configuration.key():
            raise Conflict(f"the provider {other.name!r} is of the same issuer", next_step=_NEXT)
        for key in ("domains", "authoritative_domains"):
            taken = set(getattr(other, key)) & set(getattr(configuration, key))
            if taken:
                raise Conflict(f"{key}: {min(taken)} belongs to the provider {other.name!r}", next_step=_NEXT)


def _takes_secret(configuration: Configuration) -> bool:
    return isinstance(configuration, OidcProvider) and configuration.client_authentication != "none"


def _kind(configuration: Configuration) -> str:
    return "oidc" if isinstance(configuration, OidcProvider) else "saml"


def _context(provider_id: str) -> str:
    """Binds a sealed secret to its row."""
    return f"sign_in_provider/{provider_id}"


def _not_there(name: str) -> NotFound:
    return NotFound(f"there is no sign-in provider {name[:64]!r}", next_step=_NEXT)
