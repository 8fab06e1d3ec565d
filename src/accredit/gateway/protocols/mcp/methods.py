"""Which methods there are, and which operation of a system each request is."""

from collections.abc import Callable, Mapping

import msgspec

from accredit.gateway.protocols.mcp.era import LEGACY
from accredit.gateway.protocols.mcp.forward import with_params
from accredit.gateway.protocols.mcp.read import INVALID_PARAMS, BadMessage, Message
from accredit.policy.request import MCP_SESSION
from accredit.systems.matching import match_prompt, match_resource, match_tool
from accredit.systems.model import Operation, System

NAME_CHARACTERS = 4_096
_ACTION_CHARACTERS = 200

_LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
_SESSION = frozenset((*_LISTS, "initialize", "ping", "server/discover"))
_BY_NAME: dict[str, tuple[str, Callable[[System, str], Operation | None]]] = {
    "tools/call": ("name", match_tool),
    "prompts/get": ("name", match_prompt),
    "resources/read": ("uri", match_resource),
    "resources/subscribe": ("uri", match_resource),
    "resources/unsubscribe": ("uri", match_resource),
}
_REFERENCES: dict[str, tuple[str, Callable[[System, str], Operation | None]]] = {
    "ref/prompt": ("name", match_prompt),
    "ref/resource": ("uri", match_resource),
}
_TASKS = ("tasks/get", "tasks/update", "tasks/cancel")
_BOTH = frozenset((*_LISTS, "tools/call", "prompts/get", "resources/read", "completion/complete", *_TASKS))
_LEGACY_ONLY = frozenset(
    (
        *("initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"),
        *("tasks/list", "tasks/result"),
    )
)
_MODERN_ONLY = frozenset(("server/discover", "subscriptions/listen"))


# A message without `id` is a call all the same for a server that follows JSON-RPC 2.0 §4.1, so only these are taken.
_NOTIFICATIONS = frozenset(
    (
        *("notifications/initialized", "notifications/cancelled"),
        *("notifications/progress", "notifications/roots/list_changed"),
    )
)


class Resolved(msgspec.Struct, frozen=True):
    """A request as policy sees it. Without an operation, `action` is the built-in one or names what nothing matched."""

    action: str
    operation: Operation | None = None
    arguments: Mapping[str, object] | None = None
    resource: str | None = None


def is_known(method: str, *, modern: bool) -> bool:
    """Whether a revision has this method; what it has may still be refused."""
    return method in _BOTH or method in (_MODERN_ONLY if modern else _LEGACY_ONLY)


def is_notification(method: str, *, modern: bool) -> bool:
    """Whether a client may say this without an id. Those of revision 2026-07-28 are dropped, whatever they are."""
    return method.startswith("notifications/") if modern else method in _NOTIFICATIONS


def resolve(message: Message, system: System) -> Resolved:
    """The operation that a request is. Raises BadMessage if its parameters do not say which."""
    method, params = message.method, message.params
    if method in _SESSION or (method == "subscriptions/listen" and not _names_resources(params)):
        return Resolved(action=MCP_SESSION, resource=method)
    if method == "completion/complete":
        return _resolve_completion(message, system)
    if (rule := _BY_NAME.get(method)) is None:
        return Resolved(action=method)
    key, match = rule
    name = _text(params, key, message)
    arguments = _arguments(message) if method in ("tools/call", "prompts/get") else None
    if "task" in params:
        # The result would be fetched with tasks/result, which is not decided on yet.
        return Resolved(action=f"{method} as a task", arguments=arguments, resource=name)
    return _resolved(method, match(system, name), name, arguments)


def newest_legacy(message: Message) -> Message:
    """An `initialize` that asks for a revision that we serve: a server answers with it, or with the newest it has."""
    if message.params.get("protocolVersion") in LEGACY:
        return message
    return with_params(message, {"protocolVersion": LEGACY[-1]})


def _resolve_completion(message: Message, system: System) -> Resolved:
    reference = message.params.get("ref")
    rule = _REFERENCES.get(str(reference.get("type"))) if isinstance(reference, dict) else None
    if rule is None or not isinstance(reference, dict):
        raise BadMessage(INVALID_PARAMS, "ref names neither a prompt nor a resource", message.id)
    key, match = rule
    name = _text(reference, key, message)
    return _resolved(message.method, match(system, name), name, None)


def _resolved(method: str, operation: Operation | None, name: str, arguments: Mapping[str, object] | None) -> Resolved:
    action = operation.action if operation is not None else f"{method} {name}"[:_ACTION_CHARACTERS]
    return Resolved(action, operation, arguments, name)


def _arguments(message: Message) -> Mapping[str, object]:
    arguments = message.params.get("arguments", {})
    if not isinstance(arguments, dict):
        raise BadMessage(INVALID_PARAMS, "arguments is not an object", message.id)
    return arguments


def _text(params: Mapping[str, object], key: str, message: Message) -> str:
    value = params.get(key)
    if not isinstance(value, str) or not value or len(value) > NAME_CHARACTERS:
        raise BadMessage(INVALID_PARAMS, f"{key} is not a text of 1 to {NAME_CHARACTERS} characters", message.id)
    return value


def _names_resources(params: Mapping[str, object]) -> bool:
    """A subscription to resources would have to be decided for each; until then it is refused."""
    notifications = params.get("notifications")
    return not isinstance(notifications, dict) or "resourceSubscriptions" in notifications
