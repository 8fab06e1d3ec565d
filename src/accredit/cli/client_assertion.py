"""Client assertions for `private_key_jwt` (RFC 7523 §2.2), made where the agent's private key is."""

from pathlib import Path

from accredit.cli.failures import CannotRun
from accredit.cli.sources import read_text
from accredit.client.private_keys import SigningKey, import_key, kind_of, sign_assertion

_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "Ed25519": "Ed25519", "RSA": "PS256"}


def load_private_key(path: Path) -> SigningKey:
    """Read a JWK (RFC 7517) or an unencrypted PEM file. Raises CannotRun."""
    try:
        key = import_key(read_text(path))
    except ValueError as error:
        raise CannotRun(
            f"{path} holds no private key that can be used",
            next_step="give a JWK or an unencrypted PEM of kind EC (P-256, P-384), Ed25519 or RSA",
        ) from error
    if not key.is_private:
        raise CannotRun(f"{path} holds a public key", next_step="give the private one of the pair")
    return key


def sign_client_assertion(key: SigningKey, client_id: str, issuer: str) -> str:
    """A fresh assertion for one use within 60 seconds. Raises CannotRun if no accepted algorithm fits the key."""
    algorithm = _ALGORITHMS.get(kind_of(key))
    if algorithm is None:
        raise CannotRun("no algorithm that is accepted fits this key", next_step="use P-256, P-384, Ed25519 or RSA")
    return sign_assertion(key, algorithm, client_id, issuer)
