"""What an agent is shown: everything that some arguments, or a step-up, could get permitted; and little else."""

import asyncio
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from accredit.agents.model import AgentStatus
from accredit.policy.facts import Facts
from accredit.policy.request import MCP_SESSION, TOKEN_ISSUE, Evidence
from accredit.policy.stepup import after, steps
from accredit.systems.model import Tool
from tests.policy.building import (
    A_SUNDAY,
    a_policy,
    a_policy_at_work,
    a_request,
    a_system,
    a_tool,
    an_agent,
    an_engine,
    an_operation,
)

TOOL = a_tool(amount={"type": "integer"}, to={"type": "string"})
SEND = an_operation("crm.send", "write")


def shown(*policies: str, starter: bool = False, network: str = "") -> bool:
    policy, _ = a_policy_at_work(*policies, starter=starter)
    return policy.could_permit(an_agent("ai-agent-admin"), a_system(SEND), SEND, evidence=Evidence(network=network))


def test_a_plain_permit_is_shown_and_default_deny_is_not() -> None:
    assert shown(a_policy("all"))
    assert not shown()
    assert not shown(a_policy("erp", 'principal, action, resource in System::"erp"'))


def test_a_permit_that_reads_arguments_counts_as_true() -> None:
    assert shown(a_policy("small", when="context.args.amount <= 500"))
    assert shown(a_policy("known", when="context.args_unmapped.isEmpty()"))
    assert shown(a_policy("small", unless="context.args.amount > 500"))


def test_the_other_conditions_of_such_a_permit_still_count() -> None:
    assert not shown(a_policy("level", when="principal.capability_level >= 3 && context.args.amount <= 500"))
    assert not shown(a_policy("level", when="context.args.amount <= 500 && (principal.capability_level >= 3)"))
    assert not shown(
        a_policy("level", when="true", unless="principal.capability_level < 3 || context.args.amount > 500")
    )
    assert shown(a_policy("either", when="principal.capability_level >= 3 || context.args.amount <= 500"))


def test_a_forbid_that_reads_arguments_counts_as_false() -> None:
    assert shown(a_policy("all"), a_policy("large", effect="forbid", when="context.args.amount > 500"))


def test_a_forbid_that_reads_no_arguments_hides() -> None:
    assert not shown(a_policy("small", when="context.args.amount <= 500"), a_policy("freeze", effect="forbid"))


def test_a_policy_that_errs_whatever_the_arguments_hides() -> None:
    assert not shown(a_policy("all"), a_policy("typo", effect="forbid", when="context.missing == 1"))


def test_a_permit_that_errs_for_other_arguments_takes_nothing_from_the_rest() -> None:
    guarded = a_policy("guarded", when="context.args has amount && context.missing == 1")

    assert shown(guarded, a_policy("to", when="context.args has to"))
    assert not shown(guarded)


def test_what_a_step_up_could_permit_is_shown() -> None:
    assert shown(a_policy("approved", when="context.approval.count >= 2"))
    assert shown(a_policy("role", when='context.elevation == "chief" && context.args.amount <= 500'))
    assert shown(a_policy("all"), a_policy("needs-one", effect="forbid", unless="context.approval.count >= 1"))
    assert not shown(a_policy("risky", when="context.risk > 50"))


def test_the_network_of_a_later_call_is_as_unknown_as_its_arguments() -> None:
    office = a_policy("office", when='context.network == "office"')

    assert shown(office, network="office")
    assert shown(office)


def test_built_in_actions_can_be_asked_about() -> None:
    policy, _ = a_policy_at_work()
    agent, system = an_agent(), a_system()

    assert policy.could_permit(agent, system)
    assert policy.could_permit(agent, system, action=MCP_SESSION)
    assert policy.could_permit(agent, system, action=TOKEN_ISSUE)
    assert not policy.could_permit(agent, a_system(name="erp"))
    assert not policy.could_permit(agent, system, action="prompts/get")


def test_an_agent_that_is_not_active_is_shown_nothing() -> None:
    policy, _ = a_policy_at_work(a_policy("all"), starter=False)

    assert not policy.could_permit(an_agent(status=AgentStatus.SUSPENDED), a_system(SEND), SEND)


def test_a_change_of_the_agent_changes_what_it_is_shown() -> None:
    policy, _ = a_policy_at_work()
    agent = an_agent("ai-agent-operator")

    before = policy.could_permit(agent, a_system(SEND), SEND)
    after_ = policy.could_permit(replace(agent, roles=(), version=2), a_system(SEND), SEND)

    assert (before, after_) == (True, False)


CONDITIONS = (
    *("true", "false", "context.args.amount <= 500", "context.args.amount > 5", 'context.args.to like "*@evil.com"'),
    *("context.args has amount", "!(context.args has to)", 'context.args_unmapped.contains("x")', "context.args == {}"),
    *("principal.capability_level >= 3", "principal.capability_level < 3", "context.missing == 1"),
    *("context.approval.count >= 1", 'context.elevation == "chief"', "context.risk < 50"),
    *("if context.args has amount then context.risk > 50 else true", "context.args.amount > 5 || context.missing == 1"),
    *("context.args.amount > 5 || principal.capability_level >= 3", "context.args has amount && context.missing == 1"),
)
rows = st.lists(
    st.tuples(
        st.sampled_from(("permit", "permit", "forbid")),
        st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=3),
        st.none() | st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2),
    ),
    min_size=1,
    max_size=5,
)
ARGUMENTS: list[dict[str, object]] = [
    {},
    {"amount": 3},
    {"amount": 100},
    {"amount": 600},
    {"amount": 100, "to": "a@evil.com"},
    {"to": "bob@example.com"},
    {"x": 1},
    {"amount": "many"},
]


@settings(max_examples=150, deadline=None)
@given(rows, st.sampled_from((TOOL, None)))
def test_what_some_arguments_get_permitted_is_always_shown(
    rows: list[tuple[str, list[str], list[str] | None]], tool: Tool | None
) -> None:
    texts = [
        a_policy(
            f"p{number}",
            when=" && ".join(f"({one})" for one in when),
            unless=None if unless is None else " || ".join(f"({one})" for one in unless),
            effect=effect,
        )
        for number, (effect, when, unless) in enumerate(rows)
    ]
    engine = an_engine(*texts)
    agent = an_agent("ai-agent-admin")
    place = engine.place(agent, a_system(SEND), SEND.action, SEND)
    assert place is not None
    facts = Facts(A_SUNDAY)
    obtainable = [facts, *(after(facts, step) for step in steps(engine.slice(place)))]

    permitted = any(
        engine.judge(place, these, a_request(agent, SEND, arguments=arguments, tool=tool)).permits
        for these in obtainable
        for arguments in ARGUMENTS
    )

    assert shown(*texts) or not permitted


def test_listing_needs_no_event() -> None:
    async def act() -> int:
        policy, book = a_policy_at_work()
        policy.could_permit(an_agent(), a_system(SEND), SEND)
        return len(book.events)

    assert asyncio.run(act()) == 0
