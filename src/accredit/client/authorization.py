"""The code flow: a person, in a browser, lets the client act for them (RFC 6749 §4.1, RFC 7636, RFC 9207, RFC 9126)."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from accredit.client.credentials import Credential, prove
from accredit.client.errors import AuthorizationFailed, Denied, DiscoveryFailed, StepUpRequired, Unavailable
from accredit.client.metadata import AuthorizationServer
from accredit.client.steps import Call, Http, Steps, ask, check_url, send
from accredit.client.tokens import refusal

_S256 = "S256"
_VERIFIER_BYTES = 48
_STATE_BYTES = 32
_CREATED = 201
_MIX_UP = "do not go on: the answer may come from another server than the one that was asked"
_SIGN_IN = frozenset({"login_required", "interaction_required", "unmet_authentication_requirements"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """What came back to the redirect URI (RFC 6749 §4.1.2); printing it shows no code."""

    state: str | None = None
    iss: str | None = None
    code: str | None = field(default=None, repr=False)
    error: str | None = None
    error_description: str | None = None

    @classmethod
    def from_url(cls, url: str) -> "AuthorizationResponse":
        """The response in the address that the browser was sent to. Raises AuthorizationFailed."""
        given: dict[str, str] = {}
        for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
            # RFC 6749 §3.1: no parameter more than once.
            if given.setdefault(name, value) != value:
                raise AuthorizationFailed(f"the authorization response holds {name[:40]} twice", next_step=_MIX_UP)
        return cls(
            state=given.get("state"),
            iss=given.get("iss"),
            code=given.get("code"),
            error=given.get("error"),
            error_description=given.get("error_description"),
        )


class Redirect(Protocol):
    """How a person gets to the authorization server and back."""

    @property
    def redirect_uri(self) -> str:
        """The address to come back to, the same until `authorize` has returned."""

    def authorize(self, url: str) -> AuthorizationResponse | Awaitable[AuthorizationResponse]:
        """Take the person to an address; what they came back with. Raises AuthorizationFailed if they do not."""


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """The code flow with PKCE, and refreshing where the server allows it.

        auth = OAuth(url, NewClient("Notes"), grant=AuthorizationCode(LoopbackRedirect()))

    `acr_values` asks for a kind of sign-in from the beginning (RFC 9470 §4).
    """

    redirect: Redirect
    acr_values: tuple[str, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of the person."""

    scope: tuple[str, ...] = ()
    resource: str | None = None
    acr_values: tuple[str, ...] = ()
    max_age_seconds: int | None = None
    dpop_thumbprint: str | None = None


def authorize(
    grant: AuthorizationCode, credential: Credential, server: AuthorizationServer, wish: Wish, http: Http
) -> Steps[dict[str, str]]:
    """Ask the person; the parameters of the token request that follows. Raises ClientError."""
    if server.authorization_endpoint is None:
        raise DiscoveryFailed(f"{server.issuer} has no authorization endpoint", next_step="use another grant")
    # MCP authorization: without it, nobody can tell that the server checks the verifier.
    if _S256 not in (server.code_challenge_methods_supported or ()):
        raise DiscoveryFailed(f"{server.issuer} does not say that it supports PKCE with S256", next_step="report it")
    check_url(server.authorization_endpoint, http)
    verifier, state = secrets.token_urlsafe(_VERIFIER_BYTES), secrets.token_urlsafe(_STATE_BYTES)
    redirect_uri = grant.redirect.redirect_uri
    query = _query(grant, credential.client_id, wish, redirect_uri, state, verifier)
    url = yield from _address(server, credential, query)
    response = yield from ask(lambda: grant.redirect.authorize(url))
    return {
        "grant_type": "authorization_code",
        "code": check_response(response, state, server),
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
        "client_id": credential.client_id,
    }


def check_response(response: AuthorizationResponse, state: str, server: AuthorizationServer) -> str:
    """The code in a response that can be trusted. Raises AuthorizationFailed, Denied, StepUpRequired, Unavailable."""
    if response.state is None or not hmac.compare_digest(response.state.encode(), state.encode()):
        raise AuthorizationFailed("the authorization response is not the answer to this request", next_step=_MIX_UP)
    # RFC 9207 §2.4: the same characters, whether or not support was announced; errors are checked too.
    if response.iss is None:
        if server.authorization_response_iss_parameter_supported:
            raise AuthorizationFailed(f"{server.issuer} did not say that it is the issuer", next_step=_MIX_UP)
    elif response.iss != server.issuer:
        raise AuthorizationFailed(f"the response is from {response.iss}, not {server.issuer}", next_step=_MIX_UP)
    if response.error is not None:
        raise _refused(response.error, response.error_description)
    if not response.code:
        raise AuthorizationFailed(f"{server.issuer} sent neither a code nor an error", next_step="report it")
    return response.code


def _query(
    grant: AuthorizationCode, client_id: str, wish: Wish, redirect_uri: str, state: str, verifier: str
) -> dict[str, str]:
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": _S256,
    }
    if wish.scope:
        query["scope"] = " ".join(wish.scope)
    # OpenID Connect Core §11: offline access is given only where consent was asked for.
    if "offline_access" in wish.scope:
        query["prompt"] = "consent"
    if wish.resource is not None:
        query["resource"] = wish.resource
    if acr := wish.acr_values or grant.acr_values:
        query["acr_values"] = " ".join(acr)
    if wish.max_age_seconds is not None:
        query["max_age"] = str(wish.max_age_seconds)
    if wish.dpop_thumbprint is not None:
        query["dpop_jkt"] = wish.dpop_thumbprint
    return query


class _Pushed(msgspec.Struct, frozen=True):
    request_uri: str


def _address(server: AuthorizationServer, credential: Credential, query: dict[str, str]) -> Steps[str]:
    """Where to send the browser; the request itself is pushed where the server takes that (RFC 9126)."""
    pushed = server.pushed_authorization_request_endpoint
    if pushed is not None:
        proof = yield from prove(credential, server)
        answer = yield from send(Call(url=pushed, form={**query, **proof.form}, headers=proof.headers))
        if answer.status != _CREATED:
            raise refusal(answer, pushed)
        try:
            reference = msgspec.json.decode(answer.body, type=_Pushed).request_uri
        except msgspec.MsgspecError as error:
            raise Unavailable(f"{server.issuer} did not take the pushed request as RFC 9126 says") from error
        query = {"client_id": credential.client_id, "request_uri": reference}
    endpoint = server.authorization_endpoint or ""
    return endpoint + ("&" if urlsplit(endpoint).query else "?") + urlencode(query)


def _refused(code: str, description: str | None) -> Denied | StepUpRequired | Unavailable:
    text = description or "the authorization server refused"
    if code in _SIGN_IN:
        return StepUpRequired(text, code=code, next_step="let the person sign in again")
    if code in {"temporarily_unavailable", "server_error"}:
        return Unavailable(text, code=code, next_step="try again later")
    step = "the person, or a policy, said no" if code == "access_denied" else "ask whoever runs the server"
    return Denied(text, code=code, next_step=step)
