"""What can be known of a policy without running it, read from Cedar's JSON form: its scope and what it reads.

Every walk here follows Cedar's JSON policy format, node by node, so that a name inside a literal is never taken for
a part of the language. What is not understood counts as reading everything.
"""

from collections.abc import Iterator
from typing import Any

ANY = ""
ARGS = "args"
ARGS_UNMAPPED = "args_unmapped"
NETWORK = "network"
CONTEXT_NAMES = (
    "acr",
    "approval",
    ARGS,
    ARGS_UNMAPPED,
    "delegation_depth",
    "elevation",
    "hour",
    NETWORK,
    "person",
    "risk",
    "sender_constraint",
    "weekday",
)

# Cedar's JSON form is a tree of mixed values; it is typed where it leaves this module.
Node = Any


def entity_key(type_: str, id_: str) -> str:
    """The key by which a scope names an entity."""
    return f'{type_}::"{id_}"'


def scope_key(scope: Node) -> str:
    """The one thing that a request's principal or resource must be, be in or be of; ANY if nothing is asked."""
    entity = scope.get("entity") or scope.get("in", {}).get("entity")
    if entity is not None:
        return entity_key(entity["type"], entity["id"])
    return str(scope.get("entity_type", ANY))


def action_keys(scope: Node) -> tuple[str, ...]:
    """The actions, or their groups, one of which a request must name; ANY if nothing is asked."""
    if scope["op"] == "All":
        return (ANY,)
    entities = scope.get("entities") or ([scope["entity"]] if "entity" in scope else [])
    return tuple(entity_key(entity["type"], entity["id"]) for entity in entities)


def reads(policy: Node) -> tuple[str, ...]:
    """The context attributes that the conditions read, sorted: `risk`, `args`, or `args.amount` for one argument."""
    return tuple(sorted({name for condition in policy["conditions"] for name in _reads(condition["body"])}))


def reads_arguments(names: tuple[str, ...]) -> bool:
    """Whether any of these names is about the call itself: its arguments, or the network that it comes from.

    Neither is known when a token is asked for or a list is shown.
    """
    return any(name in (ARGS_UNMAPPED, NETWORK) or _is_argument(name) for name in names)


def roles(policy: Node) -> tuple[str, ...]:
    """The roles that the policy names, in its scope or its conditions, sorted."""
    return _entities(policy, "Role")


def agents(policy: Node) -> tuple[str, ...]:
    """The ids of the agents that the policy names, in its scope or its conditions, sorted."""
    return _entities(policy, "Agent")


def reads_owner(policy: Node) -> bool:
    """Whether the policy can tell agents of one owner from those of another. In doubt it can."""
    stack: list[object] = [policy]
    while stack:
        node = stack.pop()
        if node == "owner":
            return True
        if isinstance(node, dict):
            stack.extend(node)
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return False


def _entities(policy: Node, type_: str) -> tuple[str, ...]:
    found: set[str] = set()
    stack: list[object] = [policy]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if node.get("type") == type_ and isinstance(node.get("id"), str):
                found.add(node["id"])
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return tuple(sorted(found))


def elevations(policy: Node) -> tuple[str, ...]:
    """The texts that the conditions compare with `context.elevation`."""
    found: set[str] = set()
    for condition in policy["conditions"]:
        for node in _walk(condition["body"]):
            sides = list(_children(node))
            if any(_context_attribute(side) == "elevation" for side in sides):
                found |= {text for side in sides for text in _texts(side)}
    return tuple(sorted(found - {""}))


def without_arguments(policy: Node) -> Node:
    """The policy without each conjunct that reads arguments: it holds wherever the policy could hold for some."""
    kept = []
    for condition in policy["conditions"]:
        # `unless { a || b }` is `when { !a && !b }`: there the parts of `||` are the conjuncts.
        operator = "&&" if condition["kind"] == "when" else "||"
        parts = [part for part in _flatten(condition["body"], operator) if not reads_arguments(tuple(_reads(part)))]
        if parts:
            body = parts[0]
            for part in parts[1:]:
                body = {operator: {"left": body, "right": part}}
            kept.append({"kind": condition["kind"], "body": body})
    return {**policy, "conditions": kept}


def _is_argument(name: str) -> bool:
    return name == ARGS or name.startswith(ARGS + ".")


def _reads(body: Node) -> Iterator[str]:
    stack = [body]
    while stack:
        node = stack.pop()
        path = _path(node)
        if path is None:
            stack.extend(_children(node))
        elif path == ():
            yield from CONTEXT_NAMES
        elif path[0] == ARGS and len(path) > 1:
            yield f"{ARGS}.{path[1]}"
        else:
            yield path[0]


def _path(node: Node) -> tuple[str, ...] | None:
    """`context.args.amount` as ("args", "amount"), `context` as (); None if the node is not such a path."""
    names: list[str] = []
    while isinstance(node, dict) and len(node) == 1 and ("." in node or "has" in node):
        (operands,) = node.values()
        names.append(operands["attr"])
        node = operands["left"]
    return tuple(reversed(names)) if node == {"Var": "context"} else None


def _context_attribute(node: Node) -> str | None:
    path = _path(node)
    return path[0] if path is not None and len(path) == 1 and "." in node else None


def _children(node: Node) -> Iterator[Node]:
    ((operator, operands),) = node.items()
    match operator:
        case "Value" | "Var" | "Slot" | "Unknown":
            return
        case "Record":
            yield from operands.values()
        case "Set":
            yield from operands
        case "like":
            yield operands["left"]
        case "is":
            yield operands["left"]
            if "in" in operands:
                yield operands["in"]
        case "." | "has":
            yield operands["left"]
        case _ if isinstance(operands, list):  # a function: `{"decimal": [argument]}`
            yield from operands
        case _:  # an operator: `{"left": …, "right": …}`, `{"arg": …}` or `{"if": …, "then": …, "else": …}`
            yield from operands.values()


def _walk(body: Node) -> Iterator[Node]:
    stack = [body]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(_children(node))


def _texts(node: Node) -> Iterator[str]:
    for part in _walk(node):
        value = part.get("Value")
        values = value if isinstance(value, list) else [value]
        yield from (text for text in values if isinstance(text, str))


def _flatten(body: Node, operator: str) -> Iterator[Node]:
    if operator in body:
        yield from _flatten(body[operator]["left"], operator)
        yield from _flatten(body[operator]["right"], operator)
    else:
        yield body
