"""Each starter file has a table of cases beside it; every case is run, against its own file alone and the whole set."""

import itertools
import tomllib
from importlib import resources
from typing import Any

import pytest

from accredit.agents.model import AgentStatus
from accredit.policy.cedar import compile_policies
from accredit.policy.engine import Engine
from accredit.policy.facts import Facts
from accredit.policy.schema import validate
from accredit.policy.starter import starter_policies, starter_sources
from tests.policy.building import A_SUNDAY, a_request, a_system, an_agent, an_operation

FOLDER = resources.files("accredit.policy") / "builtin"


def _cases(file: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = tomllib.loads((FOLDER / file).read_text(encoding="utf-8"))["cases"]
    return cases


VERSIONS = itertools.count()


def _run(engine: Engine, case: dict[str, Any]) -> tuple[bool, tuple[str, ...]]:
    agent = an_agent(
        *case.get("roles", []),
        systems=tuple(case.get("systems", ["crm"])),
        status=AgentStatus(case.get("status", "active")),
        capability_level=case.get("capability_level", 2),
        version=next(VERSIONS),
        type_=case.get("type", "worker"),
    )
    operation = (
        an_operation(effect=case["effect"], sensitivity=case.get("sensitivity", 1)) if "effect" in case else None
    )
    system = a_system(name=case.get("system", "crm"))
    request = a_request(agent, operation, action=case.get("action", ""), system=system)
    facts = Facts(A_SUNDAY, risk=case.get("risk", 0), approvals=case.get("approvals", 0))
    place = engine.place(agent, system, request.action, operation)

    assert place is not None
    verdict = engine.judge(place, facts, request)

    assert not verdict.errors
    return verdict.permits, verdict.reasons


def test_every_starter_file_has_a_table() -> None:
    names = {file.name for file in FOLDER.iterdir()}

    policies = {name.removesuffix(".cedar") for name in names if name.endswith(".cedar")}
    tables = {name.removesuffix(".tests.toml") for name in names if name.endswith(".tests.toml")}

    assert policies == tables == {"agents", "people", "roles"}


@pytest.mark.parametrize("file", ["agents", "people", "roles"])
def test_every_case_of_the_table_holds(file: str) -> None:
    alone = Engine(compile_policies({f"{file}.cedar": (FOLDER / f"{file}.cedar").read_text(encoding="utf-8")}))
    together = Engine(starter_policies())

    for case in _cases(f"{file}.tests.toml"):
        expected = (case["permits"], tuple(case.get("policies", ())))

        assert _run(alone, case) == expected, case["name"]
        assert _run(together, case) == expected, case["name"]


def test_every_starter_policy_decides_in_some_case() -> None:
    named = {
        id_
        for file in ("agents", "people", "roles")
        for case in _cases(f"{file}.tests.toml")
        for id_ in case.get("policies", ())
    }

    assert named == {policy.id for policy in starter_policies().policies}


def test_the_starter_policies_are_those_of_the_contract() -> None:
    assert {policy.id for policy in starter_policies().policies} == {
        "agents-get-tokens",
        "agents-open-sessions",
        "ai-agent-readonly",
        "ai-agent-operator",
        "ai-agent-admin",
        "administrators-have-all-rights",
        "delegators-read-and-write",
    }


def test_the_starter_policies_fit_the_schema_before_any_system_is_registered() -> None:
    compiled = compile_policies(starter_sources())

    validate(compiled, [], {})

    assert compiled == starter_policies()
