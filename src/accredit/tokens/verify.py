"""A token → Caller: signature, issuer, audience, time, its key, and everything whose end ends it (RFC 9068 §4).

The signature of a token that was seen before is not computed again; everything that can change is checked each time.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol

from accredit.agents.model import Agent, AgentStatus
from accredit.agents.registry import Agents
from accredit.agents.revocations import Revocations
from accredit.canonical import from_base64url
from accredit.clock import Clock
from accredit.errors import InputRefused
from accredit.ids import KeyId
from accredit.keys.algorithms import SignatureInvalid
from accredit.keys.keyring import Keyring
from accredit.keys.signer import Signer
from accredit.policy.request import EarlierActor, Evidence
from accredit.storage.writer import Once
from accredit.tokens.binding import Binding
from accredit.tokens.claims import AccessTokenClaims, Act
from accredit.tokens.errors import InvalidToken, NonceNeeded, TokenNamed
from accredit.tokens.model import Caller, Presented

TOKEN_LIMIT_BYTES = 8_192
CACHE_LIMIT = 10_000
LEEWAY_SECONDS = 5
_BEARER = Presented()


@dataclass(frozen=True, slots=True)
class _Seen:
    """A token whose signature is ours, made with the key `key_id`."""

    key_id: str
    claims: AccessTokenClaims
    scopes: frozenset[str]
    actors: tuple[EarlierActor, ...]
    lineage: tuple[str, ...]


class Inspected(NamedTuple):
    """A token that holds: its claims, and the agents behind the one that acts, the latest first."""

    claims: AccessTokenClaims
    actors: tuple[EarlierActor, ...]


class Verifier:
    """Verifies tokens of one issuer against its own keys. Nothing in the token chooses the key but our `kid`."""

    def __init__(
        self,
        issuer: str,
        keyring: Keyring,
        agents: Agents,
        revocations: Revocations,
        binding: Binding,
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._keyring = keyring
        self._agents = agents
        self._revocations = revocations
        self._binding = binding
        self._clock = clock
        self._cache: OrderedDict[str, _Seen] = OrderedDict()

    async def verify(self, token: str, audience: str, presented: Presented = _BEARER) -> Caller:
        """Check a token that is used at one audience, and that who presents it holds its key.

        Raises InvalidToken, with the same words for every reason that would help a forger; Unavailable if the state
        of what it came of cannot be known.
        """
        seen = self._cached(token) or self._check_signature(token)
        self._check_time(token, seen.claims)
        if seen.claims.aud != audience:
            next_step = f"ask for one with resource={audience}"
            raise InvalidToken("the token is for another audience", next_step=next_step, token=_named(seen.claims))
        try:
            once = self._binding.check(seen.claims.cnf, presented, token)
        except NonceNeeded:
            # A step of the protocol, and nothing to record.
            raise
        except InvalidToken as error:
            error.token = _named(seen.claims)
            raise
        return await self._caller(seen, once, used=True)

    async def examine(self, token: str) -> Caller:
        """Check a token that is looked at and not used: for any audience, whoever holds its key. Raises as `verify`."""
        seen = self._cached(token) or self._check_signature(token)
        self._check_time(token, seen.claims)
        return await self._caller(seen, (), used=False)

    async def inspect(self, token: str) -> Inspected:
        """The same, with the claims as they stand in the token."""
        seen = self._cached(token) or self._check_signature(token)
        self._check_time(token, seen.claims)
        await self._check_holds(seen)
        return Inspected(seen.claims, seen.actors)

    def read(self, token: str) -> AccessTokenClaims:
        """The claims of a token that is ours, whether it still holds or not. Raises InvalidToken."""
        return (self._cached(token) or self._check_signature(token)).claims

    async def _caller(self, seen: _Seen, once: tuple[Once, ...], *, used: bool) -> Caller:
        claims = seen.claims
        agent = await self._check_holds(seen)
        constraint = "" if claims.cnf is None else claims.cnf.sender_constraint
        evidence = Evidence(
            authentication="access_token",
            token_id=claims.jti,
            person=claims.sub if claims.sub.startswith("per_") else None,
            delegation=claims.accredit_delegation or None,
            actors=seen.actors,
            lineage=seen.lineage,
            # What was only looked at proved nothing.
            sender_constraint=constraint if used else "",
            acr=claims.acr,
        )
        return Caller(
            agent=agent,
            token_id=claims.jti,
            scopes=seen.scopes,
            audience=claims.aud,
            expires_at=float(claims.exp),
            epoch=claims.accredit_epoch,
            subject=claims.sub,
            evidence=evidence,
            confirmation=claims.cnf,
            details=claims.authorization_details,
            may_act=_may_act(claims),
            auth_time=claims.auth_time,
            once=once,
        )

    async def _check_holds(self, seen: _Seen) -> Agent:
        """The agent of a token of which nothing was ended. Raises InvalidToken, Unavailable."""
        claims = seen.claims
        agent = self._agents.peek(claims.client_id) or await self._agents.get(claims.client_id)
        if agent is None or not _is_of_epoch(agent, claims.accredit_epoch) or await self._has_ended(seen):
            raise InvalidToken(
                "the token was ended", next_step="ask for a new one, or ask the owner", token=_named(claims)
            )
        return agent

    async def _has_ended(self, seen: _Seen) -> bool:
        if await self._revocations.is_ended(seen.lineage):
            return True
        for actor in seen.actors:
            agent = self._agents.peek(actor.agent) or await self._agents.get(actor.agent)
            if agent is None or not _is_of_epoch(agent, actor.epoch):
                return True
        return False

    def _cached(self, token: str) -> _Seen | None:
        seen = self._cache.get(token)
        # A key that was taken out of use at once takes its tokens along.
        return seen if seen is not None and seen.key_id in self._keyring.verifying() else None

    def _check_time(self, token: str, claims: AccessTokenClaims) -> None:
        now = self._clock.seconds()
        if now >= claims.exp + LEEWAY_SECONDS:
            self._cache.pop(token, None)
            reason, next_step = "the token has expired", "ask for a new one at the token endpoint"
        elif claims.iat > now + LEEWAY_SECONDS:
            reason, next_step = "the token is not valid yet", "set this machine's clock"
        else:
            return
        raise InvalidToken(reason, next_step=next_step, token=_named(claims))

    def _check_signature(self, unverified: str) -> _Seen:
        if len(unverified) > TOKEN_LIMIT_BYTES or not unverified.isascii():
            raise _malformed()
        try:
            token = jws.extract_compact(unverified.encode())
            signing_input, _, signature = unverified.rpartition(".")
            # Not by joserfc's own table of algorithms: it warns at each EdDSA (RFC 9864).
            self._find_key(token).verify(signing_input.encode(), from_base64url(signature))
            claims = msgspec.json.decode(token.payload, type=AccessTokenClaims)
        except (JoseError, ValueError, TypeError, msgspec.MsgspecError, InputRefused, SignatureInvalid) as error:
            raise InvalidToken("the token is not one of ours", next_step=_NEXT, detail=type(error).__name__) from error
        actor = claims.sub if claims.act is None else claims.act.sub
        if claims.iss != self._issuer or actor != claims.client_id:
            raise _malformed()
        seen = _Seen(
            key_id=str(token.headers().get("kid")),
            claims=claims,
            scopes=frozenset(claims.scope.split()),
            actors=_earlier_actors(claims),
            lineage=(claims.jti, *claims.accredit_lineage),
        )
        self._cache[unverified] = seen
        if len(self._cache) > CACHE_LIMIT:
            self._cache.popitem(last=False)
        return seen

    def _find_key(self, unverified: GuestProtocol) -> Signer:
        header = unverified.headers()
        # RFC 9068 §4: the type is required. RFC 8725 §3.1: one algorithm, chosen by us; no member that names a key.
        if header.get("typ") not in ("at+jwt", "application/at+jwt") or set(header) != {"alg", "typ", "kid"}:
            raise _malformed()
        signer = self._keyring.verifying().get(KeyId(str(header.get("kid"))))
        if signer is None or signer.algorithm != header.get("alg"):
            raise _malformed()
        return signer


_NEXT = "ask for one at the token endpoint"


def _is_of_epoch(agent: Agent, epoch: int) -> bool:
    return agent.status is AgentStatus.ACTIVE and agent.epoch == epoch


def _earlier_actors(claims: AccessTokenClaims) -> tuple[EarlierActor, ...]:
    """The agents behind the one that acts, the latest first; where an agent began the chain, it is the last."""
    names: list[str] = []
    behind: Act | None = None if claims.act is None else claims.act.act
    while behind is not None:
        names.append(behind.sub)
        behind = behind.act
    if claims.act is not None and not claims.sub.startswith("per_"):
        names.append(claims.sub)
    # An actor without an epoch is in no token of ours.
    return tuple(EarlierActor(name, claims.accredit_actors.get(name, -1)) for name in names)


def _may_act(claims: AccessTokenClaims) -> tuple[str, ...] | None:
    if claims.may_act is None:
        return None
    return (claims.may_act.sub,) if isinstance(claims.may_act.sub, str) else claims.may_act.sub


def _named(claims: AccessTokenClaims) -> TokenNamed:
    return TokenNamed(claims.client_id, claims.jti)


def _malformed() -> InvalidToken:
    return InvalidToken("the token is not one of ours", next_step=_NEXT)
