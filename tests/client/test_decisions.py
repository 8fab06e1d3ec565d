"""What Accredit's gateway and the MCP SDK say, as typed errors."""

from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from accredit.client import (
    ApprovalRequired,
    ClientError,
    Denied,
    StepUpRequired,
    Unavailable,
    error_of,
    raise_for_decision,
    typed_errors,
)

STAMP = {"accredit/event": 7, "accredit/policies": ["default-deny"]}


def refused(**meta: Any) -> dict[str, Any]:
    about = {**STAMP, **{f"accredit/{name}": value for name, value in meta.items()}}
    return {"content": [{"type": "text", "text": "Refused by policy."}], "isError": True, "_meta": about}


def test_a_refused_call_is_denied_and_says_what_to_do() -> None:
    with pytest.raises(Denied) as caught:
        raise_for_decision(refused(decision="deny", next_step="Ask Ana."))

    error = caught.value
    assert (error.explanation, error.next_step, error.event, error.policies) == (
        "Refused by policy.",
        "Ask Ana.",
        7,
        ("default-deny",),
    )


def test_the_sdks_own_result_is_understood() -> None:
    result = CallToolResult.model_validate(refused(decision="step_up", next_step="Have it approved."))

    with pytest.raises(ApprovalRequired) as caught:
        raise_for_decision(result)

    assert caught.value.next_step == "Have it approved."
    assert caught.value.event == 7


def test_a_stronger_sign_in_is_told_apart() -> None:
    with pytest.raises(StepUpRequired) as caught:
        raise_for_decision(
            refused(decision="step_up", error="insufficient_user_authentication", acr_values="gold", max_age=60)
        )

    assert (caught.value.acr_values, caught.value.max_age_seconds) == (("gold",), 60)


@pytest.mark.parametrize(
    "result",
    [
        {"content": [], "isError": False, "_meta": STAMP},
        {"content": [], "isError": True, "_meta": STAMP},
        {"content": [], "isError": True},
        {"content": [], "isError": True, "_meta": {"accredit/decision": "permit"}},
    ],
    ids=["result", "tools-own-failure", "elsewhere", "permit"],
)
def test_what_is_no_refusal_is_returned(result: dict[str, Any]) -> None:
    assert raise_for_decision(result) is result


@pytest.mark.parametrize(
    ("code", "more", "kind"),
    [
        (403, {"decision": "deny"}, Denied),
        (403, {}, Denied),
        (403, {"decision": "step_up"}, ApprovalRequired),
        (429, {}, Unavailable),
        (502, {}, Unavailable),
        (504, {}, Unavailable),
    ],
    ids=["deny", "unsaid", "step-up", "many", "failed", "slow"],
)
def test_a_json_rpc_refusal_is_typed(code: int, more: dict[str, str], kind: type[ClientError]) -> None:
    data = {"event": 9, "policies": ["p"], "next_step": "Wait.", **more}

    with pytest.raises(kind) as caught, typed_errors():
        raise MCPError(code, "no", data)

    assert (caught.value.event, caught.value.next_step) == (9, "Wait.")


@pytest.mark.parametrize(
    "error",
    [MCPError(-32601, "no such method"), MCPError(403, "another's", {"x": 1}), MCPError(403, "x"), ValueError("x")],
    ids=["method", "another", "bare", "other"],
)
def test_other_errors_are_left_alone(error: Exception) -> None:
    assert error_of(error) is None
    with pytest.raises(type(error)) as caught, typed_errors():
        raise error
    assert caught.value is error


def test_an_error_in_task_groups_comes_out() -> None:
    inner = Denied("no")
    with pytest.raises(Denied) as caught, typed_errors():
        raise ExceptionGroup("outer", [ValueError("x"), ExceptionGroup("inner", [inner])])

    assert caught.value is inner


def test_a_group_without_one_stays_whole() -> None:
    with pytest.raises(ExceptionGroup), typed_errors():
        raise ExceptionGroup("outer", [ValueError("x")])
