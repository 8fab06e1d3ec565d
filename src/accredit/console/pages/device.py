"""Connecting a device: the code that it shows is typed here (RFC 8628 §3.3), and then its request is one like others.

A code that came with the address is filled in and never sent by itself: who follows a link must still look (§5.4).
"""

from starlette.responses import RedirectResponse, Response

from accredit.console.pages.requests import request_path
from accredit.console.session import check_csrf, check_same_origin, read_form
from accredit.console.site import Site, Visit

DEVICE = "/console/device"

_SEE_OTHER = 303
_CODE_CHARACTERS = 16


async def device(site: Site, visit: Visit) -> Response:
    """The form for the code."""
    return await _show(site, visit, visit.request.query_params.get("user_code", ""))


async def enter_code(site: Site, visit: Visit) -> Response:
    """Find the request of a code. Raises NotPermitted, InputRefused, Unavailable."""
    check_same_origin(visit.request, site.origin)
    form = await read_form(visit.request)
    check_csrf(form, visit.cookie_token)
    person, code = visit.session.person.id, form.get("user_code", "")
    if site.codes.is_reached(person):
        # The code is not looked at: what is answered does not depend on it.
        return await _show(site, visit, "", refused="limit", status=429)
    reference = await site.data.pending.of_user_code(code)
    if reference is None:
        site.codes.count(person)
        return await _show(site, visit, code, refused="wrong", status=404)
    return RedirectResponse(request_path(reference), status_code=_SEE_OTHER)


async def _show(site: Site, visit: Visit, code: str, *, refused: str = "", status: int = 200) -> Response:
    shown = code[:_CODE_CHARACTERS] if code.isprintable() else ""
    return await site.page(visit, "device.html", status=status, code=shown, refused=refused)
