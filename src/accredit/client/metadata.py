"""Discovery: from a resource to its authorization server (RFC 9728 → RFC 8414 or OpenID Connect Discovery).

The orders are those of MCP's authorization revisions 2025-06-18, 2025-11-25 and 2026-07-28. A resource without any
metadata is one of 2025-03-26: its own origin is the authorization server.
"""

from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from accredit.client.errors import DiscoveryFailed, Misconfigured, Unavailable
from accredit.client.steps import Answer, Call, Http, Steps, check_url, send

M = TypeVar("M")

_OK = 200
_SERVER_ERROR = 500
_PROTECTED = "/.well-known/oauth-protected-resource"
_OAUTH = "/.well-known/oauth-authorization-server"
_OPENID = "/.well-known/openid-configuration"
_WRONG = "report it to whoever runs the server; sending anything there would be unsafe"


class ProtectedResource(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata of a resource (RFC 9728 §2)."""

    resource: str
    authorization_servers: tuple[str, ...] | None = None
    scopes_supported: tuple[str, ...] | None = None
    dpop_bound_access_tokens_required: bool | None = None


class AuthorizationServer(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata of an authorization server (RFC 8414 §2), as far as the SDK reads it."""

    issuer: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    registration_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    scopes_supported: tuple[str, ...] | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] | None = None
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] | None = None
    code_challenge_methods_supported: tuple[str, ...] | None = None
    authorization_response_iss_parameter_supported: bool | None = None
    client_id_metadata_document_supported: bool | None = None
    dpop_signing_alg_values_supported: tuple[str, ...] | None = None


def find_resource(resource: str, hint: str | None, http: Http) -> Steps[ProtectedResource | None]:
    """The metadata of the resource at this address; None if it publishes none.

    `hint` is the `resource_metadata` of its challenge. Raises DiscoveryFailed, Unavailable.
    """
    for url in ([hint] if hint else []) + _protected_urls(resource):
        answer = yield from _fetch(url, http)
        if answer is None:
            continue
        found = _decode(answer, ProtectedResource, url)
        if not covers(found.resource, resource):
            raise DiscoveryFailed(
                f"{origin(url)} says that the resource is {found.resource}, and {resource} was asked for",
                next_step=_WRONG,
                code="resource_mismatch",
            )
        return found
    if hint:
        raise DiscoveryFailed(f"the metadata that {origin(resource)} names is not there", next_step=_WRONG)
    return None


def find_server(issuer: str, http: Http) -> Steps[AuthorizationServer]:
    """The metadata of the authorization server with this issuer. Raises DiscoveryFailed, Unavailable."""
    for url in _server_urls(issuer):
        answer = yield from _fetch(url, http)
        if answer is not None:
            return _checked(answer, url, issuer)
    raise DiscoveryFailed(f"the authorization server {issuer} publishes no metadata", next_step="check the issuer")


def find_legacy_server(resource: str, http: Http) -> Steps[AuthorizationServer]:
    """The authorization server at the resource's own origin (MCP 2025-03-26). Raises DiscoveryFailed, Unavailable."""
    base = origin(resource)
    answer = yield from _fetch(base + _OAUTH, http)
    if answer is not None:
        return _checked(answer, base + _OAUTH, base)
    return AuthorizationServer(
        issuer=base,
        authorization_endpoint=base + "/authorize",
        token_endpoint=base + "/token",
        registration_endpoint=base + "/register",
        code_challenge_methods_supported=("S256",),
    )


def choose_issuer(resource: ProtectedResource) -> str:
    """The first of the resource's authorization servers. Raises DiscoveryFailed."""
    if not resource.authorization_servers:
        raise DiscoveryFailed(f"{resource.resource} names no authorization server", next_step="give issuer=")
    return resource.authorization_servers[0]


def origin(url: str) -> str:
    """Scheme, host and port, spelled as browsers do: lower case, the scheme's own port left out."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    own = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + ("" if parts.port in {None, own} else f":{parts.port}")


def covers(resource: str, url: str) -> bool:
    """Whether an address is the resource or lies below it: same origin, and whole segments of the path."""
    if origin(resource) != origin(url) or urlsplit(resource).fragment:
        return False
    above, below = urlsplit(resource).path.rstrip("/"), urlsplit(url).path
    if {".", ".."} & set(below.replace("%2e", ".").replace("%2E", ".").split("/")):
        return False
    return below == above or below.startswith(above + "/") or (not above and not below)


def _protected_urls(resource: str) -> list[str]:
    base, path = origin(resource), urlsplit(resource).path.rstrip("/")
    return [base + _PROTECTED + path, base + _PROTECTED] if path else [base + _PROTECTED]


def _server_urls(issuer: str) -> list[str]:
    base, path = origin(issuer), urlsplit(issuer).path.rstrip("/")
    urls = [base + _OAUTH + path, base + _OPENID + path]
    return [*urls, base + path + _OPENID] if path else urls


def _fetch(url: str, http: Http) -> Steps[Answer | None]:
    """The answer where a document stands; None where there is none. An outage is not an absence."""
    try:
        check_url(url, http)
    except Misconfigured as error:
        raise DiscoveryFailed(error.explanation, next_step=_WRONG) from error
    answer = yield from send(Call(url=url))
    if answer.status >= _SERVER_ERROR:
        raise Unavailable(f"{origin(url)} answered {answer.status} for its metadata", next_step="try again later")
    return answer if answer.status == _OK and _is_object(answer.body) else None


def _is_object(body: bytes) -> bool:
    """Whether it is a JSON object; many sites answer every path with 200 and a page."""
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _checked(answer: Answer, url: str, issuer: str) -> AuthorizationServer:
    found = _decode(answer, AuthorizationServer, url)
    # RFC 8414 §3.3: the same characters, or one server could speak for another.
    if found.issuer != issuer:
        raise DiscoveryFailed(
            f"the metadata of {issuer} says that the issuer is {found.issuer}", next_step=_WRONG, code="issuer_mismatch"
        )
    return found


def _decode(answer: Answer, type_: type[M], url: str) -> M:
    try:
        return msgspec.json.decode(answer.body, type=type_)
    except msgspec.MsgspecError as error:
        raise DiscoveryFailed(f"the metadata at {origin(url)} is malformed", next_step=_WRONG) from error
