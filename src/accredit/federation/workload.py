"""The interface of a kind of workload platform: what its tokens hold. One file in `workloads`, one line in its table.

A kind is a declaration, not code: which claims must be there, what their values must be, whether a token may be used
more than once.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from accredit.errors import InputRefused

Claims = Mapping[str, object]
"""The payload of a token whose signature was verified."""

Check = Callable[[object, Claims, str], bool]
"""`check(value, claims, issuer)`: whether the value of one claim is right, beside the others, at this issuer."""

_NAMES = 256
_DEPTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadKind:
    """One kind of platform.

    `issuer` is the form of its address, `subject` that of `sub`, `example` shows one. `required` claims must be there;
    `checks` hold for those that are there; what is not `known` is reported (None: nothing is). `reusable`: the platform
    hands the same token out until it expires, so no `jti` is used up. `lifetime_seconds` is the longest time from `iat`
    to `exp`.
    `pins`: a credential must name the value of one of these too, because the subject alone can become somebody else's.
    """

    issuer: re.Pattern[str]
    subject: re.Pattern[str]
    example: str
    required: frozenset[str]
    checks: Mapping[str, Check]
    known: frozenset[str] | None
    reusable: bool
    lifetime_seconds: int
    types: frozenset[str | None] = frozenset({None, "JWT"})
    pins: tuple[str, ...] = ()

    def faults(self, claims: Claims, issuer: str) -> tuple[str, ...]:
        """The claims that are missing or wrong; none where the token is as this kind makes them."""
        found = sorted(self.required - claims.keys())
        if self.subject.fullmatch(str(claims.get("sub"))) is None:
            found.append("sub")
        for name, check in self.checks.items():
            if name in claims and not _holds(name, check, claims, issuer):
                found.append(name)
        return tuple(found)

    def unknown(self, claims: Claims) -> tuple[str, ...]:
        """The claims that this kind is not known to have: the platform has changed, or is another one."""
        if self.known is None:
            return ()
        return tuple(sorted(claims.keys() - self.known - self.required - self.checks.keys() - STANDARD))


STANDARD = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
"""RFC 7519 §4.1."""


def texts_of(claims: Claims) -> Mapping[str, str]:
    """Every claim that a credential can demand, by name, as text: those of an object as `name/member`.

    Raises InputRefused if two would have one name, or there are too many.
    """
    found: dict[str, str] = {}
    _collect(claims, "", found, _DEPTH)
    return found


def _holds(name: str, check: Check, claims: Claims, issuer: str) -> bool:
    try:
        return check(claims[name], claims, issuer)
    except (TypeError, KeyError, ValueError, AttributeError):
        # A claim of another type than the kind's.
        return False


def _collect(claims: Mapping[str, object], prefix: str, found: dict[str, str], depth: int) -> None:
    for key, value in claims.items():
        name = prefix + str(key)
        match value:
            case dict() if depth:
                # AWS names an object by an address that ends with a slash.
                _collect(value, name.rstrip("/") + "/", found, depth - 1)
                continue
            case bool():
                text = "true" if value else "false"
            case str() | int():
                text = str(value)
            case _:
                # A list or a fraction is equal to no text.
                continue
        if name in found or len(found) >= _NAMES:
            raise InputRefused("the claims are ambiguous, or too many")
        found[name] = text


def equals(name: str) -> Check:
    """The value is that of another claim."""
    return lambda value, claims, _issuer: isinstance(value, str) and value == claims[name]


def is_text(value: object, _claims: Claims, _issuer: str) -> bool:
    """The value is a text with something in it."""
    return isinstance(value, str) and bool(value)


def matches(pattern: str) -> Check:
    """The value is a text of this form."""
    form = re.compile(pattern)
    return lambda value, _claims, _issuer: isinstance(value, str) and form.fullmatch(value) is not None
