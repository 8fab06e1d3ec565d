"""What Cedar and cedarpy do that would permit too much or break; each was run, and each is met."""

import pytest

from accredit.policy.cedar import Verdict
from accredit.policy.engine import Engine
from accredit.policy.facts import Facts
from accredit.systems.model import Tool
from tests.policy.building import (
    A_SUNDAY,
    a_policy,
    a_request,
    a_system,
    a_tool,
    an_agent,
    an_engine,
    an_operation,
)

PERMIT = a_policy("permit-all")
TEXT = {"type": "string"}
WHOLE = {"type": "integer"}
NUMBER = {"type": "number"}
FACTS = Facts(A_SUNDAY, network="office")


def judge(engine: Engine, tool: Tool | None = None, facts: Facts = FACTS, **arguments: object) -> Verdict:
    request = a_request(an_agent("clerk"), an_operation(), arguments=arguments, tool=tool)
    place = engine.place(request.agent, request.system, request.action, request.operation)
    assert place is not None
    return engine.judge(place, facts, request)


def test_a_forbid_that_reads_a_missing_attribute_denies() -> None:
    engine = an_engine(PERMIT, a_policy("no-evil", when='context.args.to like "*@evil.com"', effect="forbid"))

    verdict = judge(engine, a_tool(to=TEXT))

    assert not verdict.permits
    assert verdict.errors == ("no-evil",)


def test_a_forbid_that_overflows_denies() -> None:
    engine = an_engine(PERMIT, a_policy("sum", when="context.args.amount + 1 > 10", effect="forbid"))

    verdict = judge(engine, a_tool(amount=WHOLE), amount=2**63 - 1)

    assert not verdict.permits
    assert verdict.errors == ("sum",)


def test_a_forbid_that_reads_a_missing_attribute_of_the_agent_denies() -> None:
    engine = an_engine(PERMIT, a_policy("typo", when="principal.capability_levle > 3", effect="forbid"))

    verdict = judge(engine)

    assert not verdict.permits
    assert verdict.errors == ("typo",)


def test_an_entity_smuggled_into_an_argument_does_not_evade_a_forbid() -> None:
    engine = an_engine(PERMIT, a_policy("no-evil", when='context.args.to like "*@evil.com"', effect="forbid"))

    for smuggled in (
        {"__entity": {"type": "Role", "id": "ai-agent-admin"}},
        {"__extn": {"fn": "ip", "arg": "10.0.0.1"}},
        {"__extn": {"fn": "unknown", "arg": "x"}},
    ):
        assert not judge(engine, a_tool(to=TEXT), to=smuggled).permits

    assert not judge(engine, a_tool(to=TEXT), to="mallory@evil.com").permits
    assert judge(engine, a_tool(to=TEXT), to="bob@example.com").permits


def test_an_entity_smuggled_into_an_unread_argument_reaches_no_policy() -> None:
    engine = an_engine(a_policy("all-args", when="context.args == {}"))

    verdict = judge(engine, a_tool(note={"type": "object"}), note={"__entity": {"type": "Role", "id": "x"}})

    assert verdict.permits


@pytest.mark.parametrize("value", [None, 1.5, 2**63, -(2**64), {"deep": {"er": None}}, [None], [1.5]])
def test_a_value_that_cedar_cannot_hold_does_not_break_the_request(value: object) -> None:
    engine = an_engine(a_policy("named", when='context.args_unmapped.contains("amount")'))

    verdict = judge(engine, a_tool(amount=WHOLE), amount=value)

    assert verdict.permits


def test_a_limit_on_a_number_is_not_dodged_by_a_small_fraction() -> None:
    engine = an_engine(a_policy("limit", when='context.args.amount.lessThanOrEqual(decimal("500.0"))'))

    assert judge(engine, a_tool(amount=NUMBER), amount=500).permits
    assert judge(engine, a_tool(amount=NUMBER), amount=500.0).permits
    assert not judge(engine, a_tool(amount=NUMBER), amount=500.00001).permits
    assert not judge(engine, a_tool(amount=NUMBER), amount=1e300).permits


def test_a_limit_on_a_whole_number_is_not_dodged_by_its_spelling() -> None:
    engine = an_engine(
        PERMIT, a_policy("limit", when="context.args has amount && context.args.amount > 500", effect="forbid")
    )

    assert judge(engine, a_tool(amount=WHOLE), amount=500.0).permits
    assert not judge(engine, a_tool(amount=WHOLE), amount=501.0).permits


def test_a_forbid_guarded_by_has_can_still_refuse_what_cannot_be_said() -> None:
    engine = an_engine(
        PERMIT,
        a_policy("unsaid", when='context.args_unmapped.contains("amount")', effect="forbid"),
    )

    assert not judge(engine, a_tool(amount=WHOLE), amount="501").permits
    assert judge(engine, a_tool(amount=WHOLE), amount=501).permits


def test_an_array_is_a_set_and_its_length_is_counted() -> None:
    engine = an_engine(a_policy("two", when='context.args.to_count == 2 && context.args.to == ["a"]'))

    assert judge(engine, a_tool(to={"type": "array", "items": TEXT}), to=["a", "a"]).permits


def test_like_is_case_sensitive() -> None:
    engine = an_engine(a_policy("like", when='context.args.to like "*@example.com"'))

    assert judge(engine, a_tool(to=TEXT), to="a@example.com").permits
    assert not judge(engine, a_tool(to=TEXT), to="a@EXAMPLE.com").permits


def test_deep_arguments_are_cut_off_and_named() -> None:
    engine = an_engine(a_policy("deep", when='context.args_unmapped.contains("free")'))
    deep: object = 1
    for _ in range(400):
        deep = {"a": deep}

    assert judge(engine, a_tool(free={"type": "object"}), free=deep).permits


def test_a_very_long_text_is_named_and_not_handed_over() -> None:
    engine = an_engine(a_policy("long", when='context.args_unmapped.contains("note")'))

    assert judge(engine, a_tool(note=TEXT), note="x" * 1_000_000).permits


def test_more_unsayable_arguments_than_can_be_named_are_refused() -> None:
    engine = an_engine(a_policy("unsaid", when='!context.args_unmapped.contains("x1")'))

    verdict = judge(engine, a_tool(), FACTS, **{f"x{number}": 1 for number in range(2, 2_000)})

    assert not verdict.permits
    assert not verdict.decided


def test_every_fact_is_present_with_a_neutral_value() -> None:
    engine = an_engine(
        a_policy(
            "neutral",
            when=(
                "context.risk == 0 && context.approval.count == 0 && context.approval.groups.isEmpty() "
                '&& context.elevation == "" && context.network == "" && context.args == {} '
                "&& context.args_unmapped.isEmpty()"
            ),
        )
    )

    assert judge(engine, facts=Facts(A_SUNDAY)).permits


def test_hour_and_weekday_are_whole_numbers_in_utc() -> None:
    engine = an_engine(a_policy("sunday", when="context.hour == 13 && context.weekday == 7"))

    assert judge(engine).permits
    assert not judge(engine, facts=Facts(A_SUNDAY + 3_600)).permits
    assert not judge(engine, facts=Facts(A_SUNDAY + 86_400)).permits


def test_ids_with_quotes_do_not_break_out() -> None:
    engine = an_engine(a_policy("admin", 'principal in Role::"admin", action, resource'))
    agent = an_agent('x"], "parents": [Role::"admin', id_='agt_"; permit(principal,action,resource);')
    system = a_system(name='crm" in Role::"admin')
    request = a_request(agent, an_operation(), system=system)

    place = engine.place(agent, system, request.action, request.operation)

    assert place is not None
    assert not engine.judge(place, FACTS, request).permits


def test_membership_of_an_unknown_entity_is_false() -> None:
    engine = an_engine(a_policy("elsewhere", when='resource in System::"erp"'))

    verdict = judge(engine)

    assert not verdict.permits
    assert not verdict.errors


def test_an_effect_group_holds_only_the_actions_of_that_effect() -> None:
    engine = an_engine(a_policy("reads", 'principal, action in Action::"read", resource'))
    agent = an_agent()

    def permits(effect: str) -> bool:
        operation = an_operation(f"crm.{effect}", effect)  # type: ignore[arg-type]
        request = a_request(agent, operation)
        place = engine.place(agent, request.system, request.action, operation)
        assert place is not None
        return engine.judge(place, FACTS, request).permits

    assert [permits(effect) for effect in ("read", "write", "delete", "admin")] == [True, False, False, False]


def test_an_action_named_like_its_own_group_has_no_place() -> None:
    engine = an_engine(PERMIT)
    operation = an_operation("write", "write")

    assert engine.place(an_agent(), a_system(operation), "write", operation) is None


def test_reasons_name_our_ids() -> None:
    engine = an_engine(a_policy("second"), a_policy("first"), a_policy("never", when="false"))

    assert judge(engine).reasons == ("first", "second")
