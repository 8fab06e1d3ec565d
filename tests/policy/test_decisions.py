"""What a decision answers, what it records, and what it says."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from accredit.agents.model import AgentStatus
from accredit.audit.event import AuditEvent
from accredit.ids import PersonId
from accredit.people.model import Person
from accredit.policy.cedar import compile_policies
from accredit.policy.permit import Decision, Permit, Refusal, StepUp
from accredit.policy.request import AccessRequest, Evidence
from accredit.policy.starter import starter_sources
from accredit.storage.writer import Once
from tests.policy.building import (
    A_SUNDAY,
    a_policy,
    a_policy_at_work,
    a_request,
    a_system,
    a_tool,
    an_agent,
    an_operation,
)

READ = an_operation("crm.contacts.search", "read", scope="crm:read")
WRITE = an_operation("crm.contacts.update", "write", scope="crm:write")
DELETE = an_operation("crm.contacts.delete", "delete", scope="crm:delete")
ADMIN = an_operation("crm.settings.change", "admin", scope="crm:admin")


def on_loop(test: Callable[[], None]) -> Callable[[], None]:
    """A decision makes a future, which needs a running loop."""

    def run() -> None:
        async def act() -> None:
            test()

        asyncio.run(act())

    run.__name__ = test.__name__
    return run


def decide(request: AccessRequest, *policies: str) -> tuple[Decision, AuditEvent]:
    policy, book = a_policy_at_work(*policies)
    decision = policy.decide(request)
    (event,) = book.events
    return decision, event


@on_loop
def test_a_permit_is_recorded_with_everything_that_is_known() -> None:
    evidence = Evidence(
        authentication="private_key_jwt", token_id="jti_1", session="ses_1", person="per_2", network="192.0.2.1"
    )
    person = Person(id=PersonId("per_2"), email="bo@example.com", name="Bo", roles=("delegator",), created_at=0.0)
    request = a_request(an_agent("ai-agent-readonly"), READ)
    request = replace(request, resource="search_contacts", evidence=evidence, person=person)

    decision, event = decide(request)

    assert isinstance(decision, Permit)
    assert event == AuditEvent(
        id=decision.ruling.event,
        time="2026-11-22T13:20:00.000Z",
        type="call.decided",
        agent="agt_1",
        agent_name="ada",
        authentication="private_key_jwt",
        token_id="jti_1",
        session="ses_1",
        person="per_2",
        action="crm.contacts.search",
        system="crm",
        resource="search_contacts",
        decision="permit",
        policies=("ai-agent-readonly",),
        policy_set=compile_policies(starter_sources()).digest,
        reason=None,
    )
    assert decision.ruling.request is request
    assert decision.ruling.policies == event.policies
    assert decision.ruling.policy_set == event.policy_set
    assert decision.ruling.change == 7
    assert not decision.ruling.recorded.done()


@on_loop
def test_a_token_is_one_event_of_its_own_type() -> None:
    permitted, issued = decide(a_request(an_agent(), system=a_system()))
    refused, not_issued = decide(a_request(an_agent(systems=()), system=a_system()))

    assert isinstance(permitted, Permit)
    assert (issued.type, issued.decision, issued.policies) == ("token.issued", "permit", ("agents-get-tokens",))
    assert isinstance(refused, Refusal)
    assert (not_issued.type, not_issued.decision, not_issued.policies) == ("token.refused", "deny", ("default-deny",))
    assert not_issued.reason == refused.reason


@on_loop
def test_a_use_once_joins_the_event() -> None:
    policy, book = a_policy_at_work()
    once = (Once(b"key", 1.0),)

    policy.decide(a_request(an_agent()), once=once)

    assert book.onces == [once]


@on_loop
def test_default_deny_names_the_starter_role_that_would_permit() -> None:
    operator = an_agent("ai-agent-operator")

    for agent, operation, role in (
        (an_agent(), READ, "ai-agent-readonly"),
        (an_agent(), WRITE, "ai-agent-operator"),
        (an_agent("ai-agent-readonly"), WRITE, "ai-agent-operator"),
        (operator, an_operation(sensitivity=3), "ai-agent-admin"),
        (operator, DELETE, "ai-agent-admin"),
        (operator, ADMIN, "ai-agent-admin"),
    ):
        decision, event = decide(a_request(agent, operation))

        assert isinstance(decision, Refusal)
        assert event.policies == ("default-deny",)
        assert decision.reason == f"No policy permits `{operation.action}` on `crm` (default-deny)."
        assert decision.next_step == f"An administrator can give the agent the role `{role}`, which would permit it."


@on_loop
def test_default_deny_says_when_the_system_is_not_allowed() -> None:
    with_role, _ = decide(a_request(an_agent("ai-agent-readonly", systems=()), READ))
    without, _ = decide(a_request(an_agent(systems=()), READ))

    assert isinstance(with_role, Refusal)
    assert with_role.next_step == "An administrator can allow the system `crm` for the agent."
    assert isinstance(without, Refusal)
    assert without.next_step == (
        "An administrator can allow the system `crm` and give the agent the role `ai-agent-readonly`, "
        "which would permit it."
    )


@on_loop
def test_default_deny_names_no_role_that_would_not_help() -> None:
    frozen_for_admins = a_policy("frozen", 'principal in Role::"ai-agent-admin", action, resource', effect="forbid")

    decision, _ = decide(a_request(an_agent(), DELETE), frozen_for_admins)

    assert isinstance(decision, Refusal)
    assert decision.next_step == (
        "No starter role would permit it; an administrator would have to write a policy that does."
    )


@on_loop
def test_a_forbid_is_named_with_its_description() -> None:
    forbid = a_policy("no-contacts", 'principal, action == Action::"crm.contacts.search", resource', effect="forbid")

    decision, event = decide(a_request(an_agent("ai-agent-readonly"), READ), forbid)

    assert isinstance(decision, Refusal)
    assert event.policies == ("no-contacts",)
    assert (
        decision.reason
        == "`crm.contacts.search` on `crm` is forbidden by policy `no-contacts` (The policy no-contacts)."
    )
    assert decision.next_step.startswith("Nothing that the agent can obtain changes that")


@on_loop
def test_several_deciding_policies_are_named_in_order() -> None:
    decision, event = decide(
        a_request(an_agent("ai-agent-readonly"), READ),
        a_policy("zeta"),
        a_policy("alpha"),
        a_policy("beta", when="false"),
    )

    assert isinstance(decision, Permit)
    assert event.policies == ("ai-agent-readonly", "alpha", "zeta")


@on_loop
def test_a_policy_that_errs_denies_and_is_named() -> None:
    erring = a_policy("typo", when="principal.capability_levle > 3", effect="forbid")

    decision, event = decide(a_request(an_agent("ai-agent-readonly"), READ), erring)

    assert isinstance(decision, Refusal)
    assert event.policies == ("typo",)
    assert event.decision == "deny"
    assert "`typo` could not be evaluated" in decision.reason


@on_loop
def test_administration_asks_for_an_approval() -> None:
    decision, event = decide(a_request(an_agent("ai-agent-admin"), ADMIN))

    assert isinstance(decision, StepUp)
    assert (decision.approvals, decision.elevation) == (1, "")
    assert decision.next_step == "What would permit it: an approval by one person."
    assert event.decision == "step_up"
    assert event.policies == ("default-deny",)
    assert event.reason == decision.reason


@on_loop
def test_an_agent_that_is_not_active_is_refused_whatever_the_policies_say() -> None:
    for status in (AgentStatus.SUSPENDED, AgentStatus.RETIRED):
        decision, event = decide(a_request(an_agent("ai-agent-admin", status=status), READ), a_policy("all"))

        assert isinstance(decision, Refusal)
        assert event.policies == ("agent-status",)
        assert event.reason == f"The agent ada is {status.value}."


@on_loop
def test_what_is_no_operation_is_refused_whatever_the_policies_say() -> None:
    unmatched, event = decide(a_request(an_agent(), action="prompts/get", system=a_system()), a_policy("all"))
    mismatched, _ = decide(replace(a_request(an_agent(), READ), action="token.issue"), a_policy("all"))

    assert isinstance(unmatched, Refusal)
    assert event.policies == ("default-deny",)
    assert isinstance(mismatched, Refusal)


@on_loop
def test_an_operation_that_cedar_refuses_is_refused() -> None:
    decision, event = decide(a_request(an_agent("ai-agent-admin"), an_operation("write", "write")), a_policy("all"))

    assert isinstance(decision, Refusal)
    assert event.policies == ("default-deny",)


@on_loop
def test_the_network_is_what_the_evidence_says() -> None:
    only_office = a_policy("office", when='context.network == "office"')
    request = a_request(an_agent(), READ)

    inside, _ = decide(replace(request, evidence=Evidence(network="office")), only_office)
    outside, _ = decide(request, only_office)

    assert isinstance(inside, Permit)
    assert isinstance(outside, Refusal)


@on_loop
def test_another_set_decides_from_the_next_request_on() -> None:
    policy, book = a_policy_at_work()
    request = a_request(an_agent("ai-agent-readonly"), READ)
    assert isinstance(policy.decide(request), Permit)
    assert policy.entitled_scopes(request.agent, a_system(READ)) == ("crm:read",)
    frozen = compile_policies({"a.cedar": a_policy("freeze", effect="forbid")})

    policy.replace(frozen)
    decision = policy.decide(request)

    assert isinstance(decision, Refusal)
    assert book.events[-1].policies == ("freeze",)
    assert book.events[-1].policy_set == frozen.digest
    assert policy.entitled_scopes(request.agent, a_system(READ)) == ()
    assert not policy.could_permit(request.agent, request.system, READ)


@on_loop
def test_an_agent_that_changed_is_decided_on_afresh() -> None:
    policy, _ = a_policy_at_work()
    agent = an_agent("ai-agent-operator", capability_level=1)
    operation = an_operation(sensitivity=1)

    before = policy.decide(a_request(agent, operation))
    after = policy.decide(a_request(replace(agent, capability_level=0, version=2), operation))

    assert isinstance(before, Permit)
    assert isinstance(after, Refusal)


@on_loop
def test_other_arguments_are_decided_on_afresh() -> None:
    policy, _ = a_policy_at_work(a_policy("small", when="context.args.amount <= 500"))
    tool = a_tool(required=("amount",), amount={"type": "integer"})

    decisions = [
        type(policy.decide(a_request(an_agent(), READ, arguments={"amount": amount}, tool=tool)))
        for amount in (500, 501, 500, 501)
    ]

    assert decisions == [Permit, Refusal, Permit, Refusal]


@on_loop
def test_again_returns_the_same_permit_without_a_second_event() -> None:
    policy, book = a_policy_at_work()
    agent = an_agent("ai-agent-readonly")
    permit = policy.decide(a_request(agent, READ))
    assert isinstance(permit, Permit)

    decision = policy.again(permit, replace(agent, version=2))

    assert decision is permit
    assert len(book.events) == 1


@pytest.mark.parametrize(
    ("change", "policies"),
    [
        ({"status": AgentStatus.SUSPENDED, "epoch": 1}, ("agent-status",)),
        # Suspended and resumed in between: what was held before is over all the same.
        ({"epoch": 2}, ("agent-status",)),
        ({"roles": ()}, ("default-deny",)),
        ({"systems": ()}, ("default-deny",)),
        (None, ("agent-status",)),
    ],
)
def test_again_refuses_what_no_longer_holds_and_its_event_names_the_first(
    change: dict[str, object] | None, policies: tuple[str, ...]
) -> None:
    async def act() -> None:
        policy, book = a_policy_at_work()
        agent = an_agent("ai-agent-readonly")
        permit = policy.decide(a_request(agent, READ))
        assert isinstance(permit, Permit)

        decision = policy.again(permit, None if change is None else replace(agent, version=2, **change))  # type: ignore[arg-type]

        assert isinstance(decision, Refusal)
        first, second = book.events
        assert second.of == first.id == permit.ruling.event
        assert second.id == decision.ruling.event != first.id
        assert second.decision == "deny"
        assert second.policies == policies

    asyncio.run(act())


@on_loop
def test_scopes_are_those_of_operations_that_policy_could_permit() -> None:
    policy, _ = a_policy_at_work()
    system = a_system(READ, WRITE, DELETE, ADMIN)

    def scopes(*roles: str, systems: tuple[str, ...] = ("crm",)) -> tuple[str, ...]:
        return policy.entitled_scopes(an_agent(*roles, id_=f"agt_{roles}{systems}", systems=systems), system)

    assert scopes() == ()
    assert scopes("ai-agent-readonly") == ("crm:read",)
    assert scopes("ai-agent-operator") == ("crm:read", "crm:write")
    # Administration needs an approval, which the agent can obtain.
    assert scopes("ai-agent-admin") == ("crm:admin", "crm:delete", "crm:read", "crm:write")
    assert scopes("ai-agent-admin", systems=("erp",)) == ()


@on_loop
def test_scopes_follow_the_clock_where_policy_reads_it() -> None:
    policy, _ = a_policy_at_work(
        a_policy("afternoon", 'principal, action in Action::"read", resource', "context.hour == 13")
    )
    clock = policy._clock
    agent, system = an_agent(), a_system(READ)

    now = policy.entitled_scopes(agent, system)
    clock.move(3_600)  # type: ignore[attr-defined]
    later = policy.entitled_scopes(agent, system)

    assert clock.seconds() == A_SUNDAY + 3_600
    assert (now, later) == (("crm:read",), ())
