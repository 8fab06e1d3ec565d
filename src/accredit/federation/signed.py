"""A signed JSON text of somebody else → its payload, once a key of its issuer has verified it (RFC 7515, RFC 8725)."""

from collections.abc import Sequence
from typing import Protocol

import msgspec
from joserfc import jws
from joserfc.errors import JoseError

from accredit.canonical import from_base64url
from accredit.errors import InputRefused
from accredit.federation.errors import SignatureRefused
from accredit.federation.jwks_cache import VerifyingKey

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
"""What can be allowed at all: no symmetric one, and never `none`."""
DEFAULT_ALGORITHMS = ("RS256", "PS256", "ES256")
TOKEN_LIMIT_BYTES = 65_536
_KID_LIMIT = 512
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "Ed25519": "Ed25519"}


class Keys(Protocol):
    """Where an issuer's keys come from."""

    async def keys(self, jwks_uri: str, issuer: str, kid: str | None) -> Sequence[VerifyingKey]:
        """The keys that this issuer has; asked for again, within limits, if none has this `kid`. Raises Unavailable."""


class _Registry(jws.JWSRegistry):
    """Some issuers send their certificates in the header; they are not read, and must not make a token too long."""

    max_header_length = 8_192


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A payload that was verified, the algorithm, and the `typ` of the header (None if it has none)."""

    payload: bytes
    algorithm: str
    type: str | None


async def verify_signed(token: str, *, issuer: str, jwks_uri: str, cache: Keys, algorithms: Sequence[str]) -> Signed:
    """Verify a compact JWS with the key of `issuer` that its `kid` names.

    Nothing in the header brings a key or an algorithm of its own: `jwk`, `jku` and `x5u` are not read, `crit` is
    refused. Raises SignatureRefused, and Unavailable if the keys cannot be had.
    """
    if len(token) > TOKEN_LIMIT_BYTES or not token.isascii():
        raise _refused("too long, or not ASCII")
    header = _unverified_header(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms or algorithm not in ALGORITHMS:
        raise _refused(f"alg {str(algorithm)[:20]!r}")
    if not isinstance(kid, str | None) or (kid is not None and not 0 < len(kid) <= _KID_LIMIT) or "crit" in header:
        raise _refused("kid or crit")
    found = [key for key in await cache.keys(jwks_uri, issuer, kid) if _fits(key, algorithm, kid)]
    # OpenID Connect Core §10.1: where there are several keys, a `kid` says which.
    if len(found) != 1:
        raise _refused(f"{len(found)} keys fit")
    registry = _Registry(algorithms=[algorithm], strict_check_header=False)
    try:
        verified = jws.deserialize_compact(token, found[0].key, registry=registry)
    except (JoseError, ValueError, TypeError) as error:
        raise _refused(type(error).__name__) from error
    kind = header.get("typ")
    return Signed(payload=verified.payload, algorithm=algorithm, type=kind if isinstance(kind, str) else None)


def _unverified_header(token: str) -> dict[str, object]:
    head, _, rest = token.partition(".")
    if rest.count(".") != 1:
        raise _refused("not a compact JWS")
    try:
        return msgspec.json.decode(from_base64url(head), type=dict[str, object])
    except (InputRefused, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _refused(type(error).__name__) from error


def _fits(key: VerifyingKey, algorithm: str, kid: str | None) -> bool:
    """The key that this header may mean: named by it, and of the kind that the algorithm signs with."""
    if kid is not None and key.kid != kid:
        return False
    if key.algorithm not in (None, algorithm) and not (key.algorithm == "EdDSA" and algorithm == "Ed25519"):
        return False
    if algorithm in _CURVES:
        return str(key.key.as_dict(private=False).get("crv")) == _CURVES[algorithm]
    return key.key.key_type == "RSA"


def _refused(detail: str) -> SignatureRefused:
    return SignatureRefused("the signature is not one of its issuer's", detail=detail)
