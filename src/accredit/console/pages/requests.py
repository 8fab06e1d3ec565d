"""What agents ask of a person now (OpenID CIBA), and the one page on which any request from elsewhere is answered.

A reference is the hash of a code that only the client holds: it finds the request, and answers nothing by itself.
"""

from starlette.responses import RedirectResponse, Response

from accredit.console.acts import time_of
from accredit.console.pages.consent import read_choice, show_request
from accredit.console.session import LONG_FORM, check_csrf, check_same_origin, read_form
from accredit.console.site import Site, Visit
from accredit.errors import InputRefused

REQUESTS = "/console/requests"

_SEE_OTHER = 303
_MINUTE = 60


async def requests(site: Site, visit: Visit) -> Response:
    """The list of whoever is signed in."""
    now = site.clock.seconds()
    waiting = await site.data.pending.waiting(visit.session)
    return await site.page(
        visit,
        "requests.html",
        requests=[(one, request_path(one.reference), _left(one.expires_at - now)) for one in waiting],
    )


async def request(site: Site, visit: Visit) -> Response:
    """One request. Raises NotFound, Unavailable."""
    reference = visit.request.path_params["reference"]
    waiting, asked = await site.data.pending.show(reference, visit.session)
    path = request_path(reference)
    return show_request(
        site,
        visit,
        "request.html",
        asked,
        path=path,
        waiting=waiting,
        left=_left(waiting.expires_at - site.clock.seconds()),
        other_account=f"/console/sign-in?return={path}",
    )


async def answer_request(site: Site, visit: Visit) -> Response:
    """Take the answer. Raises NotPermitted for a form from elsewhere, InputRefused, NotFound, Conflict, Unavailable."""
    check_same_origin(visit.request, site.origin)
    form = await read_form(visit.request, LONG_FORM)
    check_csrf(form, visit.cookie_token)
    reference = visit.request.path_params["reference"]
    match form.get("answer"):
        case "allow":
            await site.data.pending.approve(reference, visit.session, read_choice(form))
            done = "allowed"
        case "refuse":
            await site.data.pending.refuse(reference, visit.session)
            done = "refused"
        case _:
            raise InputRefused("the form has no answer", next_step="allow or refuse")
    return RedirectResponse(f"{REQUESTS}/done?{done}", status_code=_SEE_OTHER)


async def request_done(site: Site, visit: Visit) -> Response:
    """That it is done, and where to go on: back to the device or the agent, which knows by itself."""
    return await site.page(visit, "request_done.html", allowed="allowed" in visit.request.query_params)


def request_path(reference: str) -> str:
    """The page of a request."""
    return f"{REQUESTS}/{reference}"


def _left(seconds: float) -> str:
    """How long it can still be answered: whole minutes, rounded up."""
    return time_of(max(1, -int(-seconds // _MINUTE)) * _MINUTE)
