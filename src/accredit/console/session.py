"""The console's session: its cookie, and the two things that every POST must show.

A POST is refused unless the browser says that it comes from our own pages (`Sec-Fetch-Site`, or `Origin` where a
browser sends none) and it carries a token that only a page of this session holds. A GET changes nothing.
"""

import asyncio
import hashlib
import hmac
import re
from urllib.parse import parse_qs, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from accredit.canonical import base64url
from accredit.errors import InputRefused, NotPermitted
from accredit.people.model import Session

# `__Host-`: only this host may set it, over https or on localhost, for the whole of it (RFC 6265bis §4.1.3.2).
COOKIE = "__Host-accredit"
# The challenge of a passkey that is being asked for, sealed.
CEREMONY_COOKIE = "__Host-accredit-ceremony"
CSRF_FIELD = "csrf"
# Sent by live.js: what a page fetches by itself does not keep an unattended session alive.
REFRESH_HEADER = "accredit-refresh"

# Where a person goes who has signed in, if no page asked them to.
HOME = "/console"
RETURN_FIELD = "return"
# How fresh a sign-in must be for what gives lasting access, as a new passkey does: seconds.
RECENT_SECONDS = 15 * 60

# Bytes of a form that carries an authenticator's answer, or where to go back to.
LONG_FORM = 32_768
_FORM_LIMIT = 4_096
_RETURN_LIMIT = 8_192
# A page of ours: no empty, `.` or `..` segment, and nothing that a browser or a proxy would read as one, or as the
# start of another host (`//`, `\\`, their escapes). What follows the ? only has to stay in one header line.
_RETURN = re.compile(r"/console(?:/(?!\.{1,2}(?:[/?]|$))[A-Za-z0-9._~%@:+-]+)*/?(?:\?[!$-;=?-\[\]_a-z~]*)?")
_ESCAPED = re.compile(r"%(?![0-9a-f]{2})|%(?:2e|2f|5c|25|[01][0-9a-f]|7f)", re.IGNORECASE)
_FORM_SECONDS = 10.0


def cookie_of(request: Request) -> str | None:
    """The cookie's value, None where there is none."""
    return request.cookies.get(COOKIE) or None


def set_cookie(response: Response, token: str) -> None:
    """Give the browser its session. Lax, not Strict: a link in a mail would open the page as if signed out."""
    response.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="lax")


def clear_cookie(response: Response) -> None:
    """Take the session's cookie away."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")


def ceremony_of(request: Request) -> str:
    """The sealed challenge that this browser was given, empty where there is none."""
    return request.cookies.get(CEREMONY_COOKIE, "")


def set_ceremony(response: Response, sealed: str, seconds: int) -> None:
    """Give the browser a sealed challenge to bring back. Strict: no other site has a part in this."""
    response.set_cookie(
        CEREMONY_COOKIE, sealed, max_age=seconds, path="/", secure=True, httponly=True, samesite="strict"
    )


def clear_ceremony(response: Response) -> None:
    """Take the challenge away: it was used, or will not be."""
    response.delete_cookie(CEREMONY_COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def csrf_of(cookie_token: str) -> str:
    """The token that forms of this session carry: it cannot be made without the cookie, nor tells it."""
    return base64url(hmac.digest(cookie_token.encode(), b"accredit.console.csrf.v1", hashlib.sha256))


def check_same_origin(request: Request, origin: str) -> None:
    """Let only our own pages post. `origin` is the console's, as `https://accredit.example.com`.

    Raises NotPermitted.
    """
    site = request.headers.get("sec-fetch-site")
    same = site == "same-origin" if site is not None else request.headers.get("origin") == origin
    if not same:
        raise NotPermitted(
            "this form was sent from another site, so nothing was done",
            next_step="open the page in the console and send it from there",
        )


def check_csrf(form: dict[str, str], cookie_token: str) -> None:
    """Check the form's token against the session. Raises NotPermitted."""
    given = form.get(CSRF_FIELD, "")
    if not hmac.compare_digest(given.encode(), csrf_of(cookie_token).encode()):
        raise NotPermitted(
            "this form belongs to another session, so nothing was done",
            next_step="reload the page and send it again",
        )


class SignInAgain(NotPermitted):
    """The sign-in is too old for what was asked; a fresh one by the same person allows it. `back`: where to go then."""

    code = "sign_in_again"

    def __init__(self, back: str) -> None:
        super().__init__("you signed in too long ago for this, so nothing was done", next_step="sign in again")
        self.back = back


def require_recent(session: Session, seconds: float, now: float, back: str = HOME) -> None:
    """Let only those on who proved who they are within `seconds` before `now`. Raises SignInAgain.

    The guard answers a GET with the way to sign in and back to the same page; a POST with a page that leads there and
    then to `back`, a page of ours.
    """
    if not is_recent(session, seconds, now):
        raise SignInAgain(back)


def is_recent(session: Session, seconds: float, now: float) -> bool:
    """Whether the person proved who they are within `seconds` before `now`."""
    return now - session.auth_time < seconds


def read_return(request: Request) -> str:
    """Where to go after signing in: the query's `return` if it is a page of ours, else home."""
    return checked_return(request.query_params.get(RETURN_FIELD, ""))


def checked_return(path: str) -> str:
    """The path, with its query, if it is one of the console's own pages; home for anything else.

    Never another host: what is not plainly a path below /console is not repaired, but dropped.
    """
    plain, _, _ = path.partition("?")
    if len(path) > _RETURN_LIMIT or not _RETURN.fullmatch(path) or _ESCAPED.search(plain):
        return HOME
    # Back to the page for signing in would be a circle.
    return HOME if plain.startswith("/console/sign-") else path


def sign_in_path(request: Request, reason: str = "", back: str = HOME) -> str:
    """The page for signing in, and from there back to this one, or to `back` where this one is no page but a POST.

    `reason`: `ended` or `again`.
    """
    if request.method == "GET":
        back = checked_return(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
    query = [reason] if reason else []
    if back.rstrip("/") != HOME:
        query.append(f"{RETURN_FIELD}={quote(back, safe='/')}")
    return "/console/sign-in" + (f"?{'&'.join(query)}" if query else "")


async def read_form(request: Request, limit: int = _FORM_LIMIT) -> dict[str, str]:
    """Read a form of at most `limit` bytes; a field that comes twice is refused. Raises InputRefused."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise InputRefused("this is not a form")
    body = b""
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise InputRefused("this form is too long")
    except (TimeoutError, ClientDisconnect) as error:
        raise InputRefused("the form did not arrive", detail=type(error).__name__) from error
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), errors="strict")
    except ValueError as error:
        raise InputRefused("the form cannot be read", detail=type(error).__name__) from error
    if any(len(values) > 1 for values in fields.values()):
        raise InputRefused("a field of the form came twice")
    return {name: values[0] for name, values in fields.items()}
