"""The challenges of a 401 or 403 in WWW-Authenticate (RFC 9110 §11.6.1).

Their parameters are those of RFC 6750 §3, RFC 9728 §5.1, RFC 9449 §9 and RFC 9470 §3.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_LIMIT = 16_384
_DIGITS = 9
# Values that should be quoted and are not occur in the wild: an address ends at a comma or a space.
_PIECE = re.compile(
    r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r'(?:\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+)))?'
)
_SCHEMES = frozenset({"bearer", "dpop"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a resource asks for. `scheme` is in lower case; an absent parameter is None."""

    scheme: str = "bearer"
    error: str | None = None
    description: str | None = None
    scope: tuple[str, ...] = ()
    resource_metadata: str | None = None
    acr_values: tuple[str, ...] = ()
    max_age_seconds: int | None = None


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """The Bearer and DPoP challenges of these header values; what is not understood is passed over."""
    found: list[tuple[str, dict[str, str]]] = []
    for value in values:
        for piece in _PIECE.finditer(value[:_LIMIT]):
            quoted, plain = piece["quoted"], piece["plain"]
            if quoted is None and plain is None:
                found.append((piece["name"].lower(), {}))
            elif found:
                text = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                found[-1][1].setdefault(piece["name"].lower(), text)
    return tuple(_challenge(scheme, given) for scheme, given in found if scheme in _SCHEMES)


def _challenge(scheme: str, given: dict[str, str]) -> Challenge:
    age = given.get("max_age", "")
    return Challenge(
        scheme=scheme,
        error=given.get("error"),
        description=given.get("error_description"),
        scope=tuple(given.get("scope", "").split()),
        resource_metadata=given.get("resource_metadata"),
        acr_values=tuple(given.get("acr_values", "").split()),
        max_age_seconds=int(age) if age.isascii() and age.isdigit() and len(age) <= _DIGITS else None,
    )
