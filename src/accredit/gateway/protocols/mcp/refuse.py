"""How a refusal and a failure look in MCP.

A refused tool call is answered by a tool result with `isError`, since that is what reaches the model and its user.
Everything else gets a JSON-RPC error with a code outside -32768…-32000, which are the specification's: 403 not
permitted, 429 too many, 502 the upstream failed, 504 it was too slow. An upstream's failure is an error for tool calls
too: a tool result would say that the tool ran.
"""

import msgspec

from accredit.gateway.protocol import Denial, Headers, Reply, Stamp
from accredit.gateway.protocols.mcp.read import Id
from accredit.outbound.failures import UpstreamFailure, UpstreamTimeout
from accredit.systems.model import System

NOT_PERMITTED = 403
NOT_FOUND = 404
TOO_MANY = 429
UPSTREAM_FAILED = 502
UPSTREAM_SLOW = 504
METHOD_NOT_FOUND = -32601

EVENT_KEY = "accredit/event"
POLICIES_KEY = "accredit/policies"
# These two are in refusals alone, so that a program can tell them from a tool's own failure.
DECISION_KEY = "accredit/decision"
NEXT_STEP_KEY = "accredit/next_step"
JSON_HEADERS: Headers = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))

_encode = msgspec.json.Encoder().encode


def tool_result(message_id: Id | None, what: str, system: System, denial: Denial, *, modern: bool) -> Reply:
    """The `isError` result of a tool call that was not carried out."""
    stamp = denial.stamp
    policies = ", ".join(f"`{one}`" for one in stamp.policies) or "none"
    text = "\n".join(
        (
            f"Refused by policy: {what} on {system.title or system.name} was not carried out. Nothing was sent there.",
            f"Why: {denial.reason}",
            f"Deciding policy: {policies}.",
            f"What would change it: {denial.next_step or 'nothing that you can do; ask whoever runs Accredit.'}",
            f"Event number in the log: {stamp.event}.",
        )
    )
    result: dict[str, object] = {
        "content": [{"type": "text", "text": text}],
        "isError": True,
        "_meta": {
            EVENT_KEY: stamp.event,
            POLICIES_KEY: list(stamp.policies),
            DECISION_KEY: denial.decision,
            NEXT_STEP_KEY: denial.next_step,
        },
    }
    if modern:
        result["resultType"] = "complete"
    return Reply(200, JSON_HEADERS, _encode({"jsonrpc": "2.0", "id": message_id, "result": result}))


def denial_error(message_id: Id | None, denial: Denial, *, code: int = NOT_PERMITTED, status: int = 200) -> Reply:
    """The JSON-RPC error of a method that is refused."""
    data = _data(denial.stamp, denial.next_step) | {"decision": denial.decision}
    return error(message_id, code, denial.reason, data, status=status)


def failure_error(message_id: Id | None, failure: UpstreamFailure, stamp: Stamp, *, status: int = 200) -> Reply:
    """The JSON-RPC error when the upstream gave no usable answer."""
    return Reply(status, JSON_HEADERS, _failure(message_id, failure, stamp))


def failure_event(message_id: Id | None, failure: UpstreamFailure, stamp: Stamp) -> bytes:
    """That error as an event, for an answer that has begun to stream. The empty line ends what was cut."""
    return b"\n\nevent: message\ndata: " + _failure(message_id, failure, stamp) + b"\n\n"


def failure_code(failure: UpstreamFailure) -> int:
    """504 where the upstream was too slow, 502 for the rest."""
    return UPSTREAM_SLOW if isinstance(failure, UpstreamTimeout) else UPSTREAM_FAILED


def _failure(message_id: Id | None, failure: UpstreamFailure, stamp: Stamp) -> bytes:
    next_step = failure.next_step or "Try again later; if it was a write, look first whether it was carried out."
    body = {"code": failure_code(failure), "message": failure.explanation, "data": _data(stamp, next_step)}
    return _encode({"jsonrpc": "2.0", "id": message_id, "error": body})


def error(
    message_id: Id | None, code: int, explanation: str, data: dict[str, object] | None = None, *, status: int = 400
) -> Reply:
    """A JSON-RPC error."""
    body: dict[str, object] = {"code": code, "message": explanation}
    if data is not None:
        body["data"] = data
    return Reply(status, JSON_HEADERS, _encode({"jsonrpc": "2.0", "id": message_id, "error": body}))


def _data(stamp: Stamp, next_step: str) -> dict[str, object]:
    return {"event": stamp.event, "policies": list(stamp.policies), "next_step": next_step}
