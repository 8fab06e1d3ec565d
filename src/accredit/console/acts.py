"""What an agent could do, in words that a person understands: from a system's operations, never from scope names alone.

An action is `system.things.verb`; its effect, sensitivity and data are the manifest's.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from accredit.console.words import Tag
from accredit.delegations.consent import AskedScope
from accredit.delegations.model import ActionDetails
from accredit.systems.model import Effect, Operation, System

_EFFECTS: dict[Effect, Tag] = {
    "read": Tag("plain", "Reads"),
    "write": Tag("step", "Changes"),
    "delete": Tag("refuse", "Deletes"),
    "admin": Tag("refuse", "Administers"),
}
_ORDER: tuple[Effect, ...] = ("read", "write", "delete", "admin")
_SENSITIVITY = ("public", "internal", "confidential", "restricted", "critical")
_RESTRICTED = 3
_DATA = {
    "personal": "personal data",
    "financial": "financial data",
    "health": "health data",
    "credentials": "credentials",
    "critical": "critical data",
}
_OWN = {
    "openid": ("Know that it is you", "Your id here, and when you signed in.", "About you"),
    "profile": ("See your name", "", "About you"),
    "email": ("See your e-mail address", "", "About you"),
    "offline_access": ("Act while you are away", "Until the time that you choose below.", "Lasts"),
    "user:delegate:read": ("See what you have delegated", "To which agents, and until when.", "Reads"),
}
"""Scopes without operations: OpenID Connect's, and Accredit's own."""

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownScope:
    """A scope in words. `titles` are what it lets an agent do; `note` says what is worth a second look."""

    scope: str
    titles: tuple[str, ...]
    tag: Tag
    note: str
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDetails:
    """One object of `authorization_details` in words; `limits` are arguments and the most that each may be."""

    purpose: str
    titles: tuple[str, ...]
    limits: tuple[tuple[str, int], ...]


def shown_scopes(scopes: Iterable[AskedScope]) -> list[ShownScope]:
    """In words, what only reads first."""
    return [_shown(one) for one in sorted(scopes, key=_rank)]


def shown_details(details: Iterable[ActionDetails]) -> list[ShownDetails]:
    """In words."""
    return [
        ShownDetails(
            purpose=one.purpose,
            titles=tuple(title_of(action) for action in one.actions),
            limits=tuple(one.limits.items()),
        )
        for one in details
    ]


def scopes_of(system: System | None, scopes: Iterable[str], details: Iterable[ActionDetails]) -> list[AskedScope]:
    """The scopes of a delegation with their operations, as the system is now."""
    named = {action for one in details for action in one.actions}
    operations = () if system is None else system.operations
    return [
        AskedScope(
            scope=scope,
            operations=tuple(one for one in operations if one.scope == scope and (not named or one.action in named)),
        )
        for scope in scopes
    ]


def title_of(action: str) -> str:
    """`crm.contacts.search` → `Search contacts`."""
    words = [part.replace("-", " ").replace("_", " ") for part in action.split(".")]
    verb, things = words[-1], words[1:-1]
    return " ".join((verb[:1].upper() + verb[1:], *reversed(things)))


def time_of(seconds: int) -> str:
    """A time in its largest whole unit: `8 hours`."""
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def _shown(one: AskedScope) -> ShownScope:
    if not one.operations:
        # A scope whose operations are gone lets an agent do nothing: its name is all that is left of it.
        title, note, tag = _OWN.get(one.scope, (one.scope, "", "Nothing"))
        return ShownScope(
            scope=one.scope, titles=(title,), tag=Tag("plain", tag), note=note, fixed=one.scope == "openid"
        )
    worst = max(one.operations, key=lambda operation: _ORDER.index(operation.effect))
    return ShownScope(
        scope=one.scope,
        titles=tuple(dict.fromkeys(title_of(operation.action) for operation in one.operations)),
        tag=_EFFECTS[worst.effect],
        note=_note(one.operations),
    )


def _note(operations: tuple[Operation, ...]) -> str:
    level = max(operation.sensitivity for operation in operations)
    kinds = dict.fromkeys(_DATA[kind] for operation in operations for kind in operation.data if kind in _DATA)
    parts = [*kinds]
    if level >= _RESTRICTED or not parts:
        parts.append(f"{_SENSITIVITY[level]} information")
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def _rank(one: AskedScope) -> tuple[int, str]:
    effects = [_ORDER.index(operation.effect) for operation in one.operations]
    return (max(effects, default=len(_ORDER)), one.scope)
