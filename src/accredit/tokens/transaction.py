"""Transaction tokens (draft-ietf-oauth-transaction-tokens-10): what a system is told of the call that it receives.

Made for one permitted call, and good for nothing else: its type is none that is taken as an access token anywhere.
"""

import hashlib

import msgspec

from accredit.canonical import base64url
from accredit.clock import Clock
from accredit.keys.keyring import Keyring
from accredit.policy.permit import Permit
from accredit.policy.request import TOKEN_ISSUE
from accredit.tokens.issue import subject_of
from accredit.tokens.signed import sign_jwt

HEADER = "txn-token"
TYPE = "txntoken+jwt"
LIFETIME_SECONDS = 30


class TransactionContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`tctx`: what does not change as the call goes on (§3.2.3).

    `resource` is the tool, prompt or URI; `body_s256` the SHA-256 of the request body in base64url, so that a token
    fits one request; `actors` the agents behind the one that acts, the latest first.
    """

    action: str
    system: str
    resource: str = ""
    body_s256: str = ""
    delegation: str = ""
    actors: tuple[str, ...] = ()
    policy_set: str = ""


class RequesterContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`rctx`: where the call came from (§3.2.4)."""

    req_ip: str = ""
    authn: str = ""
    sender_constraint: str = ""
    acr: str = ""


class TransactionClaims(msgspec.Struct, frozen=True, kw_only=True):
    """§3.2. `txn` is the id of the decision's event, `req_wl` the agent that acts, `scope` the operation."""

    iss: str
    iat: int
    exp: int
    aud: str
    txn: str
    sub: str
    scope: str
    req_wl: str
    tctx: TransactionContext
    rctx: RequesterContext


class TransactionTokens:
    """Signs them for one trust domain (§2.4); by default it is the issuer."""

    def __init__(self, issuer: str, trust_domain: str, keyring: Keyring, clock: Clock) -> None:
        self._issuer = issuer
        self._trust_domain = trust_domain or issuer
        self._keyring = keyring
        self._clock = clock

    async def issue(self, permit: Permit, body: bytes | None) -> str:
        """The token of a call that was permitted and is about to be sent with this body.

        Raises TypeError for a permit to issue a token, Unavailable if the key is away.
        """
        request = permit.ruling.request
        if request.action == TOKEN_ISSUE:
            raise TypeError("a transaction token takes the permit of a call")
        evidence = request.evidence
        now = int(self._clock.seconds())
        claims = TransactionClaims(
            iss=self._issuer,
            iat=now,
            exp=now + LIFETIME_SECONDS,
            aud=self._trust_domain,
            txn=permit.ruling.event,
            sub=subject_of(request.agent, evidence),
            scope=request.action,
            req_wl=request.agent.id,
            tctx=TransactionContext(
                action=request.action,
                system=request.system.name,
                resource=request.resource or "",
                body_s256="" if body is None else base64url(hashlib.sha256(body).digest()),
                delegation=evidence.delegation or "",
                actors=tuple(actor.agent for actor in evidence.actors),
                policy_set=permit.ruling.policy_set,
            ),
            rctx=RequesterContext(
                req_ip=evidence.network,
                authn=evidence.authentication or "",
                sender_constraint=evidence.sender_constraint,
                acr=evidence.acr,
            ),
        )
        return await sign_jwt(self._keyring, TYPE, claims, request.system.token_algorithm)
