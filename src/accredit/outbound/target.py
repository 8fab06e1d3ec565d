r"""Where a request goes: a URL checked once, sent as it was checked.

Many clients rewrite `/a/%2e%2e/b` or `/a\..\b` after the caller has matched it. Here such a path is refused, and what
is left goes out byte by byte as it stands.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from accredit.errors import InputRefused

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\]")
_PATH_AND_QUERY = re.compile(r"/[!$&'()*+,;=:@/?%A-Za-z0-9._~-]*")
_REFUSED_ESCAPES = ("%2e", "%2f", "%5c", "%00")


class TargetRefused(InputRefused):
    """A URL that is not sent to as it stands."""

    code = "target_refused"


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL. `host` is without brackets, `authority` is the Host header, `path` includes the query."""

    scheme: str
    host: str
    port: int
    authority: str
    path: str


def parse_target(url: str) -> Target:
    r"""Check a URL to send to.

    Raises TargetRefused for anything but http and https, for user information, fragments, dot segments and their
    escapes, `\\`, `%2f`, `%5c`, `%00`, and characters that RFC 3986 does not allow.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TargetRefused("not a URL", detail=str(error)) from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise TargetRefused("only http and https are sent to", next_step="write a URL such as https://host/mcp")
    if "@" in parts.netloc or "#" in url:
        raise TargetRefused("a URL with user information or a fragment is not sent to", next_step="leave it out")
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    if _HOST.fullmatch(host) is None:
        raise TargetRefused("the URL's host is not a name or an address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    check_path(path)
    return Target(
        scheme=parts.scheme,
        host=host.strip("[]").lower(),
        port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        authority=parts.netloc.lower(),
        path=path,
    )


def check_path(path: str) -> None:
    """Refuse a path that another server could read as a different one. Raises TargetRefused."""
    if _PATH_AND_QUERY.fullmatch(path) is None:
        raise TargetRefused("the path has a character that a URL does not have (RFC 3986 §3.3)")
    bare, _, _ = path.partition("?")
    lowered = bare.lower()
    if any(escape in lowered for escape in _REFUSED_ESCAPES):
        raise TargetRefused("the path hides a dot, a slash, a backslash or a null in an escape")
    if any(segment in (".", "..") for segment in bare.split("/")):
        raise TargetRefused("the path has a dot segment")
