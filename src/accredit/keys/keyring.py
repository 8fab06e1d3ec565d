"""The keys of an installation, open in memory: made at the first start, sealed at rest.

access_token   ES256    signs access tokens (RFC 9068); its public half is in the JWKS document
log            Ed25519  signs the log's checkpoints
log_mldsa44    ML-DSA-44 beside it, against the day when Ed25519 falls
client_secret  HMAC     the key of the hash of client secrets
session        AES      seals gateway session ids
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from accredit.ids import KeyId, NewId
from accredit.keys.seal import Sealer
from accredit.keys.signer import AccessTokenSigner
from accredit.keys.store import KeyRow, insert_key, load_keys
from accredit.storage.db import Database
from accredit.storage.writer import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """What the rooms are handed at start. The newest key of a purpose signs; the JWKS shows all not retired."""

    access_token: AccessTokenSigner
    verifying: tuple[AccessTokenSigner, ...]
    log: Ed25519PrivateKey
    log_mldsa44: MLDSA44PrivateKey
    client_secret: bytes
    session: bytes

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The JWK Set document (RFC 7517 §5)."""
        return {"keys": [signer.public_jwk for signer in self.verifying]}


def _der(key: EllipticCurvePrivateKey | Ed25519PrivateKey | MLDSA44PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


_PURPOSES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "access_token": ("ES256", lambda: _der(generate_private_key(SECP256R1()))),
    "log": ("Ed25519", lambda: _der(Ed25519PrivateKey.generate())),
    "log_mldsa44": ("ML-DSA-44", lambda: _der(MLDSA44PrivateKey.generate())),
    "client_secret": ("HMAC-SHA-256", lambda: os.urandom(32)),
    "session": ("A256GCM", lambda: os.urandom(32)),
}


def missing_purposes(database: Database) -> tuple[str, ...]:
    """The purposes that have no key yet: all of them at the first start."""
    present = {row.purpose for row in database.read_now(load_keys)}
    return tuple(purpose for purpose in _PURPOSES if purpose not in present)


def make_keys(tx: Tx, purposes: tuple[str, ...], sealer: Sealer, now: float, new_id: NewId) -> None:
    """Make one key for each purpose, in the caller's transaction."""
    present = {row.purpose for row in load_keys(tx.connection)}
    for purpose in purposes:
        # Another process may have made it between the look and the transaction.
        if purpose not in present:
            algorithm, make = _PURPOSES[purpose]
            key_id = new_id("key")
            insert_key(tx, KeyRow(key_id, purpose, algorithm, sealer.seal(make(), f"{purpose}/{key_id}"), now, None))


def open_keyring(database: Database, sealer: Sealer) -> Keyring:
    """Open every key. Raises Unavailable if the master key is not the one that they were sealed with."""
    opened: dict[str, list[tuple[str, bytes]]] = {}
    for row in database.read_now(load_keys):
        if row.retired_at is None:
            plain = sealer.open(row.sealed, f"{row.purpose}/{row.id}")
            opened.setdefault(row.purpose, []).append((row.id, plain))
    verifying = tuple(AccessTokenSigner(KeyId(key_id), _ec(plain)) for key_id, plain in opened["access_token"])
    log = load_der_private_key(opened["log"][0][1], None)
    mldsa = load_der_private_key(opened["log_mldsa44"][0][1], None)
    if not isinstance(log, Ed25519PrivateKey) or not isinstance(mldsa, MLDSA44PrivateKey):
        raise TypeError("a log key has another type than its row says")
    return Keyring(
        access_token=verifying[0],
        verifying=verifying,
        log=log,
        log_mldsa44=mldsa,
        client_secret=opened["client_secret"][0][1],
        session=opened["session"][0][1],
    )


def _ec(der: bytes) -> EllipticCurvePrivateKey:
    key = load_der_private_key(der, None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise TypeError("an access token key has another type than its row says")
    return key
