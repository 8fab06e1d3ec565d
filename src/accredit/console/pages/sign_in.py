"""Signing in by a one-time link. The other ways in stand beside it, a file each."""

from starlette.requests import Request
from starlette.responses import Response

from accredit.console.pages.sign_on import AGAIN, way_out, ways_in
from accredit.console.session import (
    LONG_FORM,
    RETURN_FIELD,
    check_same_origin,
    checked_return,
    read_form,
    read_return,
)
from accredit.console.site import Site
from accredit.errors import Error
from accredit.people.sessions import SignInRefused


async def sign_in_page(site: Site, request: Request) -> Response:
    """The page with the ways in. A one-time link opens it too: its token is in the fragment, which sign-in.js posts."""
    why = next((reason for reason in ("ended", "again") if reason in request.query_params), "")
    back = read_return(request)
    ways, out = await ways_in(site, back, fresh=why == AGAIN), await way_out(site, request.query_params.get("at", ""))
    return site.bare("sign_in.html", refused=None, why=why, back=back, ways=ways, out=out)


async def sign_in(site: Site, request: Request) -> Response:
    """Use the link's token up and set the cookie. Raises NotPermitted, InputRefused, Unavailable."""
    check_same_origin(request, site.origin)
    form = await read_form(request, LONG_FORM)
    back = checked_return(form.get(RETURN_FIELD, ""))
    try:
        _, cookie_token = await site.sessions.redeem(
            form.get("token", ""), user_agent=request.headers.get("user-agent", "")
        )
    except SignInRefused as error:
        return await sign_in_again(site, error, back)
    return await site.admit(request, cookie_token, back)


async def sign_in_again(site: Site, error: Error, back: str) -> Response:
    """The page with the ways in, after one of them was refused."""
    ways = await ways_in(site, back)
    return site.bare("sign_in.html", status=401, refused=error, why="", back=back, ways=ways, out=None)
