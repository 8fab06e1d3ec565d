"""`private_key_jwt`: a client proves itself with a signed assertion (RFC 7523 §2.2 and §3)."""

import hashlib
from collections.abc import Mapping

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol, KeySet, OKPKey, RSAKey

from accredit.agents.credentials import CLIENT_ASSERTION_ALGORITHMS
from accredit.agents.model import Agent, AgentStatus, CredentialKind
from accredit.agents.registry import Agents
from accredit.clock import Clock
from accredit.oauth.client_auth import AuthenticatedClient, ClientRequest, invalid_client
from accredit.oauth.errors import InvalidClient
from accredit.storage.writer import Once

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
METHOD = "private_key_jwt"
ASSERTION_LIMIT_BYTES = 8_192
LIFETIME_LIMIT_SECONDS = 300
LEEWAY_SECONDS = 10
_HEADER_MEMBERS = frozenset({"alg", "typ", "kid"})
_TYPES = frozenset({None, "JWT", "client-authentication+jwt"})
_KEY_CACHE_LIMIT = 4_096


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: float
    jti: str
    iat: float | None = None
    nbf: float | None = None


class PrivateKeyJwt:
    """Verifies assertions against the agent's own keys. The audience is this issuer, or its token endpoint."""

    methods = (METHOD,)

    def __init__(self, agents: Agents, clock: Clock, issuer: str) -> None:
        self._agents = agents
        self._clock = clock
        self._audiences = frozenset({issuer, f"{issuer}/oauth/token"})
        self._parsed: dict[str, KeySet] = {}
        # An assertion that no key fits is verified too, against keys that nobody has: the time is to tell nothing.
        self._nobody = KeySet(
            [
                ECKey.generate_key("P-256", private=False),
                ECKey.generate_key("P-384", private=False),
                OKPKey.generate_key("Ed25519", private=False),
                RSAKey.generate_key(2_048, private=False),
            ]
        )

    def method_of(self, request: ClientRequest) -> str | None:
        """Told by the assertion's parameters."""
        form = request.form
        return METHOD if "client_assertion" in form or "client_assertion_type" in form else None

    async def authenticate(self, request: ClientRequest) -> AuthenticatedClient:
        """Raises InvalidClient for every failure alike. A `jti` used before fails with the commit of its event."""
        form = request.form
        assertion = form.get("client_assertion", "")
        if form.get("client_assertion_type") != ASSERTION_TYPE or not 0 < len(assertion) <= ASSERTION_LIMIT_BYTES:
            raise invalid_client(detail="no assertion of the type of RFC 7523")
        client_id = _unverified_subject(assertion)
        agent = self._agents.peek(client_id)
        in_memory = agent is not None
        if agent is None:
            agent = await self._agents.get(client_id)
        try:
            claims = self._verify(assertion, self._keys(agent))
            self._check(claims, form)
            if agent is None or claims.sub != agent.id or agent.status is not AgentStatus.ACTIVE:
                raise invalid_client(detail="unknown or not active")
        except InvalidClient:
            # Every failure reads the database just once, so that the time does not tell a known agent from an unknown.
            if in_memory:
                await self._agents.reload(client_id)
            raise
        key = hashlib.sha256(f"{METHOD}\0{claims.sub}\0{claims.jti}".encode()).digest()
        return AuthenticatedClient(agent=agent, method=METHOD, once=Once(key, claims.exp + 2 * LEEWAY_SECONDS))

    def _keys(self, agent: Agent | None) -> KeySet:
        if agent is None:
            return self._nobody
        keys = [
            key
            for one in agent.credentials
            if one.kind is CredentialKind.PUBLIC_KEY and one.revoked_at is None and one.jwks
            for key in self._parse(one.jwks).keys
        ]
        return KeySet(keys) if keys else self._nobody

    def _parse(self, jwks: str) -> KeySet:
        found = self._parsed.get(jwks)
        if found is None:
            if len(self._parsed) >= _KEY_CACHE_LIMIT:
                self._parsed.clear()
            found = self._parsed[jwks] = KeySet.import_key_set(msgspec.json.decode(jwks))
        return found

    def _verify(self, assertion: str, keys: KeySet) -> _Claims:
        def choose(unverified: GuestProtocol) -> KeySet:
            header = unverified.headers()
            # RFC 8725 §3.10: no member that brings or names a key of its own.
            if not set(header) <= _HEADER_MEMBERS or header.get("typ") not in _TYPES:
                raise invalid_client(detail="header members")
            return _fitting(keys, header) or _fitting(self._nobody, {"alg": header.get("alg")}) or self._nobody

        try:
            verified = jws.deserialize_compact(assertion, choose, algorithms=list(CLIENT_ASSERTION_ALGORITHMS))
            return msgspec.json.decode(verified.payload, type=_Claims)
        except (JoseError, ValueError, TypeError, msgspec.MsgspecError) as error:
            raise invalid_client(detail=type(error).__name__) from error

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


def _fitting(keys: KeySet, header: Mapping[str, object]) -> KeySet | None:
    """The keys that this header may mean: by `kid` if it names one, and of the kind that its `alg` signs with."""
    kid, alg = header.get("kid"), str(header.get("alg"))
    kind = {"E": "EC", "P": "RSA", "R": "RSA"}.get(alg[:1], "") if alg != "Ed25519" else "OKP"
    fitting = [key for key in keys.keys if key.key_type == kind and (kid is None or key.kid == kid)]
    return KeySet(fitting) if fitting else None


def _unverified_subject(assertion: str) -> str:
    """The `sub` that the assertion claims: only to know whose keys to verify it with."""
    try:
        payload = jws.extract_compact(assertion.encode()).payload
        return msgspec.json.decode(payload, type=_Claims).sub
    except (JoseError, ValueError, TypeError, msgspec.MsgspecError) as error:
        raise invalid_client(detail=type(error).__name__) from error
