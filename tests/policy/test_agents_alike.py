"""What is remembered of one agent serves those that every policy sees alike, and nobody else."""

from dataclasses import replace

import pytest

from accredit.agents.model import Agent, AgentStatus
from accredit.policy.cedar import compile_policies
from accredit.policy.engine import Engine
from accredit.policy.facts import Facts
from tests.policy.building import A_SUNDAY, a_request, a_system, an_agent, an_operation

READ = an_operation("crm.contacts.search", "read")
ALL = """
@id("all")
@description("All of them.")
permit (principal, action, resource)
"""


def _permits(engine: Engine, agent: Agent) -> bool:
    place = engine.place(agent, a_system(), READ.action, READ)
    assert place is not None
    return engine.judge(place, Facts(A_SUNDAY), a_request(agent=agent, operation=READ)).permits


def _engine(scope: str = "", when: str = "") -> Engine:
    text = ALL.replace("(principal,", f"(principal {scope},") + (f"when {{ {when} }}" if when else "") + ";"
    return Engine(compile_policies({"a.cedar": text}))


def test_agents_who_differ_in_nothing_that_a_policy_sees_share_a_place() -> None:
    engine = _engine()
    one, other = an_agent("reader"), replace(an_agent("reader", id_="agt_2"), owner_email="other@example.com")

    assert engine.place(one, a_system(), READ.action, READ) is engine.place(other, a_system(), READ.action, READ)


@pytest.mark.parametrize(
    ("scope", "when"),
    [
        ('== Agent::"agt_1"', ""),
        ('in Agent::"agt_1"', ""),
        ("", 'principal == Agent::"agt_1"'),
        ("", 'principal in [Agent::"agt_1", Agent::"agt_7"]'),
        ("", 'if principal != Agent::"agt_1" then false else true'),
        ("", 'principal.owner == "owner@example.com"'),
        ("", 'principal["owner"] like "owner@*"'),
    ],
    ids=["scope", "scope in", "condition", "set", "not equal", "owner", "owner in brackets"],
)
def test_a_policy_that_names_an_agent_or_its_owner_is_for_that_agent_alone(scope: str, when: str) -> None:
    engine = _engine(scope, when)
    named, other = an_agent(), replace(an_agent(id_="agt_2"), owner_email="other@example.com")

    assert [_permits(engine, agent) for agent in (other, named, other)] == [False, True, False]


def test_an_agent_without_a_name_is_nobody_special() -> None:
    engine = _engine("", 'principal == Agent::""')

    assert not _permits(engine, an_agent())
    assert _permits(engine, an_agent(id_=""))


@pytest.mark.parametrize(
    "other",
    [
        an_agent("writer"),
        an_agent("reader", systems=("erp",)),
        an_agent("reader", capability_level=3),
        an_agent("reader", type_="service"),
        an_agent("reader", status=AgentStatus.SUSPENDED),
    ],
    ids=["role", "systems", "level", "type", "status"],
)
def test_agents_who_differ_in_what_a_policy_can_read_have_places_of_their_own(other: Agent) -> None:
    engine = _engine()
    own = engine.place(an_agent("reader"), a_system(), READ.action, READ)

    assert engine.place(other, a_system(), READ.action, READ) is not own
