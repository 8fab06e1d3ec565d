"""A slice must answer as the whole set would: the same decision, reasons and errors."""

import re
from dataclasses import replace

import cedarpy
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from accredit.policy.arguments import encode_arguments
from accredit.policy.cedar import CompiledPolicies, compile_policies
from accredit.policy.engine import Engine
from accredit.policy.entities import entities_of
from accredit.policy.facts import READERS, Facts
from accredit.policy.request import AccessRequest
from accredit.policy.slices import Slices
from accredit.systems.model import Effect
from tests.policy.building import (
    A_SUNDAY,
    a_policy,
    a_request,
    a_system,
    a_tool,
    an_agent,
    an_operation,
)

TOOL = a_tool(
    amount={"type": "integer"},
    to={"type": "string"},
    tags={"type": "array", "items": {"type": "string"}},
    place={"type": "object", "properties": {"city": {"type": "string"}}},
)

PRINCIPALS = (
    *("principal", 'principal == Agent::"agt_1"', 'principal in Role::"clerk"', 'principal in Role::"chief"'),
    *(
        "principal is Agent",
        'principal is Agent in Role::"clerk"',
        "principal is Person",
        'principal in Agent::"agt_2"',
    ),
)
ACTIONS = (
    *("action", 'action == Action::"crm.write"', 'action in Action::"read"', 'action in Action::"write"'),
    *('action in [Action::"read", Action::"delete"]', 'action in [Action::"crm.read"]', "action in []"),
    'action == Action::"token.issue"',
)
RESOURCES = (
    *("resource", 'resource in System::"crm"', 'resource == Operation::"crm.read"', "resource is Operation"),
    *('resource is Operation in System::"crm"', 'resource in System::"erp"', "resource is System"),
)
CONDITIONS = (
    *("true", "false", "context.risk < 50", "context.args.amount > 5", "context.args has amount"),
    *("context.args has amount && context.args.amount <= 500", 'context.args.to like "*@evil.com"'),
    *("context.args == {}", 'context.args_unmapped.contains("other")', "context.args_unmapped.isEmpty()"),
    *("context.approval.count >= 1", 'context.elevation == "boss"', 'context.network == "office"'),
    *("context.hour < 12", "context.weekday == 7", "context has foo", "context.foo == 1", "principal.missing == 1"),
    *("resource.sensitivity <= principal.capability_level", "resource in principal.allowed_systems"),
    *("context.args.amount + 9223372036854775807 > 0", '{"context": context.network}.context == "office"'),
    *("if context.risk > 1 then context.args.amount == 1 else false", '["office"].contains(context.network)'),
    *(
        'context.args.place.city == "Rome"',
        "context.args.place has city",
        "context == {}",
        "context.args.tags_count > 1",
    ),
    *('(if context.risk > 1 then context else {"risk": 3}).risk == 3', '{"Value": context.hour}.Value > 3'),
    *('"Var" == context.network', 'context["args"]["to"] == "Var"', "!(context.args has to)"),
)

policies = st.lists(
    st.builds(
        lambda effect, principal, action, resource, when, unless: (
            effect,
            f"{principal}, {action}, {resource}",
            when,
            unless,
        ),
        st.sampled_from(("permit", "permit", "forbid")),
        st.sampled_from(PRINCIPALS),
        st.sampled_from(ACTIONS),
        st.sampled_from(RESOURCES),
        st.none() | st.sampled_from(CONDITIONS),
        st.none() | st.sampled_from(CONDITIONS),
    ),
    min_size=1,
    max_size=12,
)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "amount": st.sampled_from((1, 6, 600, 2**63, "7", None)),
        "to": st.sampled_from(("a@evil.com", "Var", 3)),
        "tags": st.sampled_from((["a"], ["a", "b"], [1], "a")),
        "place": st.sampled_from(({"city": "Rome"}, {"town": "Rome"}, {}, "Rome")),
        "other": st.integers(),
    },
)


@st.composite
def requests(draw: st.DrawFn) -> AccessRequest:
    agent = an_agent(
        *draw(st.sampled_from(((), ("clerk",), ("clerk", "chief")))),
        systems=draw(st.sampled_from((("crm",), ("erp",)))),
        capability_level=draw(st.sampled_from((0, 2))),
    )
    effects: tuple[Effect, ...] = ("read", "write", "delete")
    effect = draw(st.sampled_from(effects))
    operation = draw(st.sampled_from((None, an_operation(f"crm.{effect}", effect))))
    return a_request(agent, operation, arguments=draw(arguments), tool=TOOL, system=a_system())


facts = st.builds(
    Facts,
    seconds=st.sampled_from((A_SUNDAY, A_SUNDAY + 50_000)),
    network=st.sampled_from(("", "office")),
    risk=st.sampled_from((0, 60)),
    approvals=st.sampled_from((0, 1)),
    elevation=st.sampled_from(("", "boss")),
)

Answer = tuple[bool, tuple[str, ...], tuple[str, ...]]


def whole_set(compiled: CompiledPolicies, request: AccessRequest, these: Facts) -> Answer:
    """Ask Cedar in the plainest way: all policies as text, all facts, nothing of ours but the entities."""
    encoded = encode_arguments(request.arguments or {}, request.tool)
    context = {name: read(these) for name, read in READERS.items()}
    context |= {"args": encoded.args, "args_unmapped": encoded.unmapped}
    resource = ("System", request.system.name) if request.operation is None else ("Operation", request.action)
    result = cedarpy.is_authorized(
        {
            "principal": {"type": "Agent", "id": request.agent.id},
            "action": {"type": "Action", "id": request.action},
            "resource": {"type": resource[0], "id": resource[1]},
            "context": msgspec.json.encode(context).decode(),
        },
        "\n".join(policy.text for policy in compiled.policies),
        entities_of(request.agent, request.system, request.operation),
    )
    ids = {f"policy{number}": policy.id for number, policy in enumerate(compiled.policies)}
    reasons = tuple(sorted(ids[reason] for reason in result.diagnostics.reasons))
    erring = {name for error in result.diagnostics.errors for name in re.findall(r"policy `(\w+)`", error)}
    errors = tuple(sorted(ids[name] for name in erring))
    return result.allowed and not errors, reasons, errors


@settings(max_examples=150, deadline=None)
@given(policies, st.lists(st.tuples(requests(), facts), min_size=1, max_size=6))
def test_a_slice_answers_as_the_whole_set(
    rows: list[tuple[str, str, str | None, str | None]], asked: list[tuple[AccessRequest, Facts]]
) -> None:
    texts = [
        a_policy(f"p{number}", scope, when, effect=effect, unless=unless)
        for number, (effect, scope, when, unless) in enumerate(rows)
    ]
    compiled = compile_policies({"test.cedar": "".join(texts)})
    engine = Engine(compiled)

    for version, (request, these) in enumerate(asked):
        agent = replace(request.agent, version=version)
        place = engine.place(agent, request.system, request.action, request.operation)
        assert place is not None
        for _ in range(2):  # evaluated, then remembered
            verdict = engine.judge(place, these, request)
            assert (verdict.permits, verdict.reasons, verdict.errors) == whole_set(compiled, request, these)


def test_only_policies_whose_scope_could_match_are_candidates() -> None:
    texts = [a_policy(f"p{number}", f'principal in Role::"r{number}", action, resource') for number in range(50)]
    slices = Slices(compile_policies({"test.cedar": "".join(texts)}))

    found = slices.candidates(['Role::"r7"', 'Agent::"a"'], ['Action::"x"'], ['System::"crm"'])

    assert [policy.id for policy in found] == ["p7"]


def test_the_cache_of_slices_is_bounded_by_the_policies_that_it_holds() -> None:
    texts = [a_policy(f"p{number}") for number in range(10)]
    slices = Slices(compile_policies({"test.cedar": "".join(texts)}), held_policies=4)

    first = slices.slice((0, 1, 2))
    slices.slice((3, 4, 5))
    again = slices.slice((0, 1, 2))

    assert again is not first
    assert again.policies == first.policies


def test_a_slice_is_kept_while_there_is_room() -> None:
    slices = Slices(compile_policies({"test.cedar": a_policy("p0") + a_policy("p1")}), held_policies=4)

    assert slices.slice((0, 1)) is slices.slice((0, 1))
