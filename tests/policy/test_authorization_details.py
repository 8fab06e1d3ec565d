"""`authorization_details` of a token (RFC 9396): they narrow what policy would permit, and give nothing."""

from dataclasses import replace

import pytest

from accredit.delegations.model import ActionDetails
from accredit.policy.bounds import names, out_of_bounds
from accredit.policy.permit import Permit, Refusal
from tests.policy.building import a_policy_at_work, a_request, a_system, an_agent, an_operation
from tests.policy.test_decisions import on_loop

PAY = an_operation("erp.pay", "write")
READ = an_operation("erp.read", "read")
SYSTEM = a_system(PAY, READ, name="erp")
DETAILS = (ActionDetails(type="accredit_action", system="erp", actions=("erp.pay",), limits={"amount": 500}),)
AGENT = an_agent("ai-agent-operator", systems=("erp",))


def asked(operation: object = PAY, **arguments: object) -> str | None:
    request = a_request(AGENT, operation, system=SYSTEM)  # type: ignore[arg-type]
    return out_of_bounds(replace(request, arguments=arguments, details=DETAILS))


def test_without_details_nothing_is_narrowed() -> None:
    assert out_of_bounds(a_request(AGENT, PAY, system=SYSTEM)) is None
    assert names((), SYSTEM, READ)


def test_an_action_that_no_detail_names_is_out_of_bounds() -> None:
    assert asked(READ) == "the token is for other actions than erp.read"
    assert not names(DETAILS, SYSTEM, READ)
    assert names(DETAILS, SYSTEM, PAY)


def test_the_same_action_of_another_system_is_out_of_bounds() -> None:
    other = a_system(PAY, name="bank")

    assert out_of_bounds(replace(a_request(AGENT, PAY, system=other), details=DETAILS)) is not None


@pytest.mark.parametrize("amount", [0, 1, 499.99, 500])
def test_an_argument_within_its_limit_is_taken(amount: float) -> None:
    assert asked(amount=amount) is None


@pytest.mark.parametrize(
    "amount", [500.01, 501, -1, "500", True, None, [500], {"value": 1}, float("nan"), float("inf")], ids=repr
)
def test_what_is_not_a_number_within_the_limit_is_refused(amount: object) -> None:
    assert asked(amount=amount) == "the token limits amount to a number from 0 to 500"


def test_an_argument_that_is_left_out_is_refused() -> None:
    assert asked() is not None
    assert asked(Amount=1) is not None


def test_of_two_details_one_that_holds_is_enough() -> None:
    wide = (*DETAILS, ActionDetails(type="accredit_action", system="erp", actions=("erp.pay",), limits={"amount": 900}))
    request = replace(a_request(AGENT, PAY, system=SYSTEM), arguments={"amount": 700}, details=wide)

    assert out_of_bounds(request) is None


@on_loop
def test_a_call_beyond_the_details_is_refused_on_record_and_policy_cannot_permit_it() -> None:
    policy, book = a_policy_at_work()
    request = replace(a_request(AGENT, PAY, system=SYSTEM), arguments={"amount": 501}, details=DETAILS)

    decision = policy.decide(request)

    assert isinstance(decision, Refusal)
    assert book.events[-1].policies == ("authorization-details",)
    assert book.events[-1].decision == "deny"
    assert "authorization_details" in decision.next_step


@on_loop
def test_details_do_not_permit_what_policy_does_not() -> None:
    policy, _ = a_policy_at_work()
    reader = an_agent("ai-agent-readonly", systems=("erp",))
    request = replace(a_request(reader, PAY, system=SYSTEM), arguments={"amount": 1}, details=DETAILS)

    assert isinstance(policy.decide(request), Refusal)
    assert isinstance(policy.decide(replace(request, agent=AGENT)), Permit)
