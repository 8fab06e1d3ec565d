"""A set is checked against what the registered systems offer: each operation an action, its arguments typed."""

import re
from pathlib import Path

import cedarpy
import pytest

from accredit.policy.cedar import compile_policies
from accredit.policy.schema import RESERVED_ACTIONS, schema_text, validate
from accredit.policy.source import PolicyInvalid
from accredit.policy.starter import starter_sources
from accredit.systems.model import Tool
from tests.policy.building import a_policy, a_system, a_tool, an_operation

SEARCH = an_operation("crm.search", "read", tool="search")
UPDATE = an_operation("crm.update", "write", tool="update")
CRM = a_system(SEARCH, UPDATE)
TOOLS = {
    "crm": {
        "search": a_tool(name="search", query={"type": "string"}),
        "update": a_tool(
            name="update",
            required=("amount", "rate"),
            amount={"type": "integer"},
            rate={"type": "number"},
            note={"type": "string"},
            **{'odd "name"\n': {"type": "string"}},
        ),
    }
}
ON_UPDATE = 'principal, action == Action::"crm.update", resource'


def problems(*policies: str) -> list[str]:
    try:
        validate(compile_policies({**starter_sources(), "a.cedar": "\n".join(policies)}), [CRM], TOOLS)
    except PolicyInvalid as refused:
        return [str(problem) for problem in refused.problems]
    return []


@pytest.mark.parametrize(
    "when",
    [
        "context.args.amount <= 500",
        'context.args.rate.lessThanOrEqual(decimal("500.0"))',
        'context.args has note && context.args.note like "*"',
        'context.args has "odd \\"name\\"\\n" && context.args["odd \\"name\\"\\n"] == "x"',
        'context.args_unmapped.contains("x") && context.approval.groups.contains("finance")',
        'context.risk < 70 && context.hour < 4 && context.weekday == 7 && context.network == ""',
        'context.approval.count == 1 && context.elevation == ""',
        'context.person != "" && context.delegation_depth < 2',
        'context.sender_constraint == "dpop" || context.acr == "phr"',
        'resource.sensitivity <= principal.capability_level && resource.kind == "crm"',
        'resource.data.contains("health")',
        'principal.type == "worker" && principal.owner == "a@example.com" && principal.status == "active"',
        "resource in principal.allowed_systems",
    ],
)
def test_what_the_contract_names_can_be_used(when: str) -> None:
    assert problems(a_policy("x", ON_UPDATE, when)) == []


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (
            a_policy("x", 'principal,\naction == Action::"crm.updat", resource'),
            'a.cedar:4: for policy `x`, unrecognized action `Action::"crm.updat"`',
        ),
        (
            a_policy("x", ON_UPDATE, "\ncontext.args.amuont <= 500"),
            'a.cedar:5: for policy `x`, attribute `args.amuont` in context for Action::"crm.update" not found',
        ),
        (
            a_policy("x", ON_UPDATE, "\ncontext.riks < 70"),
            'a.cedar:5: for policy `x`, attribute `riks` in context for Action::"crm.update" not found',
        ),
        (
            a_policy("x", ON_UPDATE, "\nprincipal.capability_levle < 3"),
            "a.cedar:5: for policy `x`, attribute `capability_levle` on entity type `Agent` not found",
        ),
        (
            a_policy("x", 'principal in Rule::"x", action, resource'),
            "a.cedar:3: for policy `x`, unrecognized entity type `Rule`",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_file_and_line(policy: str, problem: str) -> None:
    assert problem in problems(policy)


@pytest.mark.parametrize("when", ["context.args.note == 3", 'context.risk < "70"', "context.args.rate < 500"])
def test_a_wrong_type_or_an_unguarded_optional_argument_is_refused(when: str) -> None:
    found = problems(a_policy("first"), a_policy("x", ON_UPDATE, when))

    assert found
    assert all(problem.startswith("a.cedar:") for problem in found)


def test_an_argument_of_one_tool_is_not_one_of_another() -> None:
    guarded = a_policy("x", when="context has args && context.args has amount && context.args.amount > 1")
    unguarded = a_policy("x", 'principal, action in Action::"read", resource', "context.args.amount > 1")

    assert problems(guarded) == []
    assert problems(unguarded)


def test_the_policies_in_the_documentation_could_be_applied() -> None:
    amounts = a_tool(name="deals", amount={"type": "integer"})
    crm = a_system(an_operation("crm.deals.update", "write", tool="deals"))
    docs = Path(__file__).parents[2] / "docs"
    shown = [
        one for file in sorted(docs.glob("*.md")) for one in re.findall(r"```cedar\n(.*?)```", file.read_text(), re.S)
    ]

    assert len(shown) == 3
    for number, one in enumerate(shown):
        validate(compile_policies({**starter_sources(), f"{number}.cedar": one}), [crm], {"crm": {"deals": amounts}})


def test_the_schema_of_any_number_of_systems_is_valid() -> None:
    for systems in ([], [CRM], [CRM, a_system(an_operation("erp.book", "admin"), name="erp")]):
        cedarpy.Schema.from_str(schema_text(systems, TOOLS))


def test_operations_that_share_an_action_share_the_arguments_on_which_they_agree() -> None:
    other = a_system(an_operation("crm.update", "delete", tool="update"), name="crm-two")
    tools = {
        **TOOLS,
        "crm-two": {"update": a_tool(name="update", amount={"type": "integer"}, note={"type": "integer"})},
    }

    text = schema_text([CRM, other], tools)

    (line,) = [line for line in text.splitlines() if line.startswith('action "crm.update"')]
    assert 'in ["delete", "write"]' in line
    assert '"amount"?: Long' in line
    assert '"note"' not in line


def test_an_operation_that_takes_a_reserved_name_is_no_action() -> None:
    system = a_system(*(an_operation(name, "write") for name in sorted(RESERVED_ACTIONS)))

    cedarpy.Schema.from_str(schema_text([system], {}))


def test_a_tool_with_hostile_names_leaves_the_schema_whole() -> None:
    names = ['"', "\\", "\n", "}; permit", "a::b", "ü", "\x00", "__entity", "", "\u202e"]
    tool = Tool(name="search", input_schema=a_tool(**{name: {"type": "string"} for name in names}).input_schema)  # type: ignore[arg-type]

    cedarpy.Schema.from_str(schema_text([CRM], {"crm": {"search": tool}}))
