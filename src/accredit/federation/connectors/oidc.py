"""OpenID Connect: the code flow with PKCE, a nonce, and the issuer checked (Core §3.1, RFC 7636, RFC 9207)."""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode

import msgspec

from accredit.canonical import base64url
from accredit.federation.claims import identity_of, texts
from accredit.federation.client_proof import ClientProof
from accredit.federation.configuration import OidcProvider
from accredit.federation.connector import Attempt, Begun, Parts, Vouched
from accredit.federation.errors import ProviderFailed, refused
from accredit.federation.id_token import IdToken, check_id_token
from accredit.federation.jwks_cache import IssuerMetadata

_NEXT = "try again; if it stays so, the server's log says why"
_TOKEN_LIMIT = 65_536


class _TokenAnswer(msgspec.Struct, frozen=True):
    id_token: str
    access_token: str = ""
    token_type: str = "Bearer"  # noqa: S105  # a type, not a token


class _TokenError(msgspec.Struct, frozen=True):
    error: str = ""


class OidcConnector:
    """One OpenID Connect provider. Each has a redirect address of its own: a mix-up is seen by it (RFC 9700 §4.4)."""

    state_parameter = "state"
    posted = False

    def __init__(self, configuration: OidcProvider, secret: str | None, parts: Parts) -> None:
        self._configuration = configuration
        self._proof = ClientProof(configuration, secret, parts.clock)
        self._parts = parts
        self._redirect_uri = f"{parts.base}/console/sign-in/callback/{configuration.name}"

    async def begin(self, attempt: Attempt) -> Begun:
        """The address of the authorization request (Core §3.1.2.1)."""
        one = self._configuration
        metadata = await self._parts.cache.metadata(one.issuer)
        fields = {
            "response_type": "code",
            "client_id": one.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(one.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": base64url(hashlib.sha256(attempt.verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        if one.acr_values:
            fields["acr_values"] = " ".join(one.acr_values)
        if one.max_age_seconds is not None:
            fields["max_age"] = str(one.max_age_seconds)
        if one.prompt:
            fields["prompt"] = one.prompt
        if attempt.fresh:
            # Core §3.1.2.1: with max_age the provider has to say when; so one that ignores the prompt is seen.
            fields |= {"prompt": "login", "max_age": "0"}
        return Begun(_with_query(_named(metadata.authorization_endpoint), fields), attempt)

    async def finish(self, attempt: Attempt, answer: Mapping[str, str]) -> Vouched:
        """Change the code for tokens, and check them."""
        one = self._configuration
        metadata = await self._parts.cache.metadata(one.issuer)
        _check_issuer(answer.get("iss"), metadata)
        if "error" in answer:
            said = f"error {answer['error'][:100]!r}: {answer.get('error_description', '')[:300]!r}"
            raise refused(said, "the provider did not sign you in")
        if not (code := answer.get("code")):
            raise refused("no code")
        tokens = await self._redeem(code, attempt, metadata)
        now = self._parts.clock.seconds()
        token = await check_id_token(
            tokens.id_token, tokens.access_token, attempt, one, metadata, self._parts.cache, now
        )
        claims = await self._claims(token, tokens, metadata)
        return Vouched(
            identity=identity_of(one, f"oidc:{one.name}", token.sub, claims),
            acr=token.acr,
            amr=texts(token.amr),
            auth_time=token.auth_time,
            once=(),
        )

    async def sign_out_url(self) -> str | None:
        """RP-Initiated Logout 1.0 §2: we name ourselves, and the page that the browser comes back to."""
        one = self._configuration
        if not one.sign_out:
            return None
        metadata = await self._parts.cache.metadata(one.issuer)
        if not metadata.end_session_endpoint:
            return None
        back = f"{self._parts.base}/console/sign-in"
        fields = {"client_id": one.client_id, "post_logout_redirect_uri": back}
        return _with_query(metadata.end_session_endpoint, fields)

    def metadata(self) -> bytes | None:
        """None: OpenID Connect knows no such document of a client."""
        return None

    async def _redeem(self, code: str, attempt: Attempt, metadata: IssuerMetadata) -> _TokenAnswer:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": attempt.verifier,
            **self._proof.fields(),
        }
        url = _named(metadata.token_endpoint)
        answer = await self._parts.asking.form(url, self._configuration.issuer, fields, self._proof.basic())
        try:
            if answer.status != HTTPStatus.OK:
                error = msgspec.json.decode(answer.body, type=_TokenError).error[:100]
                raise refused(f"token endpoint: status {answer.status}, error {error!r}")
            found = msgspec.json.decode(answer.body, type=_TokenAnswer)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ProviderFailed(
                "the provider's answer cannot be read", next_step=_NEXT, detail=type(error).__name__
            ) from error
        if found.token_type.lower() != "bearer" or len(found.access_token) > _TOKEN_LIMIT:
            raise refused(f"token endpoint: token_type {found.token_type[:20]!r}")
        return found

    async def _claims(self, token: IdToken, tokens: _TokenAnswer, metadata: IssuerMetadata) -> Mapping[str, object]:
        """The ID token's claims, and those of userinfo beside them; the signed ones win (Core §5.3.2)."""
        one = self._configuration
        if not one.userinfo:
            return token.claims
        url = _named(metadata.userinfo_endpoint)
        if not tokens.access_token.isascii() or not tokens.access_token.isprintable() or not tokens.access_token:
            raise refused("no access token for userinfo")
        body = await self._parts.asking.with_token(url, one.issuer, tokens.access_token)
        try:
            told = msgspec.json.decode(body, type=dict[str, object])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ProviderFailed("the provider's userinfo cannot be read", detail=type(error).__name__) from error
        # Core §5.3.4: another subject's claims must not be used.
        if told.get("sub") != token.sub:
            raise refused("userinfo: sub")
        return {**told, **token.claims}


def _check_issuer(iss: str | None, metadata: IssuerMetadata) -> None:
    """RFC 9207 §2.4: compared before anything else of the answer is looked at, errors too."""
    if iss is None and metadata.authorization_response_iss_parameter_supported:
        raise refused("iss is missing")
    if iss is not None and iss != metadata.issuer:
        raise refused(f"iss {iss[:200]!r}")


def _named(endpoint: str) -> str:
    if not endpoint:
        raise ProviderFailed("the provider's metadata leaves out an endpoint that is needed", next_step=_NEXT)
    return endpoint


def _with_query(url: str, fields: Mapping[str, str]) -> str:
    return url + ("&" if "?" in url else "?") + urlencode(fields)
