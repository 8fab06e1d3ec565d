"""Signing out: by the button in the menu, or because a client asked for it (OpenID Connect RP-Initiated Logout).

A client only leads here. The person says yes with the button, so that no page elsewhere signs anybody out; then the
browser goes where the client wants it, which is sealed: only our own endpoint names such an address.
"""

from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from accredit.console.headers import content_security_policy
from accredit.console.pages.consent import form_target, place_of
from accredit.console.session import (
    LONG_FORM,
    check_csrf,
    check_same_origin,
    clear_cookie,
    cookie_of,
    csrf_of,
    read_form,
)
from accredit.console.site import Site

_SIGN_IN = "/console/sign-in?ended"
_AFTER = "after"
_SEE_OTHER = 303


async def sign_out_page(site: Site, request: Request) -> Response:
    """Ask whether to sign out; who is signed out already goes on. Raises Unavailable."""
    sealed = request.query_params.get(_AFTER, "")
    destination = site.data.departures.destination(sealed) if sealed else None
    cookie_token = cookie_of(request)
    session = None if cookie_token is None else await site.sessions.find(cookie_token)
    if cookie_token is None or session is None:
        return RedirectResponse(destination or _SIGN_IN, status_code=_SEE_OTHER)
    response = site.bare(
        "sign_out.html",
        person=session.person,
        csrf=csrf_of(cookie_token),
        after=sealed if destination is not None else "",
        place=None if destination is None else place_of(destination),
    )
    if destination is not None:
        response.headers["Content-Security-Policy"] = content_security_policy(form_target(destination))
    return response


async def sign_out(site: Site, request: Request) -> Response:
    """End the session and go on. Raises NotPermitted, InputRefused, Unavailable."""
    check_same_origin(request, site.origin)
    form = await read_form(request, LONG_FORM)
    sealed = form.get(_AFTER, "")
    destination = site.data.departures.destination(sealed) if sealed else None
    cookie_token = cookie_of(request)
    session = None if cookie_token is None else await site.sessions.find(cookie_token, active=False)
    at = {}
    if cookie_token is not None and session is not None:
        check_csrf(form, cookie_token)
        await site.sessions.end(session)
        # Signed on at a provider, one is still signed in there: the page offers to leave it too.
        kind, _, provider = session.authentication.partition(":")
        at = {"at": provider} if kind == "oidc" else {}
    query = f"&{urlencode(at, quote_via=quote)}" if at else ""
    response = RedirectResponse(destination or f"{_SIGN_IN}{query}", status_code=_SEE_OTHER)
    clear_cookie(response)
    return response
