"""Which addresses of a provider are asked: https, and http only to this machine where the issuer itself is there.

An administrator names the issuer, so its host may be a private one. What its documents name must be as safe as itself.
"""

import re

from accredit.errors import InputRefused
from accredit.outbound.target import Target, parse_target

# Control characters and blanks are taken out by some readers of URLs, and not by others.
_VISIBLE = re.compile(r"[!-~]{1,2048}")


def check_issuer(issuer: str) -> None:
    """An issuer identifier (OpenID Connect Discovery §3, RFC 8414 §2). Raises InputRefused."""
    target = check_endpoint(issuer, issuer)
    if "?" in target.path:
        raise InputRefused("an issuer has no query")


def check_endpoint(url: str, issuer: str) -> Target:
    """An address that an issuer's documents name, as it is asked. Raises InputRefused."""
    if _VISIBLE.fullmatch(url) is None:
        raise InputRefused("an address of a provider is of visible ASCII characters, at most 2048")
    target = parse_target(url)
    if target.scheme != "https" and not (target.host == "localhost" and _is_local(issuer)):
        raise InputRefused("a provider is asked by https only", next_step="serve it over TLS")
    return target


def _is_local(issuer: str) -> bool:
    target = parse_target(issuer)
    return target.scheme == "http" and target.host == "localhost"
