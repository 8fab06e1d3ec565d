"""Rule 1 of the spine: only `policy/decide.py` makes a Permit. Shown on the whole source tree, and at run time."""

import ast
import asyncio
import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import accredit
from accredit.ids import EventId
from accredit.policy.permit import Permit, Ruling
from accredit.policy.request import AccessRequest
from accredit.storage.schema import Recorded
from tests.policy.building import a_policy_at_work, a_request, a_system, an_agent

SOURCE = Path(accredit.__file__).parent
DEFINED = "policy/permit.py"
DECIDES = "policy/decide.py"
SEAL = "_SEAL"


def _trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def _names(node: ast.AST) -> Iterator[str]:
    """Every way in which a node can name something: a variable, an attribute, an import, a text."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
            yield name
        case ast.Constant(value=str() as text):
            yield text


def _is_permit(node: ast.expr) -> bool:
    return "Permit" in _names(node)


def _a_permit() -> Permit:
    async def decide() -> Permit:
        policy, _ = a_policy_at_work()
        decision = policy.decide(a_request(an_agent(), system=a_system()))
        assert isinstance(decision, Permit)
        return decision

    return asyncio.run(decide())


def test_only_decide_names_the_seal() -> None:
    files = {file for file, tree in _trees() for node in ast.walk(tree) if SEAL in _names(node)}

    assert files == {DEFINED, DECIDES}


def test_only_decide_calls_permit_and_only_once() -> None:
    calls = [
        file
        for file, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _is_permit(node.func)
    ]

    assert calls == [DECIDES]


def test_nothing_makes_an_object_around_its_constructor() -> None:
    """`object.__new__(Permit)` would be a permit without a ruling."""
    found = [
        file
        for file, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and "__new__" in _names(node.func) and any(_is_permit(one) for one in node.args)
    ]

    assert found == []


def test_nothing_but_the_permit_itself_sets_past_its_guard() -> None:
    """`object.__setattr__` is how a frozen value could be changed."""
    files = {
        file
        for file, tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and "__setattr__" in _names(node.func)
    }

    assert files <= {DEFINED}


@pytest.mark.parametrize("seal", [None, object(), "seal", 0])
def test_a_permit_cannot_be_constructed_without_the_seal(seal: object) -> None:
    ruling = _a_permit().ruling

    with pytest.raises(TypeError, match=r"only policy\.decide"):
        Permit(ruling, seal=seal)


def test_a_permit_cannot_be_subclassed() -> None:
    with pytest.raises(TypeError, match="no subclasses"):
        type("Forged", (Permit,), {})


@pytest.mark.parametrize("act", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_permit_cannot_be_copied_or_pickled(act: Callable[[Permit], Any]) -> None:
    permit = _a_permit()

    with pytest.raises(TypeError):
        act(permit)


def test_a_permit_cannot_be_given_another_ruling() -> None:
    permit = _a_permit()
    ruling = permit.ruling

    with pytest.raises(TypeError, match="does not change"):
        permit.ruling = _other_ruling(ruling)
    with pytest.raises(TypeError, match="does not change"):
        del permit.ruling

    assert permit.ruling is ruling


def test_a_ruling_cannot_be_changed() -> None:
    ruling = _a_permit().ruling

    with pytest.raises(AttributeError):
        ruling.policies = ()  # type: ignore[misc]


def _other_ruling(ruling: Ruling) -> Ruling:
    request: AccessRequest = ruling.request
    recorded: asyncio.Future[Recorded] = ruling.recorded
    return Ruling(request=request, event=EventId("evt_x"), recorded=recorded, policies=(), policy_set="", change=0)
