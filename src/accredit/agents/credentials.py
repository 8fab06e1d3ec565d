"""What an agent proves itself with: random client secrets, kept as keyed hashes, and public keys.

A client secret is 256 random bits, so HMAC-SHA-256 under a sealed key is the right hash: there is nothing to guess,
and a slow password hash would only slow the token endpoint.
"""

import hashlib
import hmac
import os

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from accredit.canonical import base64url, from_base64url
from accredit.errors import InputRefused

SECRET_BYTES = 32
JWKS_LIMIT_BYTES = 16_384
MINIMUM_RSA_BITS = 2_048
CLIENT_ASSERTION_ALGORITHMS = ("ES256", "ES384", "PS256", "RS256", "Ed25519")
_PREFIX = "acs_"
_NEXT = "give a JWK Set of public keys of kind EC, OKP or RSA (RFC 7517)"


def new_client_secret() -> str:
    """A secret of 256 random bits, with a prefix that secret scanners can find."""
    return _PREFIX + base64url(os.urandom(SECRET_BYTES))


def hash_client_secret(key: bytes, secret: str) -> bytes:
    """HMAC-SHA-256 of the secret under the installation's sealed key."""
    # Not `hmac.digest`: it lets go of the interpreter's lock for a few microseconds of work, and waits to get it back.
    return hmac.new(key, secret.encode(), hashlib.sha256).digest()


def parse_public_keys(text: str) -> str:
    """Check a JWK or JWK Set of public keys (RFC 7517) and give it back as a set.

    Raises InputRefused for private or symmetric keys, weak ones, and kinds that no accepted algorithm signs with.
    """
    if len(text.encode()) > JWKS_LIMIT_BYTES:
        raise InputRefused("the JWK Set is larger than 16 kB", next_step=_NEXT)
    try:
        document = msgspec.json.decode(text)
        if not isinstance(document, dict):
            raise InputRefused("a JWK Set is a JSON object with `keys` (RFC 7517 §5)", next_step=_NEXT)
        listed = document.get("keys", [document])
        if not isinstance(listed, list) or not listed:
            raise InputRefused("the JWK Set holds no key", next_step=_NEXT)
        keys = [_check_key(one) for one in listed]
        KeySet.import_key_set({"keys": keys})
    except (msgspec.DecodeError, JoseError, ValueError, TypeError, KeyError) as error:
        what = type(error).__name__
        raise InputRefused("not a JWK Set of public keys (RFC 7517)", next_step=_NEXT, detail=what) from error
    return msgspec.json.encode({"keys": keys}).decode()


def _check_key(jwk: object) -> dict[str, str | list[str]]:
    if not isinstance(jwk, dict):
        raise InputRefused("a key in the set is not an object", next_step=_NEXT)
    if "d" in jwk or "k" in jwk:
        raise InputRefused("the set holds a private key", next_step="make a new pair, and give only its public half")
    match jwk.get("kty"):
        case "EC":
            ECKey.import_key(jwk)
        case "OKP":
            OKPKey.import_key(jwk)
        case "RSA":
            if int.from_bytes(from_base64url(str(jwk.get("n")))).bit_length() < MINIMUM_RSA_BITS:
                raise InputRefused("an RSA key is shorter than 2,048 bits (RFC 7518 §3.3)", next_step=_NEXT)
            RSAKey.import_key(jwk)
        case _:
            raise InputRefused("a key is not of kind EC, OKP or RSA", next_step=_NEXT)
    return jwk
