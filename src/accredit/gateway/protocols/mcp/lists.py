"""What an agent is shown: the tools, prompts and resources that policy could permit it, in a stable order.

Also what a server says of itself: capabilities that no operation can reach are taken out.
"""

from collections.abc import Callable
from typing import cast

from accredit.gateway.protocol import Visible
from accredit.gateway.protocols.mcp.era import LEGACY, SUPPORTED
from accredit.outbound.failures import UpstreamInvalid
from accredit.systems.matching import match_prompt, match_resource, match_tool
from accredit.systems.model import Operation, System

Match = Callable[[System, str], Operation | None]

LISTS: dict[str, tuple[str, str, Match]] = {
    "tools/list": ("tools", "name", match_tool),
    "prompts/list": ("prompts", "name", match_prompt),
    "resources/list": ("resources", "uri", match_resource),
    "resources/templates/list": ("resourceTemplates", "uriTemplate", match_resource),
}
"""Method → the member that holds the list, the member that names an item, and the rule that finds its operation."""

REWRITTEN = frozenset((*LISTS, "initialize", "server/discover"))
"""Methods whose answer is read whole and written anew."""

# What this gateway does not pass on yet, so a server's word for it would mislead the client.
_UNREACHABLE = ("logging", "tasks")


def rewrite(
    method: str, result: dict[str, object], system: System, visible: Visible, *, modern: bool
) -> dict[str, object]:
    """The result of one of these methods as the agent gets it. Raises UpstreamInvalid."""
    if method in LISTS:
        return _filter(method, result, system, visible, modern=modern)
    return _reachable(method, result)


def _filter(
    method: str, result: dict[str, object], system: System, visible: Visible, *, modern: bool
) -> dict[str, object]:
    member, key, match = LISTS[method]
    items = result.get(member)
    if not isinstance(items, list):
        raise UpstreamInvalid(f"the answer to {method} has no list of {member}")
    kept: list[tuple[str, object]] = []
    for item in items:
        name = item.get(key) if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise UpstreamInvalid(f"the answer to {method} has an entry without {key}")
        operation = match(system, name)
        if operation is not None and visible(operation):
            kept.append((name, item))
    kept.sort(key=lambda one: one[0])
    filtered = {**result, member: [item for _, item in kept]}
    if modern:
        # The list depends on who asks, so no cache between us and the agent may keep it for another.
        filtered |= {"cacheScope": "private", "ttlMs": _milliseconds(result.get("ttlMs"))}
    return filtered


def _milliseconds(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _reachable(method: str, result: dict[str, object]) -> dict[str, object]:
    capabilities = result.get("capabilities")
    if not isinstance(capabilities, dict):
        raise UpstreamInvalid(f"the answer to {method} names no capabilities")
    reachable = {key: value for key, value in capabilities.items() if key not in _UNREACHABLE}
    rewritten = {**result, "capabilities": reachable}
    if method == "initialize":
        if result.get("protocolVersion") not in LEGACY:
            raise UpstreamInvalid("the system speaks a revision of MCP that this gateway does not")
        return rewritten
    versions = result.get("supportedVersions")
    if isinstance(versions, list):
        rewritten["supportedVersions"] = [one for one in cast("list[object]", versions) if one in SUPPORTED]
    return rewritten
