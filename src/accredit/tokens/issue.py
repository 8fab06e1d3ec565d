"""Access tokens as JWTs of RFC 9068: signed with a Permit, stored nowhere.

Who acts, for whom, and what ends it are the permit's: a token cannot say other than what was decided.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from accredit.agents.model import Agent
from accredit.canonical import base64url
from accredit.clock import Clock
from accredit.delegations.model import ActionDetails
from accredit.keys.keyring import Keyring
from accredit.policy.permit import Permit
from accredit.policy.request import TOKEN_ISSUE, Evidence
from accredit.sensitive import Sensitive
from accredit.tokens.claims import AccessTokenClaims, Act, MayAct, Status
from accredit.tokens.model import Confirmation

GiveStatus = Callable[[AccessTokenClaims], Status]
"""Gives a token a place in a status list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An issued token and what the token response says of it. `expires_in` is in seconds."""

    token: Sensitive
    expires_in: int
    scope: str
    token_type: str = "Bearer"  # noqa: S105  # the name of a type


class Issuer:
    """Signs tokens of one issuer."""

    def __init__(
        self,
        issuer: str,
        keyring: Keyring,
        clock: Clock,
        lifetime_seconds: int,
        give_status: GiveStatus | None = None,
    ) -> None:
        self._issuer = issuer
        self._keyring = keyring
        self._clock = clock
        self._lifetime_seconds = lifetime_seconds
        self._give_status = give_status
        self._prefixes: dict[str, bytes] = {}
        self._encoder = msgspec.json.Encoder()

    async def issue(
        self,
        permit: Permit,
        *,
        audience: str,
        scopes: tuple[str, ...],
        algorithm: str = "ES256",
        confirmation: Confirmation | None = None,
        details: tuple[ActionDetails, ...] = (),
        auth_time: float | None = None,
        not_after: float | None = None,
    ) -> AccessToken:
        """Sign a token for the agent of the permit, and for the person of its evidence if there is one.

        It must not leave before `permit.ruling.recorded` is done. `not_after` (seconds since 1970) bounds its life:
        what it came of ends then. Raises TypeError for a permit of another action, Unavailable if the key is away.
        """
        request = permit.ruling.request
        agent, evidence = request.agent, request.evidence
        token_id = evidence.token_id
        if request.action != TOKEN_ISSUE or token_id is None:
            raise TypeError("a token takes a permit to issue a token")
        now = int(self._clock.seconds())
        seconds = min(self._lifetime_seconds, agent.max_session_seconds)
        if not_after is not None:
            seconds = max(0, min(seconds, int(not_after) - now))
        scope = " ".join(scopes)
        claims = AccessTokenClaims(
            iss=self._issuer,
            sub=subject_of(agent, evidence),
            client_id=agent.id,
            aud=audience,
            iat=now,
            exp=now + seconds,
            jti=token_id,
            scope=scope,
            accredit_epoch=agent.epoch,
            act=_act(agent, evidence),
            cnf=confirmation,
            authorization_details=details,
            may_act=_may_act(agent),
            acr=evidence.acr,
            auth_time=None if auth_time is None else int(auth_time),
            accredit_delegation=evidence.delegation or "",
            accredit_actors=dict(evidence.actors),
            accredit_lineage=evidence.lineage,
        )
        if self._give_status is not None:
            claims = msgspec.structs.replace(claims, status=self._give_status(claims))
        token = await self._sign(claims, algorithm)
        token_type = "DPoP" if confirmation is not None and confirmation.jkt is not None else "Bearer"
        return AccessToken(token=Sensitive(token), expires_in=seconds, scope=scope, token_type=token_type)

    async def _sign(self, claims: AccessTokenClaims, algorithm: str) -> str:
        signer = self._keyring.signer(algorithm)
        prefix = self._prefixes.get(signer.key_id)
        if prefix is None:
            header = msgspec.json.encode({"alg": signer.algorithm, "typ": "at+jwt", "kid": signer.key_id})
            prefix = self._prefixes[signer.key_id] = base64url(header).encode() + b"."
        signing_input = prefix + base64url(self._encoder.encode(claims)).encode()
        return (signing_input + b"." + base64url(await signer.sign(signing_input)).encode()).decode()


def subject_of(agent: Agent, evidence: Evidence) -> str:
    """Whom a token is about: the person, else the agent that began the chain, else the agent itself."""
    if evidence.person is not None:
        return evidence.person
    return evidence.actors[-1].agent if evidence.actors else agent.id


def _act(agent: Agent, evidence: Evidence) -> Act | None:
    """The chain of RFC 8693 §4.1; none where an agent acts as itself. The one who began it is `sub`, not an actor."""
    if evidence.person is None and not evidence.actors:
        return None
    earlier = evidence.actors if evidence.person is not None else evidence.actors[:-1]
    chain: Act | None = None
    for actor in reversed(earlier):
        chain = Act(actor.agent, chain)
    return Act(agent.id, chain)


def _may_act(agent: Agent) -> MayAct | None:
    if not agent.may_act:
        return None
    return MayAct(agent.may_act[0] if len(agent.may_act) == 1 else tuple(agent.may_act))
