"""The keys of an installation, open in memory: made at the first start, sealed at rest.

The keys of tokens are several and change (`signing_keys`, `rotation`); every other purpose has one key (`secrets`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from accredit.clock import Clock
from accredit.errors import Unavailable
from accredit.ids import NewId
from accredit.keys.algorithms import ALGORITHMS, DEFAULT_ALGORITHM
from accredit.keys.custody import ACCESS_TOKEN, Custody, Wanted
from accredit.keys.secrets import SECRETS
from accredit.keys.signer import Signer
from accredit.keys.signing_keys import SigningKeys
from accredit.keys.store import KeyRow, insert_key, load_keys
from accredit.storage.db import Database
from accredit.storage.writer import Tx

_WANTED = (
    *(Wanted(ACCESS_TOKEN, algorithm) for algorithm in ALGORITHMS),
    *(Wanted(purpose, secret.algorithm) for purpose, secret in SECRETS.items()),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """What the rooms are handed at start. `signing_keys` follows rotations; the rest stays for the process's life."""

    signing_keys: SigningKeys
    log: Ed25519PrivateKey
    log_mldsa44: MLDSA44PrivateKey
    client_secret: bytes
    session: bytes
    refresh_token: bytes
    authorization: bytes
    nonce: bytes

    def signer(self, algorithm: str = DEFAULT_ALGORITHM) -> Signer:
        """The key that signs tokens now. Raises Unavailable if there is none of this algorithm."""
        return self.signing_keys.signer(algorithm)

    def verifying(self) -> Mapping[str, Signer]:
        """By `kid`, the keys whose tokens are still taken."""
        return self.signing_keys.verifying()

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The JWK Set document (RFC 7517 §5)."""
        return self.signing_keys.jwks()


def missing_purposes(database: Database) -> tuple[Wanted, ...]:
    """What has no key yet: everything at the first start, what a new version adds at a later one."""
    return _missing(database.read_now(load_keys))


async def new_keys(wanted: Iterable[Wanted], custody: Custody, now: float, new_id: NewId) -> tuple[KeyRow, ...]:
    """Make a key for each, to be written by `add_keys`. Raises Unavailable if the place that makes them is away."""
    return tuple([await custody.make(one, new_id, now) for one in wanted])


def add_keys(tx: Tx, rows: Iterable[KeyRow]) -> None:
    """Write new keys, in the caller's transaction."""
    # Another process may have made one between the look and the transaction.
    missing = _missing(load_keys(tx.connection))
    for row in rows:
        if Wanted(row.purpose, row.algorithm) in missing:
            insert_key(tx, row)


def open_keyring(database: Database, custody: Custody, clock: Clock) -> Keyring:
    """Open every key. Raises Unavailable if the master key is not the one that they were sealed with."""
    rows = database.read_now(load_keys)
    if missing := _missing(rows):
        raise Unavailable(f"there is no key for {missing[0].purpose}", next_step="run `accredit init`")
    opened = {row.purpose: custody.open_secret(row) for row in reversed(rows) if row.purpose in SECRETS}
    log = load_der_private_key(opened["log"], None)
    mldsa = load_der_private_key(opened["log_mldsa44"], None)
    if not isinstance(log, Ed25519PrivateKey) or not isinstance(mldsa, MLDSA44PrivateKey):
        raise TypeError("a log key has another type than its row says")
    return Keyring(
        signing_keys=SigningKeys(clock, custody.open_signing(rows, clock.seconds(), {})),
        log=log,
        log_mldsa44=mldsa,
        client_secret=opened["client_secret"],
        session=opened["session"],
        refresh_token=opened["refresh_token"],
        authorization=opened["authorization"],
        nonce=opened["nonce"],
    )


def _missing(rows: Iterable[KeyRow]) -> tuple[Wanted, ...]:
    present = {Wanted(row.purpose, row.algorithm) for row in rows}
    return tuple(wanted for wanted in _WANTED if wanted not in present)
