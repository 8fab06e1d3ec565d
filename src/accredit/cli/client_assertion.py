"""Client assertions for `private_key_jwt` (RFC 7523 §2.2), made where the agent's private key is."""

import secrets
import time
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from accredit.cli.failures import CannotRun
from accredit.cli.sources import read_text

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME_SECONDS = 60
_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "Ed25519": "Ed25519", "RSA": "PS256"}
_JTI_BYTES = 16

PrivateKey = ECKey | OKPKey | RSAKey


def load_private_key(path: Path) -> PrivateKey:
    """Read a JWK (RFC 7517) or an unencrypted PEM file. Raises CannotRun."""
    text = read_text(path)
    try:
        key = _import_jwk(text) if text.lstrip().startswith("{") else _import_pem(text)
    except (JoseError, UnsupportedAlgorithm, msgspec.MsgspecError, ValueError, TypeError, KeyError) as error:
        raise CannotRun(
            f"{path} holds no private key that can be used",
            next_step="give a JWK or an unencrypted PEM of kind EC (P-256, P-384), Ed25519 or RSA",
        ) from error
    if not key.is_private:
        raise CannotRun(f"{path} holds a public key", next_step="give the private one of the pair")
    return key


def sign_client_assertion(key: PrivateKey, client_id: str, issuer: str) -> str:
    """A fresh assertion for one use within 60 seconds. Raises CannotRun if no accepted algorithm fits the key."""
    algorithm = _ALGORITHMS.get("RSA" if isinstance(key, RSAKey) else key.curve_name)
    if algorithm is None:
        raise CannotRun("no algorithm that is accepted fits this key", next_step="use P-256, P-384, Ed25519 or RSA")
    now = int(time.time())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": issuer,
        "jti": secrets.token_urlsafe(_JTI_BYTES),
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
    }
    header = {"alg": algorithm, "typ": "JWT"}
    if isinstance(key.kid, str):
        header["kid"] = key.kid
    return jws.serialize_compact(header, msgspec.json.encode(claims), key, algorithms=[algorithm])


def _import_jwk(text: str) -> PrivateKey:
    jwk = msgspec.json.decode(text, type=dict[str, str | list[str]])
    match jwk.get("kty"):
        case "EC":
            return ECKey.import_key(jwk)
        case "OKP":
            return OKPKey.import_key(jwk)
        case "RSA":
            return RSAKey.import_key(jwk)
        case _:
            raise ValueError("the kind of the key is not one that signs")


def _import_pem(text: str) -> PrivateKey:
    pem = text.encode()
    match load_pem_private_key(pem, None):
        case EllipticCurvePrivateKey():
            return ECKey.import_key(pem)
        case Ed25519PrivateKey():
            return OKPKey.import_key(pem)
        case RSAPrivateKey():
            return RSAKey.import_key(pem)
        case _:
            raise ValueError("the kind of the key is not one that signs")
