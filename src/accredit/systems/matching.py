"""Which operation of a system a request is. What nothing matches is no operation, and is refused."""

import re
from functools import lru_cache

from accredit.systems.model import Operation, System


@lru_cache(maxsize=4_096)
def _by_tool(system: System) -> dict[str, Operation]:
    return {one.tool: one for one in system.operations if one.tool is not None}


@lru_cache(maxsize=4_096)
def _by_prompt(system: System) -> dict[str, Operation]:
    return {one.prompt: one for one in system.operations if one.prompt is not None}


@lru_cache(maxsize=4_096)
def _by_action(system: System) -> dict[str, Operation]:
    return {one.action: one for one in system.operations}


def match_tool(system: System, name: str) -> Operation | None:
    """The operation of a tool; names are compared as they are."""
    return _by_tool(system).get(name)


def match_prompt(system: System, name: str) -> Operation | None:
    """The operation of a prompt."""
    return _by_prompt(system).get(name)


def match_resource(system: System, uri: str) -> Operation | None:
    """The operation of a resource: an exact URI first, else the longest rule `prefix*` that fits.

    A prefix fits only a URI that every reader reads alike: see `_may_wander`.
    """
    best: Operation | None = None
    for one in system.operations:
        if one.resource == uri:
            return one
        if one.resource is not None and one.resource.endswith("*") and uri.startswith(one.resource[:-1]):
            if _may_wander(uri, one.resource[:-1]):
                continue
            if best is None or best.resource is None or len(one.resource) > len(best.resource):
                best = one
    return best


def operation_named(system: System, action: str) -> Operation | None:
    """The operation with this action."""
    return _by_action(system).get(action)


def _may_wander(uri: str, prefix: str) -> bool:
    """Whether another reader could take the URI for one outside the prefix, or for one of a longer rule.

    Parsers drop tabs and newlines, decode escapes of plain letters, resolve dot segments, and merge empty ones.
    """
    if _URI.fullmatch(uri) is None or _NEEDLESS_ESCAPE.search(uri) is not None:
        return True
    segments = re.split(r"[/?#;]", uri[len(prefix) :])
    inner = segments[:-1] if segments[-1] == "" else segments
    # A prefix that ends within a segment begins the first one.
    first_is_whole = prefix.endswith("/")
    return any(segment in (".", "..") for segment in segments) or any(
        segment == "" for segment in (inner if first_is_whole else inner[1:])
    )


# RFC 3986 §2: the characters of a URI, and the braces of a template (RFC 6570).
_URI = re.compile(r"[A-Za-z0-9!$&'()*+,;=:@/?#._~%{}-]*")
# RFC 3986 §2.3 and §6.2.2.2: an escape of an unreserved character is the character itself.
_NEEDLESS_ESCAPE = re.compile(
    r"%(?![0-9A-Fa-f]{2})|%(?:2[defDEF]|3[0-9]|4[1-9a-fA-F]|5[0-9aAcCfF]|6[1-9a-fA-F]|7[0-9aAeE]|00)"
)
