"""The Cedar schema of the registered systems, and the check of a policy set against it.

Used when a set is applied, never in a decision: there it would cost 60 µs, and facts are typed where they are made.
"""

from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import get_args

import cedarpy

from accredit.policy.arguments import NOTHING, RecordShape, quoted, record_type, shape_of
from accredit.policy.cedar import CompiledPolicies, CompiledPolicy
from accredit.policy.source import PolicyInvalid, Problem, split
from accredit.systems.model import Effect, System, Tool

EFFECTS: tuple[str, ...] = get_args(Effect)
RESERVED_ACTIONS = frozenset((*EFFECTS, "token.issue", "mcp.session"))
"""Names that no operation of a system may have."""

Tools = Mapping[str, Mapping[str, Tool]]
"""System → tool → its schema, for the systems whose tools are known."""

_FACTS = (
    ("args_unmapped", "Set<String>"),
    ("risk", "Long"),
    ("hour", "Long"),
    ("weekday", "Long"),
    ("network", "String"),
    ("approval", "Approval"),
    ("elevation", "String"),
    ("person", "String"),
    ("delegation_depth", "Long"),
    ("sender_constraint", "String"),
    ("acr", "String"),
)


def schema_text(systems: Iterable[System], tools: Tools) -> str:
    """The schema in Cedar's language: `schema.cedarschema`, and an action for each operation."""
    fixed = (resources.files("accredit.policy") / "schema.cedarschema").read_text(encoding="utf-8")
    effects: dict[str, set[str]] = {}
    shapes: dict[str, list[RecordShape]] = {}
    for action, effect, shape in _operations(systems, tools):
        effects.setdefault(action, set()).add(effect)
        shapes.setdefault(action, []).append(shape)
    actions = [_action(action, sorted(effects[action]), _common(shapes[action])) for action in sorted(effects)]
    return "\n".join([fixed, *actions, *_placeholders(effects)])


def validate(compiled: CompiledPolicies, systems: Iterable[System], tools: Tools) -> None:
    """Check every policy against the schema. Slow for large sets: run it in a thread; it lets go of the GIL.

    Raises PolicyInvalid with a file, a line and Cedar's message for each unknown action, attribute or type.
    """
    schema = cedarpy.Schema.from_str(schema_text(systems, tools), release_gil=True)
    text = "\n".join(policy.text for policy in compiled.policies)
    result = cedarpy.validate_policies(text, schema, release_gil=True)
    if not result.validation_passed:
        by_number = {f"policy{number}": policy for number, policy in enumerate(compiled.policies)}
        raise PolicyInvalid([_problem(by_number, error.policy_id, error.error) for error in result.errors])


def _operations(systems: Iterable[System], tools: Tools) -> Iterator[tuple[str, str, RecordShape]]:
    for system in systems:
        known = tools.get(system.name, {})
        for operation in system.operations:
            tool = known.get(operation.tool) if operation.tool else None
            if operation.action not in RESERVED_ACTIONS:
                yield operation.action, operation.effect, NOTHING if tool is None else shape_of(tool)


def _common(shapes: list[RecordShape]) -> dict[str, str]:
    """The arguments of an action that several operations share: those on whose type all who have them agree."""
    types: dict[str, set[str]] = {}
    present: dict[str, int] = {}
    for shape in shapes:
        for name, type_ in shape.attributes():
            types.setdefault(name, set()).add(type_.rstrip("?"))
            present[name] = present.get(name, 0) + (not type_.endswith("?"))
    return {
        name: next(iter(found)) + ("" if present[name] == len(shapes) else "?")
        for name, found in types.items()
        if len(found) == 1
    }


def _action(action: str, effects: list[str], args: Mapping[str, str]) -> str:
    groups = ", ".join(quoted(effect) for effect in effects)
    context = record_type(iter((("args", record_type(iter(args.items()))), *_FACTS)))
    applies = f"{{ principal: [Agent], resource: [Operation], context: {context} }}"
    return f"action {quoted(action)} in [{groups}] appliesTo {applies};"


def _placeholders(effects: Mapping[str, set[str]]) -> Iterator[str]:
    """An action for each effect that no operation has: without one, Cedar calls policies on the effect impossible."""
    used = set().union(*effects.values())
    for effect in EFFECTS:
        if effect not in used:
            yield _action(f"no operation has the effect {effect}", [effect], {})


def _problem(by_number: Mapping[str, CompiledPolicy], number: str, message: str) -> Problem:
    policy = by_number.get(number)
    if policy is None:
        return Problem("policy set", 1, message)
    return Problem(
        policy.file, policy.line + _line_within(policy, message), message.replace(f"`{number}`", f"`{policy.id}`")
    )


def _line_within(policy: CompiledPolicy, message: str) -> int:
    """How many lines below its beginning the thing stands that the message names in backquotes."""
    named = {
        part
        for quote in message.split("`")[1::2]
        for part in (quote, quote.rsplit('"', 2)[-2:][0], quote.rsplit(".", 1)[-1])
    }
    for piece in split(policy.file, policy.text):
        token = piece.token_like(named - {"", "principal", "action", "resource", "context"})
        if token is not None:
            return token.line - 1
    return 0
