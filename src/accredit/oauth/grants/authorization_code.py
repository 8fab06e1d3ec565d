"""The authorization code grant: what a person gave, changed into a token (RFC 6749 §4.1.3, RFC 7636 §4.5)."""

import hashlib
import hmac
import re

import msgspec

from accredit.canonical import base64url
from accredit.oauth.codes import AuthorizationCode, Seals
from accredit.oauth.errors import InvalidGrant, InvalidTarget
from accredit.oauth.families import Families
from accredit.oauth.grant import Granted, TokenRequest
from accredit.oauth.on_behalf import OnBehalf, Turn
from accredit.storage.writer import Once

# RFC 7636 §4.1.
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class AuthorizationCodeGrant:
    """A code is used once; a second use ends what came of the first."""

    grant_type = "authorization_code"
    required = frozenset({"code", "code_verifier"})
    optional = frozenset({"resource", "redirect_uri"})
    is_open_to_public_clients = True

    def __init__(self, seals: Seals, families: Families, on_behalf: OnBehalf) -> None:
        self._seals = seals
        self._families = families
        self._on_behalf = on_behalf

    async def handle(self, request: TokenRequest) -> Granted:
        """Raises InvalidGrant, InvalidTarget, InvalidScope, UnauthorizedClient."""
        code = self._seals.open_code(request.parameters["code"])
        if code is None or code.family.agent != request.client.agent.id:
            raise _refused("it is unknown, too old, or another client's")
        self._check(code, request)
        family = code.family
        if request.client.is_public:
            # RFC 9449 §5: the refresh tokens of who has no secret are bound to the key instead.
            family = msgspec.structs.replace(family, confirmation=request.confirmation)

        async def on_reuse(_once: Once) -> None:
            why = "an authorization code was used twice"
            await self._families.end(family, request.client.agent, why, with_delegation=code.owns_delegation)

        return await self._on_behalf.issue(
            request,
            Turn(family=family, scope=" ".join(family.scopes), once=code.once(), on_reuse=on_reuse, is_first=True),
        )

    def _check(self, code: AuthorizationCode, request: TokenRequest) -> None:
        parameters = request.parameters
        # OAuth 2.1 clients leave it out, since PKCE binds the code to the request; one that is sent must be the same.
        if parameters.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
            raise _refused("redirect_uri is another than in the request for it (RFC 6749 §4.1.3)")
        if not _fits(parameters["code_verifier"], code.code_challenge):
            raise _refused("code_verifier does not fit (RFC 7636 §4.6)")
        jkt = None if request.confirmation is None else request.confirmation.jkt
        if code.dpop_jkt and jkt != code.dpop_jkt:
            raise _refused("it is bound to another key (RFC 9449 §10)")
        if parameters.get("resource", code.family.audience) != code.family.audience:
            raise InvalidTarget("the code is for another resource", next_step="ask for that one in the request")


def _fits(verifier: str, challenge: str) -> bool:
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    presented = base64url(hashlib.sha256(verifier.encode()).digest())
    return hmac.compare_digest(presented.encode(), challenge.encode())


def _refused(why: str) -> InvalidGrant:
    return InvalidGrant("the code is not taken: " + why, next_step="begin anew at the authorization endpoint")
