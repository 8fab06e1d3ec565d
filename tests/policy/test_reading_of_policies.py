"""What is read from a policy without running it: the facts that it needs, the roles that it asks for, its conjuncts."""

import cedarpy
import msgspec
import pytest

from accredit.policy import est
from accredit.policy.cedar import compile_policies
from tests.policy.building import a_policy

EVERYTHING = est.CONTEXT_NAMES


@pytest.mark.parametrize(
    ("when", "reads"),
    [
        ("true", ()),
        ("context.risk < 70", ("risk",)),
        ("context has risk", ("risk",)),
        ("context.approval.count >= 1", ("approval",)),
        ("context.args.amount <= 500", ("args.amount",)),
        ("context.args has amount", ("args.amount",)),
        ("context.args has place.city", ("args.place",)),
        ('context.args.place.city == "Rome"', ("args.place",)),
        ('context["args"]["a.b"] == 1', ("args.a.b",)),
        ("context.args == {}", ("args",)),
        ("context has args", ("args",)),
        ("context == {}", EVERYTHING),
        ("(if principal == resource then context else context).risk == 1", EVERYTHING),
        ("[context].contains(principal)", EVERYTHING),
        ('{"Value": context.hour}.Value > 3', ("hour",)),
        ('{"Var": {"x": context.hour}} == {}', ("hour",)),
        ('"context" == principal.type', ()),
        ('{"Var": "context"} == {"Var": "context"}', ()),
        ('context.network like "10.*"', ("network",)),
        ("context.args.ip is Agent in context.args.group", ("args.group", "args.ip")),
        ("decimal(context.network).lessThan(context.args.rate)", ("args.rate", "network")),
        ("!(-context.hour > 1)", ("hour",)),
        ("[context.hour, context.weekday].contains(1)", ("hour", "weekday")),
    ],
)
def test_the_facts_that_a_condition_reads(when: str, reads: tuple[str, ...]) -> None:
    (as_when,) = compile_policies({"a.cedar": a_policy("x", when=when)}).policies
    (as_unless,) = compile_policies({"a.cedar": a_policy("x", unless=when)}).policies

    assert as_when.reads == as_unless.reads == reads


@pytest.mark.parametrize(
    ("when", "roles"),
    [
        ('context.elevation == "a"', ("a",)),
        ('"a" == context.elevation', ("a",)),
        ('["b", "a"].contains(context.elevation)', ("a", "b")),
        ('context.elevation == "a" || context.elevation == "b"', ("a", "b")),
        ('context.elevation != ""', ()),
        ('context.network == "a" && context.elevation == "b"', ("b",)),
        ('principal.type == "a"', ()),
    ],
)
def test_the_roles_that_a_policy_asks_for(when: str, roles: tuple[str, ...]) -> None:
    (policy,) = compile_policies({"a.cedar": a_policy("x", when=when)}).policies

    assert policy.elevations == roles


@pytest.mark.parametrize(
    ("conditions", "relaxed"),
    [
        ("when { context.args.a && context.risk < 1 }", "when { context.risk < 1 }"),
        (
            "when { context.risk < 1 && context.args.a && context.hour < 1 }",
            "when { context.risk < 1 && context.hour < 1 }",
        ),
        ("when { context.args.a || context.risk < 1 }", ""),
        ("when { context.args_unmapped.isEmpty() }", ""),
        ("unless { context.args.a || context.risk < 1 }", "unless { context.risk < 1 }"),
        ("unless { context.args.a && context.risk < 1 }", ""),
        ("when { context == {} } when { true }", "when { true }"),
    ],
)
def test_a_permit_is_relaxed_by_taking_out_what_reads_arguments(conditions: str, relaxed: str) -> None:
    scope = "permit (principal, action, resource)"
    (policy,) = compile_policies({"a.cedar": f'@id("x") @description("d") {scope} {conditions};'}).policies
    expected = msgspec.json.decode(cedarpy.policies_to_json_str(f"{scope} {relaxed};"))["staticPolicies"]["policy0"]

    assert policy.relaxed_json is not None
    assert msgspec.json.decode(policy.relaxed_json) == expected


def test_a_forbid_and_a_permit_that_reads_no_arguments_are_not_relaxed() -> None:
    text = a_policy("x", when="context.risk < 1") + a_policy("y", when="context.args.a", effect="forbid")

    assert [policy.relaxed_json for policy in compile_policies({"a.cedar": text}).policies] == [None, None]
