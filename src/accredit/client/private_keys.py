"""A client's own private key, and the assertions that it signs (RFC 7523 §2.2)."""

import secrets
import time

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME_SECONDS = 60
_JTI_BYTES = 16

SigningKey = ECKey | OKPKey | RSAKey


def kind_of(key: SigningKey) -> str:
    """What decides which algorithms fit: the curve, or `RSA`."""
    return "RSA" if isinstance(key, RSAKey) else key.curve_name


def import_key(text: str) -> SigningKey:
    """Read a JWK (RFC 7517) or an unencrypted PEM; whether it is private is the caller's to check.

    Raises ValueError.
    """
    try:
        return _from_jwk(text) if text.lstrip().startswith("{") else _from_pem(text)
    except (JoseError, UnsupportedAlgorithm, msgspec.MsgspecError, ValueError, TypeError, KeyError):
        # Without the cause: its text may quote the key.
        raise ValueError("no key that signs") from None


def sign_assertion(key: SigningKey, algorithm: str, client_id: str, issuer: str) -> str:
    """A fresh assertion for one use within 60 seconds, at this server alone."""
    now = int(time.time())
    claims = {
        "iss": client_id,
        "sub": client_id,
        # The issuer alone: an assertion for one server must be of no use at another.
        "aud": issuer,
        "jti": secrets.token_urlsafe(_JTI_BYTES),
        "iat": now,
        "exp": now + LIFETIME_SECONDS,
    }
    header = {"alg": algorithm, "typ": "JWT"}
    if isinstance(key.kid, str):
        header["kid"] = key.kid
    return jws.serialize_compact(header, msgspec.json.encode(claims), key, algorithms=[algorithm])


def _from_jwk(text: str) -> SigningKey:
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


def _from_pem(text: str) -> SigningKey:
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
