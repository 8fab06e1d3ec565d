"""Passkeys: signing in with one, and the forms of the account's page that add, rename and remove them.

`passkey.js` asks for options, hands them to the browser, and posts what the browser made of them as a form.
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from accredit.console.pages.account import ACCOUNT
from accredit.console.pages.sign_in import sign_in_again
from accredit.console.session import (
    LONG_FORM,
    RECENT_SECONDS,
    RETURN_FIELD,
    ceremony_of,
    check_csrf,
    check_same_origin,
    checked_return,
    clear_ceremony,
    read_form,
    require_recent,
    set_ceremony,
)
from accredit.console.site import Site, Visit
from accredit.people.ceremonies import CEREMONY_SECONDS, Ceremony, PasskeyRefused

_SEE_OTHER = 303


async def sign_in_options(site: Site, request: Request) -> Response:
    """What the browser needs to ask for a passkey, as JSON. Raises NotPermitted."""
    check_same_origin(request, site.origin)
    return _begin(site.passkeys.begin_sign_in())


async def sign_in_with_passkey(site: Site, request: Request) -> Response:
    """Turn the browser's answer into a session. Raises NotPermitted, InputRefused, Unavailable."""
    check_same_origin(request, site.origin)
    form = await read_form(request, LONG_FORM)
    back = checked_return(form.get(RETURN_FIELD, ""))
    try:
        _, cookie_token = await site.passkeys.sign_in(
            form.get("response", ""), ceremony_of(request), user_agent=request.headers.get("user-agent", "")
        )
    except PasskeyRefused as error:
        response = await sign_in_again(site, error, back)
    else:
        response = await site.admit(request, cookie_token, back)
    clear_ceremony(response)
    return response


async def add_options(site: Site, visit: Visit) -> Response:
    """What the browser needs to make a passkey, as JSON. Raises NotPermitted, Conflict, Unavailable."""
    await _read(site, visit)
    require_recent(visit.session, RECENT_SECONDS, site.clock.seconds(), ACCOUNT)
    return _begin(await site.passkeys.begin_adding(visit.session))


async def add(site: Site, visit: Visit) -> Response:
    """Keep the passkey that the browser made. Raises NotPermitted, InputRefused, Conflict, Unavailable."""
    form = await _read(site, visit)
    require_recent(visit.session, RECENT_SECONDS, site.clock.seconds(), ACCOUNT)
    await site.passkeys.add(visit.session, form.get("response", ""), ceremony_of(visit.request), form.get("name", ""))
    response = _back("added")
    clear_ceremony(response)
    return response


async def rename(site: Site, visit: Visit) -> Response:
    """Rename one of one's own. Raises NotPermitted, InputRefused, NotFound, Unavailable."""
    form = await _read(site, visit)
    await site.passkeys.rename(visit.session, form.get("passkey", ""), form.get("name", ""))
    return _back("renamed")


async def remove(site: Site, visit: Visit) -> Response:
    """Remove one of one's own. Raises NotPermitted, InputRefused, NotFound, Conflict, Unavailable."""
    form = await _read(site, visit)
    require_recent(visit.session, RECENT_SECONDS, site.clock.seconds(), ACCOUNT)
    await site.passkeys.remove(visit.session, form.get("passkey", ""))
    return _back("removed")


async def _read(site: Site, visit: Visit) -> dict[str, str]:
    check_same_origin(visit.request, site.origin)
    form = await read_form(visit.request, LONG_FORM)
    check_csrf(form, visit.cookie_token)
    return form


def _begin(ceremony: Ceremony) -> Response:
    response = Response(ceremony.options, media_type="application/json")
    set_ceremony(response, ceremony.sealed, CEREMONY_SECONDS)
    return response


def _back(done: str) -> Response:
    return RedirectResponse(f"{ACCOUNT}?{done}", status_code=_SEE_OTHER)
