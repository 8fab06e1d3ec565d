"""Signing in at a company's provider: the way there, the way back, and which provider is whose.

The ways there are links, not forms: the pages' policy lets no form lead to another site. The answer to an OpenID
Connect request is a GET; a SAML answer is a POST from the provider's site, to which a browser gives no cookie that is
Lax. So that attempt's cookie is `SameSite=None`: it is worth nothing without the answer that it was made for.
"""

from typing import NamedTuple
from urllib.parse import quote, urlencode

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from accredit.console.session import (
    HOME,
    LONG_FORM,
    RETURN_FIELD,
    check_same_origin,
    checked_return,
    read_form,
    read_return,
)
from accredit.console.site import Site
from accredit.errors import Error, NotAuthenticated, NotFound, NotPermitted
from accredit.federation.providers import Registered
from accredit.federation.sign_on import ATTEMPT_SECONDS, SignOn
from accredit.web.forms import parse_form

SIGN_IN = "/console/sign-in"
AGAIN = "again"
"""In a query or a form: the person has to prove anew who they are."""
_COOKIE = "__Host-accredit-sign-on"
_POSTED_COOKIE = "__Host-accredit-saml"
_SAML_FORM = 524_288
_SEE_OTHER = 303
_METADATA = "application/samlmetadata+xml"
_log = structlog.get_logger("accredit.console")


class ProviderLink(NamedTuple):
    """A provider as a page offers it."""

    title: str
    href: str


class WaysIn(NamedTuple):
    """What the sign-in page offers: buttons, and whether an address can tell which provider is meant."""

    buttons: tuple[ProviderLink, ...]
    by_address: bool


async def ways_in(site: Site, back: str, *, fresh: bool = False) -> WaysIn:
    """The providers that the page for signing in offers; `fresh`: they shall ask anew. Raises Unavailable."""
    found = await site.sign_on.providers.all() if site.sign_on is not None else ()
    buttons = tuple(_link(one, back, fresh) for one in found if one.configuration.button)
    return WaysIn(buttons, any(one.configuration.domains for one in found))


async def way_out(site: Site, name: str) -> ProviderLink | None:
    """Where somebody who was signed on there can sign out there too; None if the provider has no such page."""
    if site.sign_on is None or not name:
        return None
    try:
        one = await site.sign_on.providers.named(name)
        if await (await site.sign_on.providers.connector(name)).sign_out_url() is None:
            return None
    except Error as error:
        # Signing out here is done already; it must not fail for want of the other.
        _log.info("no way to sign out there", provider=name[:64], code=error.code, detail=error.detail)
        return None
    return ProviderLink(one.configuration.title, f"{SIGN_IN}/leave/{quote(one.configuration.name)}")


async def find(site: Site, request: Request) -> Response:
    """Tell by somebody's address where they sign in. Nothing is asked of the directory: only the domain counts."""
    check_same_origin(request, site.origin)
    form = await read_form(request, LONG_FORM)
    back = checked_return(form.get(RETURN_FIELD, ""))
    domain = form.get("email", "").rpartition("@")[2]
    one = await _sign_on(site).providers.of_domain(domain)
    fresh = AGAIN in form
    found = None if one is None else _link(one, back, fresh)
    return site.bare(
        "sign_on.html",
        found=found,
        domain=domain[:253],
        again=_with_return(f"{SIGN_IN}?{AGAIN}" if fresh else SIGN_IN, back),
    )


async def begin(site: Site, request: Request) -> Response:
    """Send the browser to the provider, with the attempt in a cookie. Raises NotFound, NotPermitted, Unavailable."""
    # A sign-in begins as a page of its own: not as a picture or a frame of another site.
    if request.headers.get("sec-fetch-dest", "document") != "document":
        raise NotPermitted("a sign-in begins as a page of its own", next_step="open the page for signing in")
    started = await _sign_on(site).begin(
        request.path_params["name"], read_return(request), fresh=AGAIN in request.query_params
    )
    response = RedirectResponse(started.url, status_code=_SEE_OTHER)
    response.set_cookie(
        _POSTED_COOKIE if started.posted else _COOKIE,
        started.sealed,
        max_age=ATTEMPT_SECONDS,
        path="/",
        secure=True,
        httponly=True,
        samesite="none" if started.posted else "lax",
    )
    return response


async def callback(site: Site, request: Request) -> Response:
    """The answer of an OpenID Connect provider (Core §3.1.2.5)."""
    query = request.url.query.encode()
    answer = parse_form(query, b"application/x-www-form-urlencoded") if query else {}
    return await _finish(site, request, _COOKIE, answer)


async def assertion(site: Site, request: Request) -> Response:
    """The answer of a SAML provider, posted from its own site (saml-bindings-2.0-os §3.5)."""
    return await _finish(site, request, _POSTED_COOKIE, await read_form(request, _SAML_FORM))


async def metadata(site: Site, request: Request) -> Response:
    """Our description for a SAML provider. Raises NotFound."""
    connector = await _sign_on(site).providers.connector(request.path_params["name"])
    document = connector.metadata()
    if document is None:
        raise NotFound("this provider takes no description of ours", next_step="docs/sign-on.md says what it needs")
    return Response(document, media_type=_METADATA)


async def leave(site: Site, request: Request) -> Response:
    """Go on to the provider's own page for signing out. Raises NotFound, Unavailable."""
    connector = await _sign_on(site).providers.connector(request.path_params["name"])
    url = await connector.sign_out_url()
    if url is None:
        raise NotFound("this provider has no page for signing out", next_step="close the browser")
    return RedirectResponse(url, status_code=_SEE_OTHER)


async def _finish(site: Site, request: Request, cookie: str, answer: dict[str, str]) -> Response:
    """Let in whom the provider vouches for. A cookie that was planted before is worth nothing: a new one is given."""
    try:
        signed_on = await _sign_on(site).finish(request.path_params["name"], request.cookies.get(cookie), answer)
        _, token = await site.sessions.start(
            signed_on.person,
            authentication=signed_on.authentication,
            acr=signed_on.acr,
            amr=signed_on.amr,
            auth_time=signed_on.auth_time,
            user_agent=request.headers.get("user-agent", ""),
        )
        response = await site.admit(request, token, checked_return(signed_on.return_path))
    except NotAuthenticated as error:
        _log.warning("sign-on refused", path=request.url.path, code=error.code, detail=error.detail, seq=error.event)
        response = site.bare("problem.html", status=401, error=error, way_out=(SIGN_IN, "Go to the sign-in page"))
    # Used or refused: an attempt is worth one answer. Both have the attributes that they were set with.
    response.delete_cookie(
        cookie, path="/", secure=True, httponly=True, samesite="none" if cookie == _POSTED_COOKIE else "lax"
    )
    return response


def _sign_on(site: Site) -> SignOn:
    if site.sign_on is None:
        raise NotFound("there is no page at this address", next_step="start again from Home")
    return site.sign_on


def _link(one: Registered, back: str, fresh: bool) -> ProviderLink:
    path = f"{SIGN_IN}/with/{quote(one.configuration.name)}" + (f"?{AGAIN}" if fresh else "")
    return ProviderLink(one.configuration.title, _with_return(path, back))


def _with_return(path: str, back: str) -> str:
    return path if back == HOME else f"{path}{'&' if '?' in path else '?'}{urlencode({RETURN_FIELD: back})}"
