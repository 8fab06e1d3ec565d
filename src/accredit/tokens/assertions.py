"""Identity assertions of our own for other authorization servers: ID-JAG.

draft-ietf-oauth-identity-assertion-authz-grant-04 §3. Signed with a Permit like every token, stored nowhere, and short.
"""

import msgspec

from accredit.canonical import base64url
from accredit.clock import Clock
from accredit.keys.keyring import Keyring
from accredit.policy.permit import Permit
from accredit.policy.request import TOKEN_ISSUE
from accredit.sensitive import Sensitive
from accredit.tokens.issue import AccessToken

TYPE = "oauth-id-jag+jwt"


class Authentication(msgspec.Struct, frozen=True, kw_only=True):
    """How and when the person proved who they are (OpenID Connect Core §2). `auth_time` is in seconds since 1970."""

    acr: str = ""
    amr: tuple[str, ...] = ()
    auth_time: float | None = None


class IdJagClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """§3 of the draft. `aud` is the issuer of the other server, `client_id` what the agent is called there."""

    iss: str
    sub: str
    aud: str
    client_id: str
    jti: str
    iat: int
    exp: int
    resource: str
    scope: str = ""
    auth_time: int | None = None
    acr: str = ""
    amr: tuple[str, ...] = ()


class IdJagIssuer:
    """Signs identity assertions of one issuer."""

    def __init__(self, issuer: str, keyring: Keyring, clock: Clock) -> None:
        self._issuer = issuer
        self._keyring = keyring
        self._clock = clock

    async def issue(
        self,
        permit: Permit,
        *,
        client_id: str,
        scopes: tuple[str, ...],
        resource: str,
        authentication: Authentication,
        lifetime_seconds: int,
        algorithm: str = "ES256",
    ) -> AccessToken:
        """Sign an assertion for the person and the audience of the permit.

        It must not leave before `permit.ruling.recorded` is done. Raises TypeError for a permit of another action or
        without a person, Unavailable if the key is away.
        """
        request = permit.ruling.request
        person, token_id = request.evidence.person, request.evidence.token_id
        if request.action != TOKEN_ISSUE or token_id is None or person is None or request.resource is None:
            raise TypeError("an identity assertion takes a permit to issue a token for a person and an audience")
        now = int(self._clock.seconds())
        claims = IdJagClaims(
            iss=self._issuer,
            sub=person,
            aud=request.resource,
            client_id=client_id,
            jti=token_id,
            iat=now,
            exp=now + lifetime_seconds,
            resource=resource,
            scope=" ".join(scopes),
            auth_time=None if authentication.auth_time is None else int(authentication.auth_time),
            acr=authentication.acr,
            amr=authentication.amr,
        )
        signer = self._keyring.signer(algorithm)
        header = msgspec.json.encode({"alg": signer.algorithm, "typ": TYPE, "kid": signer.key_id})
        signing_input = f"{base64url(header)}.{base64url(msgspec.json.encode(claims))}".encode()
        token = (signing_input + b"." + base64url(await signer.sign(signing_input)).encode()).decode()
        # RFC 8693 §2.2.1: what is no access token has no type.
        return AccessToken(token=Sensitive(token), expires_in=lifetime_seconds, scope=claims.scope, token_type="N_A")  # noqa: S106
