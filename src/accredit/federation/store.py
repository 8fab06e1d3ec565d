"""The rows of sign-in providers and of trusted issuers."""

from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from accredit.storage.schema import sign_in_providers as _providers
from accredit.storage.schema import trusted_issuers as _issuers
from accredit.storage.writer import Tx


class ProviderRow(NamedTuple):
    """A provider as it is stored: `configuration` is JSON, `sealed_secret` is sealed by the master key."""

    id: str
    name: str
    kind: str
    configuration: str
    sealed_secret: bytes | None
    version: int


_COLUMNS = (
    _providers.c.id,
    _providers.c.name,
    _providers.c.kind,
    _providers.c.configuration,
    _providers.c.sealed_secret,
    _providers.c.version,
)


def load_providers(connection: Connection) -> list[ProviderRow]:
    """Every provider, by name."""
    return [ProviderRow(*row) for row in connection.execute(select(*_COLUMNS).order_by(_providers.c.name))]


def insert_provider(tx: Tx, row: ProviderRow, now: float) -> None:
    """Add a provider."""
    tx.connection.execute(insert(_providers).values(**row._asdict(), created_at=now))


def update_provider(tx: Tx, row: ProviderRow) -> None:
    """Put a provider in the place of the one with the same id."""
    tx.connection.execute(update(_providers).where(_providers.c.id == row.id).values(row._asdict()))


def delete_provider(tx: Tx, provider_id: str) -> None:
    """Remove a provider."""
    tx.connection.execute(delete(_providers).where(_providers.c.id == provider_id))


class IssuerRow(NamedTuple):
    """A trusted issuer as it is stored: `configuration` is JSON."""

    id: str
    name: str
    issuer: str
    kind: str
    configuration: str
    version: int


_ISSUER_COLUMNS = (
    _issuers.c.id,
    _issuers.c.name,
    _issuers.c.issuer,
    _issuers.c.kind,
    _issuers.c.configuration,
    _issuers.c.version,
)


def load_issuers(connection: Connection) -> list[IssuerRow]:
    """Every trusted issuer, by name."""
    return [IssuerRow(*row) for row in connection.execute(select(*_ISSUER_COLUMNS).order_by(_issuers.c.name))]


def insert_issuer(tx: Tx, row: IssuerRow, now: float) -> None:
    """Add a trusted issuer."""
    tx.connection.execute(insert(_issuers).values(**row._asdict(), created_at=now))


def update_issuer(tx: Tx, row: IssuerRow) -> None:
    """Put a trusted issuer in the place of the one with the same id."""
    tx.connection.execute(update(_issuers).where(_issuers.c.id == row.id).values(row._asdict()))


def delete_issuer(tx: Tx, issuer_id: str) -> None:
    """Remove a trusted issuer."""
    tx.connection.execute(delete(_issuers).where(_issuers.c.id == issuer_id))
