"""Agents, operations and systems as Cedar entities, and the keys by which policies are found for them."""

import cedarpy
import msgspec

from accredit.agents.model import Agent
from accredit.policy.est import entity_key
from accredit.systems.model import Operation, System


def agent_keys(agent: Agent) -> tuple[str, ...]:
    """The agent, its type, and its roles."""
    return ("Agent", entity_key("Agent", agent.id), *(entity_key("Role", role) for role in agent.roles))


def action_keys(action: str, operation: Operation | None) -> tuple[str, ...]:
    """The action and its effect's group."""
    own = entity_key("Action", action)
    return (own,) if operation is None else (own, entity_key("Action", operation.effect))


def resource_keys(system: System, operation: Operation | None) -> tuple[str, ...]:
    """The operation in its system, or the system itself where the action is a built-in one."""
    own = entity_key("System", system.name)
    if operation is None:
        return ("System", own)
    return ("Operation", entity_key("Operation", operation.action), own)


def resource_uid(system: System, operation: Operation | None) -> dict[str, str]:
    """The resource as Cedar's request names it."""
    return _uid("System", system.name) if operation is None else _uid("Operation", operation.action)


def entities_of(agent: Agent, system: System, operation: Operation | None) -> cedarpy.Entities:
    """Every entity that a decision can look at. Raises ValueError if Cedar refuses them."""
    effect = [] if operation is None else [_uid("Action", operation.effect)]
    entities: list[dict[str, object]] = [_agent(agent), _system(system)]
    if operation is not None:
        entities.append(_operation(system, operation))
        entities.append({"uid": _uid("Action", operation.action), "attrs": {}, "parents": effect})
    return cedarpy.Entities.from_json_str(msgspec.json.encode(entities).decode())


def _agent(agent: Agent) -> dict[str, object]:
    return {
        "uid": _uid("Agent", agent.id),
        "attrs": {
            "type": agent.type,
            "capability_level": agent.capability_level,
            "owner": agent.owner_email,
            "status": agent.status.value,
            "allowed_systems": [{"__entity": _uid("System", name)} for name in agent.systems],
        },
        "parents": [_uid("Role", role) for role in agent.roles],
    }


def _system(system: System) -> dict[str, object]:
    return {
        "uid": _uid("System", system.name),
        "attrs": {"sensitivity": system.sensitivity, "data": list(system.data), "kind": system.kind},
        "parents": [],
    }


def _operation(system: System, operation: Operation) -> dict[str, object]:
    return {
        "uid": _uid("Operation", operation.action),
        "attrs": {"sensitivity": operation.sensitivity, "data": list(operation.data), "kind": system.kind},
        "parents": [_uid("System", system.name)],
    }


def _uid(type_: str, id_: str) -> dict[str, str]:
    return {"type": type_, "id": id_}
