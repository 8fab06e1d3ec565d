"""Redirect URIs: which may be registered, and when a presented one is the registered one (OAuth 2.1 §2.3, RFC 8252).

A redirect URI decides who gets a code. So the comparison is of characters, and what two programs could read in two
ways is never registered.
"""

import re

from accredit.errors import InputRefused
from accredit.outbound.target import TargetRefused, parse_target

_LONGEST = 2_048
# The characters of RFC 3986, without `#` and without `*`, which some take for anything.
_CHARACTERS = re.compile(r"[!$%&'()+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(.+)")
_LOOPBACK_HOSTS = frozenset(("127.0.0.1", "::1", "localhost"))
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::([1-9][0-9]{0,4}))?((?:[/?].*)?)")
_LAST_PORT = 65_535
_NEXT = "give https://…, http://127.0.0.1/… for a program on the person's machine, or com.example.app:/… (RFC 8252)"


class RedirectUriInvalid(InputRefused):
    """A redirect URI that may not be registered (RFC 7591 §3.2.2)."""

    code = "invalid_redirect_uri"


def check_redirect_uri(uri: str) -> None:
    """Refuse a redirect URI that is not https, http on a loopback host, or of a private-use scheme (RFC 8252 §7).

    Raises RedirectUriInvalid. A private-use scheme has a dot, as RFC 8252 §7.1 demands: `javascript:`, `data:` and
    their like have none.
    """
    if len(uri) > _LONGEST or _CHARACTERS.fullmatch(uri) is None:
        raise RedirectUriInvalid("the redirect URI has a character that is not allowed, or a fragment", next_step=_NEXT)
    match = _SCHEME.fullmatch(uri)
    if match is None:
        raise RedirectUriInvalid("the redirect URI is not absolute", next_step=_NEXT)
    scheme, rest = match[1], match[2]
    if scheme in ("http", "https"):
        _check_web(uri, scheme)
    elif "." not in scheme:
        raise RedirectUriInvalid("the redirect URI's scheme is not allowed", next_step=_NEXT)
    elif not rest.startswith("/") or "@" in rest.partition("?")[0]:
        raise RedirectUriInvalid("a redirect URI of a private-use scheme has a path and no user", next_step=_NEXT)


def matches_redirect_uri(registered: str, presented: str) -> bool:
    """Whether a presented redirect URI is this registered one: the same characters.

    On a loopback host the port may be any (RFC 8252 §7.3): the program takes one that is free. `localhost` counts,
    since clients of the Model Context Protocol use it.
    """
    if registered == presented:
        return True
    ours, theirs = _LOOPBACK.fullmatch(registered), _LOOPBACK.fullmatch(presented)
    if ours is None or theirs is None or (ours[1], ours[3]) != (theirs[1], theirs[3]):
        return False
    return theirs[2] is None or int(theirs[2]) <= _LAST_PORT


def _check_web(uri: str, scheme: str) -> None:
    try:
        target = parse_target(uri)
    except TargetRefused as error:
        raise RedirectUriInvalid(f"the redirect URI: {error.explanation}", next_step=_NEXT) from error
    if target.host.endswith(".") or target.port == 0:
        raise RedirectUriInvalid("the redirect URI's host ends with a dot, or its port is 0", next_step=_NEXT)
    if scheme == "http" and target.host not in _LOOPBACK_HOSTS:
        raise RedirectUriInvalid("a redirect URI by http is for a loopback host only (RFC 8252 §7.3)", next_step=_NEXT)
