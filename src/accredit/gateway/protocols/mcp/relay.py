"""The upstream's answer → the agent. Checked to be the answer to what was asked, stamped, and streamed as it comes.

Of its headers only the session id passes, sealed: framing, hop-by-hop, cookies and challenges of the upstream are its
own affair (RFC 9110 §7.6.1).
"""

from typing import Literal

import msgspec

from accredit.gateway.protocol import Denial, Downstream, Headers, Release, Reply, Stamp, Visible
from accredit.gateway.protocols.mcp import lists, refuse
from accredit.gateway.protocols.mcp.era import Era
from accredit.gateway.protocols.mcp.read import Id
from accredit.gateway.protocols.mcp.refuse import NOT_FOUND, TOO_MANY
from accredit.gateway.protocols.mcp.response import (
    ANSWER_BYTES,
    JSON_TYPE,
    STREAM_TYPE,
    Expected,
    asks_for_sampling,
    decode,
    is_error,
    is_response,
    media_type,
    read_response,
    response_in,
)
from accredit.gateway.protocols.mcp.sessions import Session, Sessions
from accredit.gateway.protocols.mcp.sse import EventSplitter
from accredit.outbound.client import Answer
from accredit.outbound.failures import UpstreamCut, UpstreamInvalid
from accredit.systems.model import System
from accredit.tokens.model import Caller

_SSE_HEADERS: Headers = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)
_OK = 200
_REDIRECTED = 300
_FIRST_ERROR = BAD_REQUEST = 400

_encode = msgspec.json.Encoder().encode


Kind = Literal["request", "notification", "response", "stream", "end"]
"""A message, or the GET that opens a stream, or the DELETE that ends a session."""


class Asked(msgspec.Struct, frozen=True):
    """What the answer has to be an answer to."""

    kind: Kind
    id: Id | None
    method: str
    era: Era
    system: System
    caller: Caller
    session: Session | None

    @property
    def expected(self) -> Expected:
        """What a response to it has to be."""
        return Expected(self.id, self.era.modern, strict=self.method in lists.REWRITTEN)


async def relay(
    asked: Asked, answer: Answer, release: Release, downstream: Downstream, visible: Visible, sessions: Sessions
) -> str:
    """Pass an answer on; returns the outcome. Raises UpstreamFailure."""
    _check_status(answer)
    if asked.kind == "stream":
        return await _relay_stream(asked, answer, release, downstream, sessions)
    if asked.kind != "request":
        return await _relay_acknowledgement(asked, answer, release, downstream)
    if answer.status >= _FIRST_ERROR:
        return await _relay_error(asked, answer, release, downstream)
    if media_type(answer) == STREAM_TYPE and asked.method not in lists.REWRITTEN:
        return await _relay_events(asked, answer, release, downstream, sessions)
    message = await read_response(asked.expected, answer)
    outcome = _outcome(message)
    message = _rewrite(asked, message, visible)
    session = _session_header(asked, answer, sessions)
    stamp = await release()
    body = _encode(_stamped(asked, message, stamp, sessions))
    await downstream.reply(Reply(_OK, (*refuse.JSON_HEADERS, *session), body), stamp)
    return outcome


def _check_status(answer: Answer) -> None:
    status = answer.status
    if status in (401, 403):
        raise UpstreamInvalid(
            "the system refused the gateway's own credential",
            next_step="Tell whoever runs Accredit; another token of yours does not help.",
        )
    if _OK <= status < _REDIRECTED or status in (400, 404, 405, 429):
        if answer.header(b"content-encoding") not in (None, b"identity"):
            raise UpstreamInvalid("the answer is compressed, which was not asked for")
        return
    raise UpstreamInvalid(f"the system answered with HTTP status {status}")


async def _relay_acknowledgement(asked: Asked, answer: Answer, release: Release, downstream: Downstream) -> str:
    """The answer to a notification, a posted response or a DELETE has no body that anyone reads."""
    answer.leave()
    stamp = await release()
    if answer.status >= _FIRST_ERROR:
        reply = refuse.error(None, answer.status, _MEANING[answer.status], status=answer.status)
        await downstream.reply(reply, stamp)
        return f"HTTP {answer.status}"
    await downstream.reply(Reply(_OK if asked.kind == "end" else 202, (), b""), stamp)
    return "ok"


async def _relay_error(asked: Asked, answer: Answer, release: Release, downstream: Downstream) -> str:
    """A JSON-RPC error under an HTTP error status, whose id may be null: the server refused before it read one."""
    status = answer.status
    detail = await _error_in(asked, answer)
    if detail is None and not (status == TOO_MANY or (status == NOT_FOUND and asked.session is not None)):
        raise UpstreamInvalid(f"the system answered with HTTP status {status}")
    stamp = await release()
    # 405 would tell the client that this endpoint takes no POST.
    shown = status if status in (BAD_REQUEST, NOT_FOUND) else _OK
    if detail is None:
        denial = Denial(_MEANING[status], "", stamp)
        await downstream.reply(refuse.denial_error(asked.id, denial, code=status, status=shown), stamp)
        return f"error {status}"
    message: dict[str, object] = {"jsonrpc": "2.0", "id": asked.id, "error": detail}
    await downstream.reply(Reply(shown, refuse.JSON_HEADERS, _encode(message)), stamp)
    return _outcome(message)


async def _error_in(asked: Asked, answer: Answer) -> object | None:
    """The JSON-RPC error in the body of an HTTP error, None if there is none that can be read."""
    if media_type(answer) != JSON_TYPE:
        return None
    body = await answer.read_all(ANSWER_BYTES)
    try:
        found = decode(asked.expected, body)
    except UpstreamInvalid:
        return None
    detail = found.get("error") if isinstance(found, dict) else None
    return detail if is_error(detail) else None


async def _relay_stream(
    asked: Asked, answer: Answer, release: Release, downstream: Downstream, sessions: Sessions
) -> str:
    """The GET stream of the earlier revisions: what the server says unasked, each event as it comes."""
    if answer.status >= _FIRST_ERROR:
        return await _relay_acknowledgement(asked, answer, release, downstream)
    if media_type(answer) != STREAM_TYPE:
        raise UpstreamInvalid("the answer to GET is no event stream")
    session = _session_header(asked, answer, sessions)
    stamp = await release()
    await downstream.start(_OK, (*_SSE_HEADERS, *session), stamp)
    splitter = EventSplitter()
    while (piece := await answer.read_some()) is not None:
        ready = [event.raw for event in splitter.feed(piece) if not asks_for_sampling(event) and not is_response(event)]
        if ready:
            await downstream.write(b"".join(ready))
    await downstream.finish()
    return "ok"


async def _relay_events(
    asked: Asked, answer: Answer, release: Release, downstream: Downstream, sessions: Sessions
) -> str:
    """A call's event stream: each event as it comes, the response checked and stamped."""
    session = _session_header(asked, answer, sessions)
    stamp = await release()
    await downstream.start(_OK, (*_SSE_HEADERS, *session), stamp)
    splitter = EventSplitter()
    while (piece := await answer.read_some()) is not None:
        ready: list[bytes] = []
        for event in splitter.feed(piece):
            message = response_in(asked.expected, event)
            if message is None:
                if not asks_for_sampling(event):
                    ready.append(event.raw)
                continue
            ready.append(event.with_data(_encode(_stamped(asked, message, stamp, sessions))))
            answer.leave()
            await downstream.write(b"".join(ready))
            await downstream.finish()
            return _outcome(message)
        if ready:
            await downstream.write(b"".join(ready))
    # Revision 2025-11-25 lets a server end a stream and have the client ask again with Last-Event-ID, which is not
    # passed on: what comes then would be neither filtered nor bound to the agent.
    raise UpstreamCut("the system's stream ended before its answer")


def _rewrite(asked: Asked, message: dict[str, object], visible: Visible) -> dict[str, object]:
    result = message.get("result")
    if asked.method not in lists.REWRITTEN or not isinstance(result, dict):
        return message
    rewritten = lists.rewrite(asked.method, result, asked.system, visible, modern=asked.era.modern)
    return {**message, "result": rewritten}


def _stamped(asked: Asked, message: dict[str, object], stamp: Stamp, sessions: Sessions) -> dict[str, object]:
    """The message with the event's number in a tool's result. Nobody upstream may write in our name."""
    result = message.get("result")
    if not isinstance(result, dict):
        return message
    meta = result.get("_meta")
    kept = {key: value for key, value in meta.items() if not _is_ours(key)} if isinstance(meta, dict) else {}
    if asked.method == "tools/call":
        kept[refuse.EVENT_KEY] = stamp.event
        kept[refuse.POLICIES_KEY] = list(stamp.policies)
    if kept or meta is not None:
        result["_meta"] = kept
    state = result.get("requestState")
    if isinstance(state, str) and asked.era.modern:
        result["requestState"] = sessions.seal_state(state, asked.caller, asked.system)
    return message


def _is_ours(key: object) -> bool:
    return isinstance(key, str) and key.casefold().startswith("accredit/")


def _outcome(message: dict[str, object]) -> str:
    error = message.get("error")
    if isinstance(error, dict):
        return f"error {error.get('code')}"
    result = message.get("result")
    if isinstance(result, dict):
        if result.get("isError") is True:
            return "tool_error"
        if result.get("resultType") == "input_required":
            return "input_required"
    return "ok"


def _session_header(asked: Asked, answer: Answer, sessions: Sessions) -> Headers:
    """The upstream's session id, sealed. Revision 2026-07-28 has no sessions, so there it is dropped."""
    if asked.era.modern:
        return ()
    upstream_id = answer.header(b"mcp-session-id")
    if upstream_id is None:
        return ()
    ref = asked.session.ref if asked.session is not None else None
    sealed = sessions.seal(upstream_id.decode("latin-1"), asked.caller, asked.system, ref)
    return ((b"mcp-session-id", sealed.encode()),)


_MEANING = {
    BAD_REQUEST: "the system refused the request",
    NOT_FOUND: "no such session: initialize a new one",
    405: "the system does not offer this",
    TOO_MANY: "the system takes no more for now: try again later",
}
