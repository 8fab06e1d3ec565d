"""An ID token → its claims, checked (OpenID Connect Core §3.1.3.7). Every failure is one error; `detail` says which."""

import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from accredit.canonical import base64url
from accredit.errors import NotAuthenticated
from accredit.federation.configuration import OidcProvider
from accredit.federation.connector import Attempt
from accredit.federation.errors import refused
from accredit.federation.jwks_cache import IssuerMetadata, JwksCache
from accredit.federation.signed import Signed, verify_signed

LEEWAY_SECONDS = 60.0
"""How far the provider's clock may be from ours."""
_SUBJECT_LIMIT = 255
_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512, "519": hashlib.sha512}


class IdToken(msgspec.Struct, frozen=True, kw_only=True):
    """The claims that are checked here. `claims` holds all of them."""

    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: float
    iat: float
    nonce: str
    nbf: float = 0
    azp: str | None = None
    at_hash: str | None = None
    acr: str = ""
    amr: str | tuple[str, ...] = ()
    auth_time: float | None = None
    claims: Mapping[str, object] = {}


async def check_id_token(
    token: str,
    access_token: str,
    attempt: Attempt,
    configuration: OidcProvider,
    metadata: IssuerMetadata,
    cache: JwksCache,
    now: float,
) -> IdToken:
    """Verify the signature and every claim. Raises SignOnRefused, and Unavailable if the keys cannot be had."""
    try:
        signed = await verify_signed(
            token,
            issuer=configuration.issuer,
            jwks_uri=metadata.jwks_uri,
            cache=cache,
            algorithms=configuration.algorithms,
        )
    except NotAuthenticated as error:
        raise refused(f"ID token: {error.explanation}: {error.detail}") from error
    try:
        found = msgspec.json.decode(signed.payload, type=IdToken)
        claims = msgspec.json.decode(signed.payload, type=dict[str, object])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise refused(f"ID token: {type(error).__name__}") from error
    for holds, what in _checks(found, signed, access_token, attempt, configuration, now):
        if not holds:
            raise refused(f"ID token: {what}")
    for name, value in configuration.required_claims.items():
        if claims.get(name) != value:
            raise refused(f"ID token: the required claim {name}")
    return msgspec.structs.replace(found, claims=claims)


def _checks(
    one: IdToken, signed: Signed, access_token: str, attempt: Attempt, configuration: OidcProvider, now: float
) -> tuple[tuple[bool, str], ...]:
    audiences = {one.aud} if isinstance(one.aud, str) else set(one.aud)
    client = configuration.client_id
    oldest = _oldest(configuration, now)
    return (
        # RFC 8725 §3.11: an access token or a logout token is no ID token.
        (signed.type in (None, "JWT", "jwt"), "typ"),
        (one.iss == configuration.issuer, "iss"),
        (client in audiences, "aud"),
        (one.azp == client if len(audiences) > 1 else one.azp in (None, client), "azp"),
        (0 < len(one.sub) <= _SUBJECT_LIMIT and one.sub.isprintable(), "sub"),
        (now < one.exp + LEEWAY_SECONDS, "exp"),
        (one.nbf <= now + LEEWAY_SECONDS, "nbf"),
        # Made for this attempt: neither before it began nor in the future.
        (attempt.started_at - LEEWAY_SECONDS <= one.iat <= now + LEEWAY_SECONDS, "iat"),
        (bool(attempt.nonce) and hmac.compare_digest(one.nonce.encode(), attempt.nonce.encode()), "nonce"),
        (one.at_hash is None or one.at_hash == _half_hash(access_token, signed.algorithm), "at_hash"),
        (not configuration.require_acr or one.acr in configuration.acr_values, "acr"),
        (oldest is None or (one.auth_time is not None and one.auth_time >= oldest), "auth_time"),
        (
            not attempt.fresh or one.auth_time is None or one.auth_time >= attempt.started_at - LEEWAY_SECONDS,
            "not anew",
        ),
    )


def _oldest(configuration: OidcProvider, now: float) -> float | None:
    """When the person must have signed in at the provider at the earliest (§3.1.2.1 max_age)."""
    age = configuration.max_age_seconds
    return None if age is None else now - age - LEEWAY_SECONDS


def _half_hash(text: str, algorithm: str) -> str:
    """§3.1.3.6: the left half of the hash that the algorithm signs with, in base64url."""
    digest = _HASHES[algorithm[-3:]](text.encode()).digest()
    return base64url(digest[: len(digest) // 2])
