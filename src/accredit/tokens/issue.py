"""Access tokens as JWTs of RFC 9068: signed with a Permit, stored nowhere."""

from dataclasses import dataclass

import msgspec

from accredit.canonical import base64url
from accredit.clock import Clock
from accredit.ids import TokenId
from accredit.keys.signer import AccessTokenSigner
from accredit.policy.permit import Permit
from accredit.policy.request import TOKEN_ISSUE
from accredit.sensitive import Sensitive


class _Payload(msgspec.Struct, frozen=True):
    """RFC 9068 §2.2, and `accredit_epoch`: the agent's revocation epoch when the token was made."""

    iss: str
    sub: str
    client_id: str
    aud: str
    iat: int
    exp: int
    jti: str
    scope: str
    accredit_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An issued token and what the token response says of it."""

    token: Sensitive
    expires_in: int
    scope: str


class Issuer:
    """Signs tokens of one issuer."""

    def __init__(self, issuer: str, signer: AccessTokenSigner, clock: Clock, lifetime_seconds: int) -> None:
        self._issuer = issuer
        self._signer = signer
        self._clock = clock
        self._lifetime_seconds = lifetime_seconds
        header = msgspec.json.encode({"alg": signer.algorithm, "typ": "at+jwt", "kid": signer.key_id})
        self._prefix = base64url(header).encode() + b"."
        self._encoder = msgspec.json.Encoder()

    def issue(self, permit: Permit, *, token_id: TokenId, audience: str, scopes: tuple[str, ...]) -> AccessToken:
        """Sign a token for the agent of the permit.

        It must not leave before `permit.ruling.recorded` is done. Raises TypeError for a permit of another action.
        """
        request = permit.ruling.request
        if request.action != TOKEN_ISSUE:
            raise TypeError("a token takes a permit to issue a token")
        now = int(self._clock.seconds())
        scope = " ".join(scopes)
        payload = _Payload(
            iss=self._issuer,
            sub=request.agent.id,
            client_id=request.agent.id,
            aud=audience,
            iat=now,
            exp=now + self._lifetime_seconds,
            jti=token_id,
            scope=scope,
            accredit_epoch=request.agent.epoch,
        )
        signing_input = self._prefix + base64url(self._encoder.encode(payload)).encode()
        token = signing_input + b"." + base64url(self._signer.sign(signing_input)).encode()
        return AccessToken(token=Sensitive(token.decode()), expires_in=self._lifetime_seconds, scope=scope)
