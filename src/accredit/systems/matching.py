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


def match_tool(system: System, name: str) -> Operation | None:
    """The operation of a tool; names are compared as they are."""
    return _by_tool(system).get(name)


def match_prompt(system: System, name: str) -> Operation | None:
    """The operation of a prompt."""
    return _by_prompt(system).get(name)


def match_resource(system: System, uri: str) -> Operation | None:
    """The operation of a resource: an exact URI first, else the longest rule `prefix*` that fits.

    A prefix fits only a URI that every reader reads alike (see `_may_wander`); one that does not fit the longest rule
    fits no shorter one. What only the upstream can know to be the same, such as another case of a path, is not.
    """
    longest: Operation | None = None
    prefix = ""
    for one in system.operations:
        if one.resource == uri:
            return one
        if one.resource is None or not one.resource.endswith("*") or not uri.startswith(one.resource[:-1]):
            continue
        if longest is None or len(one.resource) > len(prefix) + 1:
            longest, prefix = one, one.resource[:-1]
    return None if longest is None or _may_wander(uri, prefix) else longest


def _may_wander(uri: str, prefix: str) -> bool:
    """Whether another reader could take the URI for one outside the prefix, or for one of a longer rule.

    Parsers drop tabs and newlines, decode escapes of plain letters, resolve dot segments, and merge empty ones.
    """
    if _URI.fullmatch(uri) is None or _NEEDLESS_ESCAPE.search(uri) is not None:
        return True
    _, has_authority, after = prefix.partition("://")
    if (not has_authority or "/" not in after) and _PLAIN_ORIGIN.match(uri) is None:
        # The rule leaves the authority open: then it has one spelling, without user, port and capitals.
        return True
    segments = re.split(r"[/?;]", uri[len(prefix) :])
    inner = segments[:-1] if segments[-1] == "" else segments
    # A prefix that ends within a segment begins the first one.
    first_is_whole = prefix.endswith("/")
    return any(segment in (".", "..") for segment in segments) or any(
        segment == "" for segment in (inner if first_is_whole else inner[1:])
    )


# RFC 3986 §2: the characters of a URI without a fragment, and the braces of a template (RFC 6570).
_PLAIN_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._~{}-]*(?:[/?]|\Z)")
_URI = re.compile(r"[A-Za-z0-9!$&'()*+,;=:@/?._~%{}-]*")
# RFC 3986 §2.3 and §6.2.2.2: an escape of an unreserved character is the character. `%25` could be decoded twice.
_NEEDLESS_ESCAPE = re.compile(
    r"%(?![0-9A-Fa-f]{2})|%(?:2[5defDEF]|3[0-9]|4[1-9a-fA-F]|5[0-9aAcCfF]|6[1-9a-fA-F]|7[0-9aAeE]|00)"
)
