"""ID tokens (OpenID Connect Core §2): what a client is told of the person who signed in.

And logout tokens (OpenID Connect Back-Channel Logout §2.4): that their session is over.
"""

import hashlib

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol

from accredit.agents.model import Agent
from accredit.canonical import base64url, from_base64url
from accredit.clock import Clock
from accredit.errors import InputRefused
from accredit.ids import KeyId, NewId, PersonId, SessionId
from accredit.keys.algorithms import SignatureInvalid
from accredit.keys.keyring import Keyring
from accredit.keys.signer import Signer
from accredit.people.model import Person
from accredit.sensitive import Sensitive
from accredit.tokens.errors import InvalidToken
from accredit.tokens.signed import sign_jwt

LIFETIME_SECONDS = 3_600
LOGOUT_SECONDS = 120
LEEWAY_SECONDS = 5
_LIMIT_BYTES = 8_192
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_TYPE = "JWT"
_NEXT = "sign in again for a new one"


class IdClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The claims of an ID token. `at_hash` binds it to the access token that it came with (§3.1.3.6)."""

    iss: str
    sub: str
    aud: str
    exp: int
    iat: int
    auth_time: int
    sid: str = ""
    nonce: str = ""
    acr: str = ""
    amr: tuple[str, ...] = ()
    at_hash: str = ""


class _LogoutClaims(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    sub: str
    aud: str
    iat: int
    exp: int
    jti: str
    sid: str
    events: dict[str, dict[str, str]]


class IdTokens:
    """Signs and checks ID tokens of one issuer."""

    def __init__(self, issuer: str, keyring: Keyring, clock: Clock, new_id: NewId) -> None:
        self._issuer = issuer
        self._keyring = keyring
        self._clock = clock
        self._new_id = new_id

    async def issue(
        self,
        agent: Agent,
        person: Person,
        *,
        access_token: Sensitive,
        nonce: str,
        auth_time: float,
        acr: str,
        amr: tuple[str, ...],
        session: SessionId | None,
    ) -> Sensitive:
        """An ID token for a client, which comes with an access token and so with its permit. Raises Unavailable."""
        now = int(self._clock.seconds())
        algorithm = "ES256" if agent.client is None else agent.client.id_token_signed_response_alg
        claims = IdClaims(
            iss=self._issuer,
            sub=person.id,
            aud=agent.client_id,
            exp=now + min(LIFETIME_SECONDS, agent.max_session_seconds),
            iat=now,
            auth_time=int(auth_time),
            sid=session or "",
            nonce=nonce,
            acr=acr,
            amr=amr,
            at_hash=_half_hash(access_token.reveal(), algorithm),
        )
        return Sensitive(await sign_jwt(self._keyring, _TYPE, claims, algorithm))

    async def logout_token(self, agent: Agent, person: PersonId, session: SessionId) -> Sensitive:
        """A logout token for a client that was told of a session. Raises Unavailable."""
        now = int(self._clock.seconds())
        algorithm = "ES256" if agent.client is None else agent.client.id_token_signed_response_alg
        claims = _LogoutClaims(
            iss=self._issuer,
            sub=person,
            aud=agent.client_id,
            iat=now,
            exp=now + LOGOUT_SECONDS,
            jti=self._new_id("lgt"),
            sid=session,
            events={_LOGOUT_EVENT: {}},
        )
        return Sensitive(await sign_jwt(self._keyring, "logout+jwt", claims, algorithm))

    def read(self, unverified: str, *, audience: str | None = None, expired: bool = False) -> IdClaims:
        """The claims of an ID token of ours; with `expired`, of an old one too (RP-Initiated Logout §2).

        Raises InvalidToken for one that is not ours, not for `audience`, or out of date.
        """
        if len(unverified) > _LIMIT_BYTES or not unverified.isascii():
            raise InvalidToken("the ID token is not one of ours", next_step=_NEXT)
        try:
            token = jws.extract_compact(unverified.encode())
            signing_input, _, signature = unverified.rpartition(".")
            self._find_key(token).verify(signing_input.encode(), from_base64url(signature))
            claims = msgspec.json.decode(token.payload, type=IdClaims)
        except (JoseError, ValueError, TypeError, msgspec.MsgspecError, InputRefused, SignatureInvalid) as error:
            detail = type(error).__name__
            raise InvalidToken("the ID token is not one of ours", next_step=_NEXT, detail=detail) from error
        now = self._clock.seconds()
        if claims.iss != self._issuer or (audience is not None and claims.aud != audience):
            raise InvalidToken("the ID token is for another client", next_step=_NEXT)
        if claims.iat > now + LEEWAY_SECONDS or (not expired and now >= claims.exp + LEEWAY_SECONDS):
            raise InvalidToken("the ID token is out of date", next_step=_NEXT)
        return claims

    def _find_key(self, unverified: GuestProtocol) -> Signer:
        header = unverified.headers()
        signer = self._keyring.verifying().get(KeyId(str(header.get("kid"))))
        # An access token has another type: it never passes for an ID token (RFC 8725 §3.11).
        # What it does not know it does not take: no `crit`, no key that the token brings along.
        known = header.keys() == {"alg", "typ", "kid"} and header.get("typ") == _TYPE
        if not known or signer is None or signer.algorithm != header.get("alg"):
            raise InvalidToken("the ID token is not one of ours", next_step=_NEXT)
        return signer


def _half_hash(text: str, algorithm: str) -> str:
    """The left half of the hash that the signature's algorithm uses (§3.1.3.6); Ed25519 uses SHA-512."""
    digest = hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256
    whole = digest(text.encode()).digest()
    return base64url(whole[: len(whole) // 2])
