"""Which operation of a system a request is. What nothing matches is no operation, and is refused."""

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

    A URI with a dot segment, an escape of one, or a backslash fits no prefix: it could name another place upstream.
    """
    best: Operation | None = None
    for one in system.operations:
        if one.resource == uri:
            return one
        if one.resource is not None and one.resource.endswith("*") and uri.startswith(one.resource[:-1]):
            if _may_wander(uri[len(one.resource) - 1 :]):
                continue
            if best is None or best.resource is None or len(one.resource) > len(best.resource):
                best = one
    return best


def operation_named(system: System, action: str) -> Operation | None:
    """The operation with this action."""
    return _by_action(system).get(action)


def _may_wander(rest: str) -> bool:
    lowered = rest.lower()
    return (
        "\\" in rest
        or any(escape in lowered for escape in ("%2e", "%2f", "%5c", "%00"))
        or any(segment in (".", "..") for segment in rest.split("/"))
    )
