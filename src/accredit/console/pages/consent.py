"""The page of consent: which agent, where, what it could do, for how long; and what comes of the answer.

The request is sealed and comes with each leg; what is shown and what is given are made of it anew, never of the form.
"""

import re
from typing import assert_never
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from accredit.console.acts import shown_details, shown_scopes, time_of
from accredit.console.headers import content_security_policy
from accredit.console.session import (
    LONG_FORM,
    SignInAgain,
    check_csrf,
    check_same_origin,
    cookie_of,
    csrf_of,
    read_form,
    sign_in_path,
)
from accredit.console.site import Site, Visit
from accredit.delegations.consent import Answered, Asked, Choice, SignInFirst
from accredit.errors import InputRefused

CONSENT = "/console/consent"

_SEE_OTHER = 303
_SCOPE_FIELD = "scope."
_DEFAULT_SECONDS = 28_800
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


async def consent(site: Site, request: Request) -> Response:
    """Show what is asked for, or lead on where there is nothing to ask. Raises InputRefused, Unavailable."""
    sealed = request.query_params.get("request", "")
    visit = await _visit(site, request)
    outcome = await site.data.consents.begin(sealed, None if visit is None else visit.session)
    if isinstance(outcome, Asked) and visit is not None:
        return _show(site, visit, sealed, outcome)
    return _lead_on(outcome, request, sealed)


async def answer(site: Site, request: Request) -> Response:
    """Take the answer. Raises NotPermitted for a form from elsewhere, InputRefused, Conflict, Unavailable."""
    check_same_origin(request, site.origin)
    form = await read_form(request, LONG_FORM)
    sealed = form.get("request", "")
    visit = await _visit(site, request)
    if visit is None:
        return RedirectResponse(sign_in_path(request, "ended", _path(sealed)), status_code=_SEE_OTHER)
    check_csrf(form, visit.cookie_token)
    match form.get("answer"):
        case "allow":
            outcome = await site.data.consents.approve(sealed, visit.session, read_choice(form))
        case "refuse":
            outcome = await site.data.consents.refuse(sealed, visit.session)
        case _:
            raise InputRefused("the form has no answer", next_step="allow or refuse")
    return _lead_on(outcome, request, sealed)


def form_target(redirect_uri: str) -> str:
    """The source by which a policy lets a form lead to a redirect URI: its origin, or the scheme of a program's own.

    A policy cannot name an address in brackets (CSP3 §2.3.1), so for `[::1]` it names the scheme.
    """
    parts = urlsplit(redirect_uri)
    if parts.scheme in ("http", "https"):
        origin = f"{parts.scheme}://{parts.netloc}"
        return origin if _ORIGIN.fullmatch(origin) else f"{parts.scheme}:"
    return f"{parts.scheme}:" if _SCHEME.fullmatch(parts.scheme) else ""


def show_request(site: Site, visit: Visit, template: str, asked: Asked, **more: object) -> Response:
    """Show a request, wherever it came from, with `template`: consent.html or one that is made of it."""
    return site.bare(
        template,
        status=200,
        asked=asked,
        csrf=csrf_of(visit.cookie_token),
        person=visit.session.person,
        scopes=shown_scopes(asked.scopes),
        details=shown_details(asked.details),
        choices=[(seconds, time_of(seconds)) for seconds in asked.choices],
        chosen=max((one for one in asked.choices if one <= _DEFAULT_SECONDS), default=asked.choices[0]),
        scope_field=_SCOPE_FIELD,
        **more,
    )


def _show(site: Site, visit: Visit, sealed: str, asked: Asked) -> Response:
    response = show_request(
        site,
        visit,
        "consent.html",
        asked,
        request=sealed,
        place=place_of(asked.redirect_uri),
        other_account=f"/console/sign-in?{urlencode({'return': _path(sealed)})}",
        expected=asked.login_hint if asked.login_hint.lower() not in ("", visit.session.person.email) else "",
    )
    response.headers["Content-Security-Policy"] = content_security_policy(form_target(asked.redirect_uri))
    return response


def _lead_on(outcome: Asked | SignInFirst | Answered, request: Request, sealed: str) -> Response:
    match outcome:
        case Answered(url):
            return RedirectResponse(url, status_code=_SEE_OTHER)
        case SignInFirst(again=True):
            raise SignInAgain(_path(sealed))
        case SignInFirst():
            return RedirectResponse(sign_in_path(request, back=_path(sealed)), status_code=_SEE_OTHER)
        case Asked():
            raise TypeError("nobody is asked without a session")
        case _:
            assert_never(outcome)


async def _visit(site: Site, request: Request) -> Visit | None:
    """Who is signed in, if anybody is: a client may ask that nobody be bothered (prompt=none)."""
    cookie_token = cookie_of(request)
    session = None if cookie_token is None else await site.sessions.find(cookie_token)
    if cookie_token is None or session is None:
        return None
    return Visit(request, session, cookie_token)


def read_choice(form: dict[str, str]) -> Choice:
    """What a person ticked. Raises InputRefused."""
    seconds = form.get("seconds", "")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) < 10):  # noqa: PLR2004  # digits of a time
        raise InputRefused("the form has no time", next_step="choose for how long")
    scopes = frozenset(name.removeprefix(_SCOPE_FIELD) for name in form if name.startswith(_SCOPE_FIELD))
    return Choice(scopes=scopes, seconds=int(seconds), remember="remember" in form)


def _path(sealed: str) -> str:
    """The page of this request; what is no sealed text leads to a page that says so."""
    return f"{CONSENT}?{urlencode({'request': sealed})}"


def place_of(redirect_uri: str) -> str:
    """Where the person is sent, in words."""
    parts = urlsplit(redirect_uri)
    if parts.hostname in _LOOPBACK:
        return "a program on this device"
    if parts.scheme == "https":
        return parts.netloc
    return f"an app on this device ({parts.scheme})"
