"""Signing in by a one-time link, and out again."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from accredit.console.session import check_csrf, check_same_origin, clear_cookie, cookie_of, read_form, set_cookie
from accredit.console.site import Site, Visit
from accredit.people.sessions import SignInRefused

_SEE_OTHER = 303


async def sign_in_page(site: Site, request: Request) -> Response:
    """The page that the link opens; the token is in the fragment, which sign-in.js posts."""
    return site.bare("sign_in.html", refused=None, ended="ended" in request.query_params)


async def sign_in(site: Site, request: Request) -> Response:
    """Use the link's token up and set the cookie. Raises NotPermitted, InputRefused, Unavailable."""
    check_same_origin(request, site.origin)
    form = await read_form(request)
    try:
        _, cookie_token = await site.sessions.redeem(form.get("token", ""))
    except SignInRefused as error:
        return site.bare("sign_in.html", status=401, refused=error, ended=False)
    before = cookie_of(request)
    if before is not None and (old := await site.sessions.find(before, active=False)) is not None:
        await site.sessions.end(old)
    response = RedirectResponse("/console", status_code=_SEE_OTHER)
    set_cookie(response, cookie_token)
    return response


async def sign_out(site: Site, visit: Visit) -> Response:
    """End the session. Raises NotPermitted, InputRefused, Unavailable."""
    check_same_origin(visit.request, site.origin)
    check_csrf(await read_form(visit.request), visit.cookie_token)
    await site.sessions.end(visit.session)
    response = RedirectResponse("/console/sign-in?ended", status_code=_SEE_OTHER)
    clear_cookie(response)
    return response
