"""What an issuer publishes: its metadata (OpenID Connect Discovery §4, RFC 8414 §3) and its keys (RFC 7517).

Both are kept for a while. An unknown `kid` has the keys asked for again, but not more often than every 30 seconds, so
that a stranger's tokens cannot make us ask without end; one request is under way for each address, whoever waits.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from accredit.canonical import from_base64url
from accredit.clock import Clock
from accredit.errors import InputRefused, Unavailable
from accredit.federation.endpoints import check_endpoint
from accredit.federation.errors import ProviderFailed

T = TypeVar("T")

FRESH_SECONDS = 600.0
"""A document is asked for again after this."""
KEPT_SECONDS = 3_600.0
"""If its issuer does not answer then, the old one serves for this long."""
REFETCH_SECONDS = 30.0
"""The least time between two requests for one document, whatever `kid` a token names."""
RETRY_SECONDS = 5.0
"""The same, while there is none yet."""
METADATA_BYTES = 65_536
JWKS_BYTES = 262_144
_KEYS = 100
_ISSUERS = 256
_RSA_BYTES = 256
# RFC 7517 §4.2, and what a SPIFFE bundle writes (SPIFFE Trust Domain and Bundle §4.2.2).
_USES = ("sig", "jwt-svid")
_IMPORTS: Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
DISCOVERY = "/.well-known/openid-configuration"

Fetch = Callable[[str, str, int], Awaitable[bytes]]
"""`fetch(url, issuer, most_bytes)`: the document at `url`, which `issuer` named. Raises Unavailable."""


class IssuerMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The members that are used here; an endpoint that is not named is empty."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyingKey:
    """A public key of an issuer, with what its JWK says of itself: `kid` and `alg`, None where it says nothing."""

    kid: str | None
    algorithm: str | None
    key: Key


class _Jwks(msgspec.Struct, frozen=True):
    keys: list[dict[str, object]]


@dataclass(slots=True)
class _Entry(Generic[T]):
    value: T | None = None
    fetched_at: float = float("-inf")
    tried_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class JwksCache:
    """Metadata by issuer, keys by their address. `fetch` makes the requests; only trusted issuers come here."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._metadata: OrderedDict[str, _Entry[IssuerMetadata]] = OrderedDict()
        self._keys: OrderedDict[str, _Entry[tuple[VerifyingKey, ...]]] = OrderedDict()

    async def metadata(self, issuer: str) -> IssuerMetadata:
        """The issuer's metadata, which must name this very issuer. Raises Unavailable."""

        async def load() -> IssuerMetadata:
            # OpenID Connect Discovery §4: a slash at the end of the issuer is taken off before the path is added.
            url = issuer.removesuffix("/") + DISCOVERY
            return parse_metadata(await self._fetch(url, issuer, METADATA_BYTES), issuer)

        return await self._current(_entry(self._metadata, issuer), load, lambda _: True)

    async def keys(self, jwks_uri: str, issuer: str, kid: str | None) -> tuple[VerifyingKey, ...]:
        """The issuer's keys; they are asked for again if none has this `kid`. Raises Unavailable."""

        async def load() -> tuple[VerifyingKey, ...]:
            return parse_jwks(await self._fetch(jwks_uri, issuer, JWKS_BYTES))

        def has_kid(keys: tuple[VerifyingKey, ...]) -> bool:
            return kid is None or any(key.kid == kid for key in keys)

        return await self._current(_entry(self._keys, f"{issuer} {jwks_uri}"), load, has_kid)

    async def _current(self, entry: _Entry[T], load: Callable[[], Awaitable[T]], will_do: Callable[[T], bool]) -> T:
        now = self._clock.monotonic()
        if entry.value is not None and now - entry.fetched_at < FRESH_SECONDS and will_do(entry.value):
            return entry.value
        async with entry.lock:
            # Somebody may have fetched it while we waited.
            now = self._clock.monotonic()
            age, since = now - entry.fetched_at, now - entry.tried_at
            if entry.value is not None and age < KEPT_SECONDS:
                if since < REFETCH_SECONDS or (age < FRESH_SECONDS and will_do(entry.value)):
                    return entry.value
            elif since < RETRY_SECONDS:
                raise ProviderFailed("the issuer did not answer a moment ago", next_step="try again in a few seconds")
            entry.tried_at = now
            try:
                value = await load()
            except Unavailable:
                if entry.value is not None and age < KEPT_SECONDS:
                    return entry.value
                raise
            entry.value, entry.fetched_at = value, now
            return value


def parse_metadata(document: bytes, issuer: str) -> IssuerMetadata:
    """Read an issuer's metadata. Raises ProviderFailed, also if it is another's (Discovery §4.3)."""
    try:
        found = msgspec.json.decode(document, type=IssuerMetadata)
        for url in (
            found.jwks_uri,
            found.authorization_endpoint,
            found.token_endpoint,
            found.userinfo_endpoint,
            found.end_session_endpoint,
        ):
            if url:
                check_endpoint(url, issuer)
    except (msgspec.MsgspecError, InputRefused, ValueError, RecursionError) as error:
        raise ProviderFailed("the issuer's metadata cannot be used", detail=f"{issuer}: {error}") from error
    if found.issuer != issuer:
        raise ProviderFailed("the issuer's metadata names another issuer", detail=f"{issuer}: {found.issuer[:200]!r}")
    return found


def parse_jwks(document: bytes) -> tuple[VerifyingKey, ...]:
    """Read the signing keys of a JWK Set; one that we cannot use is passed over (RFC 7517 §5).

    Raises ProviderFailed if it is no JWK Set or has more than 100 keys.
    """
    try:
        jwks = msgspec.json.decode(document, type=_Jwks)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProviderFailed("the issuer's keys cannot be read", detail=type(error).__name__) from error
    if len(jwks.keys) > _KEYS:
        raise ProviderFailed("the issuer has too many keys", detail=str(len(jwks.keys)))
    return tuple(key for key in map(_verifying_key, jwks.keys) if key is not None)


def _verifying_key(jwk: dict[str, object]) -> VerifyingKey | None:
    kind, kid, algorithm = jwk.get("kty"), jwk.get("kid"), jwk.get("alg")
    make = _IMPORTS.get(kind) if isinstance(kind, str) else None
    # A symmetric key could be signed with by whoever reads it here; a private one is known to everybody.
    if make is None or "d" in jwk or jwk.get("use", "sig") not in _USES:
        return None
    if not isinstance(kid, str | None) or not isinstance(algorithm, str | None):
        return None
    try:
        if kind == "RSA" and len(from_base64url(str(jwk.get("n"))).lstrip(b"\0")) < _RSA_BYTES:
            return None
        # Only what makes the key: the members that we do not read cannot make it fail.
        members: dict[str, str | list[str]] = {
            name: str(jwk[name]) for name in ("kty", "n", "e", "crv", "x", "y") if name in jwk
        }
        return VerifyingKey(kid=kid, algorithm=algorithm, key=make.import_key(members))
    except (JoseError, ValueError, TypeError, KeyError, InputRefused):
        return None


def _entry(entries: OrderedDict[str, _Entry[T]], name: str) -> _Entry[T]:
    found = entries.get(name)
    if found is None:
        found = entries[name] = _Entry()
        while len(entries) > _ISSUERS:
            entries.popitem(last=False)
    return found
