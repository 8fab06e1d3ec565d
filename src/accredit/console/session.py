"""The console's session: its cookie, and the two things that every POST must show.

A POST is refused unless the browser says that it comes from our own pages (`Sec-Fetch-Site`, or `Origin` where a
browser sends none) and it carries a token that only a page of this session holds. A GET changes nothing.
"""

import asyncio
import hashlib
import hmac
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from accredit.canonical import base64url
from accredit.errors import InputRefused, NotPermitted

# `__Host-`: only this host may set it, over https or on localhost, for the whole of it (RFC 6265bis §4.1.3.2).
COOKIE = "__Host-accredit"
CSRF_FIELD = "csrf"
# Sent by live.js: what a page fetches by itself does not keep an unattended session alive.
REFRESH_HEADER = "accredit-refresh"

_FORM_LIMIT = 4_096
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


async def read_form(request: Request) -> dict[str, str]:
    """Read a small form; a field that comes twice is refused. Raises InputRefused."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise InputRefused("this is not a form")
    body = b""
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _FORM_LIMIT:
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
