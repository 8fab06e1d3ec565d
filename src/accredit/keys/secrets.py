"""The keys of an installation that never leave it: one for each purpose, made at the first start.

log            Ed25519  signs the log's checkpoints
log_mldsa44    ML-DSA-44 beside it, against the day when Ed25519 falls
client_secret  HMAC     the key of the hash of client secrets
session        AES      seals gateway session ids
refresh_token  AES      seals refresh tokens
authorization  AES      seals authorization requests and codes
nonce          HMAC     the nonces of DPoP proofs (RFC 9449 §8)
"""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_SECRET_BYTES = 32


class Secret(NamedTuple):
    """One purpose: the algorithm that its row names, and how its key is made."""

    algorithm: str
    make: Callable[[], bytes]


def _random() -> bytes:
    return os.urandom(_SECRET_BYTES)


def _der(key: Ed25519PrivateKey | MLDSA44PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


SECRETS: Mapping[str, Secret] = {
    "log": Secret("Ed25519", lambda: _der(Ed25519PrivateKey.generate())),
    "log_mldsa44": Secret("ML-DSA-44", lambda: _der(MLDSA44PrivateKey.generate())),
    "client_secret": Secret("HMAC-SHA-256", _random),
    "session": Secret("A256GCM", _random),
    "refresh_token": Secret("A256GCM", _random),
    "authorization": Secret("A256GCM", _random),
    "nonce": Secret("HMAC-SHA-256", _random),
}
