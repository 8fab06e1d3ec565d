"""A bearer token → Caller: signature, issuer, audience, time, and the agent's epoch (RFC 9068 §4).

The signature of a token that was seen before is not computed again; everything that can change is checked each time.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol

from accredit.agents.model import AgentStatus
from accredit.agents.registry import Agents
from accredit.clock import Clock
from accredit.errors import NotAuthenticated
from accredit.keys.signer import AccessTokenSigner
from accredit.tokens.model import Caller

TOKEN_LIMIT_BYTES = 4_096
CACHE_LIMIT = 10_000
LEEWAY_SECONDS = 5
_ALGORITHMS = ["ES256"]


@dataclass(frozen=True, slots=True)
class TokenNamed:
    """Whose token it is and which: known only when its signature is ours."""

    agent: str
    token_id: str


class InvalidToken(NotAuthenticated):
    """RFC 6750 §3.1 `invalid_token`: malformed, not ours, expired, for another audience, or ended.

    `token` is set if the signature is ours: then it can be told whose token was refused.
    """

    code = "invalid_token"

    def __init__(self, explanation: str, *, next_step: str, detail: str = "", token: TokenNamed | None = None) -> None:
        super().__init__(explanation, next_step=next_step, detail=detail)
        self.token = token


class NoToken(InvalidToken):
    """The request held no token at all; the challenge then names no error (RFC 6750 §3.1)."""


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str
    exp: int
    iat: int
    jti: str
    scope: str
    accredit_epoch: int


@dataclass(frozen=True, slots=True)
class _Seen:
    claims: _Claims
    scopes: frozenset[str]


class Verifier:
    """Verifies tokens of one issuer against its own keys. Nothing in the token chooses the key but our `kid`."""

    def __init__(self, issuer: str, signers: Sequence[AccessTokenSigner], agents: Agents, clock: Clock) -> None:
        self._issuer = issuer
        self._keys: dict[str, ECKey] = {signer.key_id: signer.jwk for signer in signers}
        self._agents = agents
        self._clock = clock
        self._cache: OrderedDict[str, _Seen] = OrderedDict()

    async def verify(self, token: str, audience: str) -> Caller:
        """Check a token for one audience.

        Raises InvalidToken, with the same words for every reason that would help a forger; Unavailable if the
        agent's state cannot be known.
        """
        seen = self._cache.get(token) or self._check_signature(token)
        claims = seen.claims
        self._check_claims(token, claims, audience)
        agent = self._agents.peek(claims.sub) or await self._agents.get(claims.sub)
        if agent is None or agent.status is not AgentStatus.ACTIVE or agent.epoch != claims.accredit_epoch:
            named = TokenNamed(claims.sub, claims.jti)
            raise InvalidToken("the token was ended", next_step="ask for a new one, or ask the owner", token=named)
        return Caller(
            agent=agent,
            token_id=claims.jti,
            scopes=seen.scopes,
            audience=claims.aud,
            expires_at=float(claims.exp),
            epoch=claims.accredit_epoch,
        )

    def _check_claims(self, token: str, claims: _Claims, audience: str) -> None:
        now = self._clock.seconds()
        if now >= claims.exp + LEEWAY_SECONDS:
            self._cache.pop(token, None)
            reason, next_step = "the token has expired", "ask for a new one at the token endpoint"
        elif claims.iat > now + LEEWAY_SECONDS:
            reason, next_step = "the token is not valid yet", "set this machine's clock"
        elif claims.aud != audience:
            reason, next_step = "the token is for another audience", f"ask for one with resource={audience}"
        else:
            return
        raise InvalidToken(reason, next_step=next_step, token=TokenNamed(claims.sub, claims.jti))

    def _check_signature(self, unverified: str) -> _Seen:
        if len(unverified) > TOKEN_LIMIT_BYTES or not unverified.isascii():
            raise _malformed()
        try:
            token = jws.deserialize_compact(unverified, self._find_key, algorithms=_ALGORITHMS)
            claims = msgspec.json.decode(token.payload, type=_Claims)
        except (JoseError, ValueError, TypeError, msgspec.MsgspecError) as error:
            raise InvalidToken("the token is not one of ours", next_step=_NEXT, detail=type(error).__name__) from error
        if claims.iss != self._issuer:
            raise _malformed()
        seen = _Seen(claims, frozenset(claims.scope.split()))
        self._cache[unverified] = seen
        if len(self._cache) > CACHE_LIMIT:
            self._cache.popitem(last=False)
        return seen

    def _find_key(self, unverified: GuestProtocol) -> ECKey:
        header = unverified.headers()
        # RFC 9068 §4: the type is required. RFC 8725 §3.1: one algorithm, chosen by us; no member that names a key.
        if header.get("typ") not in ("at+jwt", "application/at+jwt") or set(header) != {"alg", "typ", "kid"}:
            raise _malformed()
        key = self._keys.get(str(header.get("kid")))
        if key is None:
            raise _malformed()
        return key


_NEXT = "ask for one at the token endpoint"


def _malformed() -> InvalidToken:
    return InvalidToken("the token is not one of ours", next_step=_NEXT)
