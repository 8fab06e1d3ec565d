"""`private_key_jwt`: a client proves itself with a signed assertion (RFC 7523 §2.2 and §3)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from accredit.agents.credentials import CLIENT_ASSERTION_ALGORITHMS
from accredit.agents.model import Agent, AgentStatus
from accredit.agents.registry import Agents
from accredit.canonical import from_base64url
from accredit.clock import Clock
from accredit.errors import InputRefused
from accredit.oauth.client_assertions import is_of_another_issuer
from accredit.oauth.client_auth import AuthenticatedClient, ClientRequest, invalid_client, look_up
from accredit.oauth.client_keys import METHOD, ClientKeys, ClientKeysUnavailable
from accredit.oauth.errors import InvalidClient
from accredit.storage.writer import Once

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIMIT_BYTES = 8_192
# Authlib's assertions live for an hour unless it is told otherwise. Each is taken once, so a longer life gives no more.
LIFETIME_LIMIT_SECONDS = 3_600
LEEWAY_SECONDS = 10
_TYPES = frozenset({"JWT", "client-authentication+jwt"})
_KEY_CACHE_LIMIT = 4_096
_UNREADABLE = (JoseError, InputRefused, ValueError, TypeError, msgspec.MsgspecError, RecursionError)


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """RFC 8725 §3.10: no member that brings a key or says where one is. Thumbprints are not looked at."""

    alg: str
    typ: str = "JWT"
    kid: str | msgspec.UnsetType = msgspec.UNSET
    x5t: str | msgspec.UnsetType = msgspec.UNSET
    x5t_s256: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="x5t#S256")


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: float
    jti: str
    iat: float | None = None
    nbf: float | None = None


class _Unverified(NamedTuple):
    """An assertion taken apart, and nothing of it proved."""

    header: _Header
    claims: _Claims
    signing_input: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class _ClientKey:
    """A key of a client, and the algorithms that it verifies."""

    kid: str | None
    algorithms: frozenset[str]
    key: Key


class PrivateKeyJwt:
    """Verifies assertions against the agent's own keys. The audience is this issuer, or its token endpoint."""

    methods = (METHOD,)

    def __init__(self, agents: Agents, client_keys: ClientKeys, clock: Clock, issuer: str) -> None:
        self._agents = agents
        self._client_keys = client_keys
        self._clock = clock
        self._audiences = frozenset({issuer, f"{issuer}/oauth/token"})
        self._parsed: dict[str, tuple[_ClientKey, ...]] = {}
        # An assertion that no key fits is verified too, against keys that nobody has: the time is to tell nothing.
        nobody = (
            ECKey.generate_key("P-256", private=False),
            ECKey.generate_key("P-384", private=False),
            OKPKey.generate_key("Ed25519", private=False),
            RSAKey.generate_key(2_048, private=False),
        )
        self._nobody = {name: key for key in nobody for name in _algorithms_of(key)}

    def method_of(self, request: ClientRequest) -> str | None:
        """Told by the assertion's parameters, if the client made it itself."""
        form = request.form
        if "client_assertion" not in form and "client_assertion_type" not in form:
            return None
        return None if is_of_another_issuer(form) else METHOD

    async def authenticate(self, request: ClientRequest) -> AuthenticatedClient:
        """Raises InvalidClient for every failure alike. A `jti` used before fails with the commit of its event."""
        form = request.form
        assertion = form.get("client_assertion", "")
        if form.get("client_assertion_type") != ASSERTION_TYPE or not 0 < len(assertion) <= ASSERTION_LIMIT_BYTES:
            raise invalid_client(detail="no assertion of the type of RFC 7523")
        unverified = _take_apart(assertion)
        client_id = unverified.claims.sub
        claimed = await look_up(self._agents, client_id)
        agent = claimed.agent
        try:
            claims = self._verify(unverified, await self._keys(agent, unverified.header.kid or None))
            self._check(claims, form)
            if agent is None or claims.sub != agent.client_id or agent.status is not AgentStatus.ACTIVE:
                raise invalid_client(detail="unknown or not active")
        except InvalidClient:
            await claimed.even_out(self._agents)
            raise
        key = hashlib.sha256(f"{METHOD}\0{claims.sub}\0{claims.jti}".encode()).digest()
        return AuthenticatedClient(agent=agent, method=METHOD, once=(Once(key, claims.exp + 2 * LEEWAY_SECONDS),))

    async def _keys(self, agent: Agent | None, kid: str | None) -> Sequence[_ClientKey]:
        if agent is None or agent.status is not AgentStatus.ACTIVE:
            return ()
        try:
            sets = await self._client_keys.of(agent, kid)
        except ClientKeysUnavailable as error:
            raise invalid_client(detail=error.explanation) from error
        return [key for jwks in sets for key in self._parse(jwks)]

    def _parse(self, jwks: str) -> tuple[_ClientKey, ...]:
        found = self._parsed.get(jwks)
        if found is None:
            if len(self._parsed) >= _KEY_CACHE_LIMIT:
                self._parsed.clear()
            keys = KeySet.import_key_set(msgspec.json.decode(jwks)).keys
            found = self._parsed[jwks] = tuple(_ClientKey(key.kid, _algorithms_of(key), key) for key in keys)
        return found

    def _verify(self, one: _Unverified, keys: Sequence[_ClientKey]) -> _Claims:
        key = _fitting(keys, one.header) or self._nobody[one.header.alg]
        try:
            holds = JWSRegistry.algorithms[one.header.alg].verify(one.signing_input, one.signature, key)
        except _UNREADABLE as error:
            raise invalid_client(detail=type(error).__name__) from error
        if not holds:
            raise invalid_client(detail="signature")
        return one.claims

    def _check(self, claims: _Claims, form: Mapping[str, str]) -> None:
        now = self._clock.seconds()
        audiences = {claims.aud} if isinstance(claims.aud, str) else set(claims.aud)
        holds = (
            claims.iss == claims.sub
            and form.get("client_id", claims.sub) == claims.sub
            # RFC 7523bis: an audience that names others too could be replayed by them.
            and len(audiences) == 1
            and audiences <= self._audiences
            and now - LEEWAY_SECONDS < claims.exp <= now + LIFETIME_LIMIT_SECONDS + LEEWAY_SECONDS
            and (claims.iat is None or claims.iat <= now + LEEWAY_SECONDS)
            and (claims.nbf is None or claims.nbf <= now + LEEWAY_SECONDS)
            and 0 < len(claims.jti) <= 256  # noqa: PLR2004  # long enough for any id
        )
        if not holds:
            raise invalid_client(detail="a claim of the assertion does not hold (RFC 7523 §3)")


def _fitting(keys: Sequence[_ClientKey], header: _Header) -> Key | None:
    """The one key that this header means: by `kid` if it names one, and one that its `alg` is for."""
    if header.kid is not msgspec.UNSET:
        return next((one.key for one in keys if one.kid == header.kid and header.alg in one.algorithms), None)
    fitting = [one for one in keys if header.alg in one.algorithms]
    # Without a `kid`: the only key, else the first that has none itself.
    return next((one.key for one in fitting if one.kid is None or len(fitting) == 1), None)


def _algorithms_of(key: Key) -> frozenset[str]:
    """What a key may verify: by its kind, and by what its own members allow (RFC 7517 §4.2 to §4.4)."""
    allowed = set()
    for name in CLIENT_ASSERTION_ALGORITHMS:
        try:
            # Checks `use`, `alg` and the curve.
            JWSRegistry.algorithms[name].check_key(key)
            key.check_key_op("verify")
        except (JoseError, ValueError, TypeError):
            continue
        allowed.add(name)
    return frozenset(allowed)


def _take_apart(assertion: str) -> _Unverified:
    """The parts of an assertion, strictly read: its `sub` and `kid` say only whose keys to verify it with."""
    signing_input, _, signature = assertion.rpartition(".")
    head, _, payload = signing_input.partition(".")
    try:
        header = msgspec.json.decode(from_base64url(head), type=_Header)
        claims = msgspec.json.decode(from_base64url(payload), type=_Claims)
        unverified = _Unverified(header, claims, signing_input.encode("ascii"), from_base64url(signature))
    except _UNREADABLE as error:
        raise invalid_client(detail=type(error).__name__) from error
    if header.alg not in CLIENT_ASSERTION_ALGORITHMS or header.typ not in _TYPES:
        raise invalid_client(detail="header members")
    return unverified
