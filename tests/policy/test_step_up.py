"""What would make a denial a permit is found by asking again, and is the cheapest that there is."""

import asyncio
import itertools

import cedarpy
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from accredit.policy.entities import entities_of
from accredit.policy.facts import Facts
from accredit.policy.permit import Decision, Permit, Refusal, StepUp
from accredit.policy.request import AccessRequest
from accredit.policy.stepup import MAX_TRIES, find_step, steps
from tests.policy.building import (
    A_SUNDAY,
    a_policy,
    a_policy_at_work,
    a_request,
    a_tool,
    an_agent,
    an_engine,
    an_operation,
)

TOOL = a_tool(required=("amount",), amount={"type": "integer"})
REFUND = an_operation("crm.refund", "write")


def ask(*policies: str, amount: int = 900) -> Decision:
    async def act() -> Decision:
        policy, _ = a_policy_at_work(*policies, starter=False)
        return policy.decide(a_request(an_agent(), REFUND, arguments={"amount": amount}, tool=TOOL))

    return asyncio.run(act())


def test_the_cheapest_step_is_offered() -> None:
    decision = ask(
        a_policy("two", when="context.approval.count >= 2"),
        a_policy("one", when="context.approval.count >= 1"),
        a_policy("role", when='context.elevation == "refund-admin"'),
    )

    assert isinstance(decision, StepUp)
    assert (decision.approvals, decision.elevation) == (0, "refund-admin")
    assert decision.next_step == "What would permit it: the role `refund-admin` for a while."


def test_several_things_can_be_asked_for_together() -> None:
    decision = ask(
        a_policy("large", when='["refund-admin", "chief"].contains(context.elevation) && context.approval.count >= 2')
    )

    assert isinstance(decision, StepUp)
    assert (decision.approvals, decision.elevation) == (2, "chief")
    assert decision.next_step == "What would permit it: approvals by two people and the role `chief` for a while."


def test_a_forbid_that_an_approval_lifts_is_a_step_up() -> None:
    decision = ask(a_policy("all"), a_policy("needs-one", effect="forbid", unless="context.approval.count >= 1"))

    assert isinstance(decision, StepUp)
    assert decision.approvals == 1
    assert decision.ruling.policies == ("needs-one",)


def test_a_forbid_that_nothing_lifts_offers_nothing() -> None:
    decision = ask(a_policy("one", when="context.approval.count >= 1"), a_policy("freeze", effect="forbid"))

    assert isinstance(decision, Refusal)
    assert decision.ruling.policies == ("freeze",)


def test_risk_time_and_place_are_never_offered() -> None:
    decision = ask(
        a_policy("risk", when="context.risk > 50"),
        a_policy("night", when="context.hour < 4"),
        a_policy("office", when='context.network == "office"'),
    )

    assert isinstance(decision, Refusal)


def test_what_the_arguments_ask_for_decides_what_is_offered() -> None:
    limits = (
        a_policy("small", when="context.args.amount <= 500"),
        a_policy("large", when="context.args.amount <= 5000 && context.approval.count >= 1"),
    )

    assert isinstance(ask(*limits, amount=500), Permit)
    assert isinstance(ask(*limits, amount=501), StepUp)
    assert isinstance(ask(*limits, amount=5001), Refusal)


def test_a_step_under_which_a_policy_errs_does_not_help() -> None:
    decision = ask(
        a_policy("one", when="context.approval.count >= 1"),
        a_policy("errs", effect="forbid", when="context.approval.count >= 1 && context.missing == 1"),
    )

    assert isinstance(decision, Refusal)


def test_the_number_of_tries_is_bounded() -> None:
    roles = ", ".join(f'"role-{number:03}"' for number in range(100))
    engine = an_engine(a_policy("many", when=f"[{roles}].contains(context.elevation) && context.approval.count > 5"))
    request = a_request(an_agent(), REFUND)
    place = engine.place(request.agent, request.system, request.action, REFUND)
    assert place is not None
    tried: list[Facts] = []

    def permits(facts: Facts) -> bool:
        tried.append(facts)
        return False

    assert find_step(engine.slice(place), Facts(A_SUNDAY), permits) is None
    assert len(tried) == MAX_TRIES


def test_policies_that_read_nothing_obtainable_are_not_asked_again() -> None:
    engine = an_engine(a_policy("risk", when="context.risk > 1"))
    request = a_request(an_agent(), REFUND)
    place = engine.place(request.agent, request.system, request.action, REFUND)
    assert place is not None

    assert list(steps(engine.slice(place))) == []


CONDITIONS = (
    *("context.approval.count >= 1", "context.approval.count >= 2", "context.approval.count == 1"),
    *('context.elevation == "chief"', 'context.elevation != "clerk"', '["clerk", "chief"].contains(context.elevation)'),
    *("context.risk < 50", "context.risk > 50", "context.args.amount <= 500", "context.missing == 1"),
    *('context.elevation == "clerk" && context.approval.count < 2', 'context.elevation == ""', "true"),
)
rows = st.lists(
    st.tuples(
        st.sampled_from(("permit", "forbid")),
        st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=3),
        st.none() | st.sampled_from(CONDITIONS),
    ),
    min_size=1,
    max_size=5,
)


def permitted(text: str, request: AccessRequest, amount: int, approvals: int, elevation: str) -> bool:
    context = {
        **{"args": {"amount": amount}, "args_unmapped": [], "risk": 0, "hour": 13, "weekday": 7, "network": ""},
        **{"approval": {"count": approvals, "groups": []}, "elevation": elevation},
    }
    result = cedarpy.is_authorized(
        {
            "principal": {"type": "Agent", "id": request.agent.id},
            "action": {"type": "Action", "id": request.action},
            "resource": {"type": "Operation", "id": request.action},
            "context": msgspec.json.encode(context).decode(),
        },
        text,
        entities_of(request.agent, request.system, request.operation),
    )
    return result.allowed and not result.diagnostics.errors


@settings(max_examples=100, deadline=None)
@given(rows, st.sampled_from((400, 600)))
def test_step_up_agrees_with_brute_force(rows: list[tuple[str, list[str], str | None]], amount: int) -> None:
    texts = [
        a_policy(f"p{number}", when=" && ".join(when), unless=unless, effect=effect)
        for number, (effect, when, unless) in enumerate(rows)
    ]
    request = a_request(an_agent(), REFUND, arguments={"amount": amount}, tool=TOOL)

    decision = ask(*texts, amount=amount)

    text = "".join(texts)
    # Only a role that some policy names can be asked for.
    named = ["", *(role for role in ("clerk", "chief") if f'"{role}"' in text)]
    helping = [
        (10 * approvals + 5 * bool(elevation), approvals, elevation)
        for approvals, elevation in itertools.product((0, 1, 2), named)
        if permitted(text, request, amount, approvals, elevation)
    ]
    match decision:
        case Permit():
            assert (0, 0, "") in helping
        case StepUp(approvals=approvals, elevation=elevation):
            assert (10 * approvals + 5 * bool(elevation), approvals, elevation) in helping
            assert 10 * approvals + 5 * bool(elevation) == min(helping)[0] > 0
        case Refusal():
            # A policy that errs is a fault to be mended, not something to be approved.
            assert helping == [] or "could not be evaluated" in decision.reason
