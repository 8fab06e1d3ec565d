"""The response to one request, found in what an upstream answers and checked to be that and nothing else."""

import msgspec

from accredit.gateway.protocols.mcp.read import BadMessage, Id, parse_json
from accredit.gateway.protocols.mcp.sse import Event, EventSplitter
from accredit.outbound.client import Answer
from accredit.outbound.failures import UpstreamCut, UpstreamInvalid

ANSWER_BYTES = 16 * 1_048_576
JSON_TYPE = b"application/json"
STREAM_TYPE = b"text/event-stream"
# A task would be fetched with methods that are not decided on yet, so an answer that is one is refused.
_RESULT_TYPES = (None, "complete", "input_required")


class Expected(msgspec.Struct, frozen=True):
    """What a response has to be. `strict`: a new answer is written from it, so two readers must read it alike."""

    id: Id | None
    modern: bool
    strict: bool


async def read_response(expected: Expected, answer: Answer) -> dict[str, object]:
    """The response, whether it comes as JSON or in an event stream. Raises UpstreamFailure."""
    match media_type(answer):
        case b"application/json":
            return check_response(expected, decode(expected, await answer.read_all(ANSWER_BYTES)))
        case b"text/event-stream":
            return await _find_response(expected, answer)
        case other:
            raise UpstreamInvalid("the answer is neither JSON nor an event stream", detail=repr(other))


def response_in(expected: Expected, event: Event) -> dict[str, object] | None:
    """The response that an event holds, None if it holds a notification, a request or a comment.

    Raises UpstreamInvalid for the response to another request.
    """
    if not event.data or (b"result" not in event.data and b"error" not in event.data and b"\\u" not in event.data):
        return None
    message = decode(expected, event.data)
    if isinstance(message, dict) and "method" in message:
        return None
    return check_response(expected, message)


def asks_for_sampling(event: Event) -> bool:
    """Whether a server asks the client's model for something. No manifest can allow that yet, so it is not passed on.

    Raises UpstreamInvalid for an event that two readers could read differently.
    """
    if not event.data or (b"sampling" not in event.data.lower() and b"\\u" not in event.data):
        return False
    message = decode(Expected(None, modern=False, strict=True), event.data)
    if not isinstance(message, dict):
        return True
    methods = [value for key, value in message.items() if key.casefold() == "method"]
    return any(isinstance(method, str) and method.casefold().startswith("sampling/") for method in methods)


def is_response(event: Event) -> bool:
    """Whether an event answers something. On a stream of what a server says unasked, nothing was asked.

    Raises UpstreamInvalid for an event that two readers could read differently.
    """
    if not event.data or not any(word in event.data.lower() for word in (b"result", b"error", b"\\u")):
        return False
    message = decode(Expected(None, modern=False, strict=True), event.data)
    return not isinstance(message, dict) or any(key.casefold() in ("result", "error") for key in message)


def decode(expected: Expected, body: bytes) -> object:
    """Parse an answer. Raises UpstreamInvalid."""
    try:
        return parse_json(body) if expected.strict else msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # The error's text would hold a part of the answer.
        raise UpstreamInvalid("the answer is not JSON", detail=type(error).__name__) from error
    except BadMessage as error:
        raise UpstreamInvalid("the answer is not JSON that two readers read alike", detail=error.explanation) from error


def check_response(expected: Expected, message: object) -> dict[str, object]:
    """Hold a message to JSON-RPC 2.0 §5 and to the request. Raises UpstreamInvalid."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise UpstreamInvalid("the answer is no JSON-RPC message")
    if ("result" in message) == ("error" in message):
        raise UpstreamInvalid("the answer is no JSON-RPC response")
    found = message.get("id")
    if type(found) is not type(expected.id) or found != expected.id:
        raise UpstreamInvalid("the answer is to another request")
    if "error" in message:
        if not is_error(message["error"]):
            raise UpstreamInvalid("the answer's error is malformed")
        return message
    result = message["result"]
    if not isinstance(result, dict):
        raise UpstreamInvalid("the answer's result is no object")
    if expected.modern and result.get("resultType") not in _RESULT_TYPES:
        raise UpstreamInvalid("the answer is of a type that this gateway does not know")
    return message


def is_error(value: object) -> bool:
    """Whether a value has the form of a JSON-RPC error object."""
    if not isinstance(value, dict) or not isinstance(value.get("message"), str):
        return False
    code = value.get("code")
    return isinstance(code, int) and not isinstance(code, bool)


def media_type(answer: Answer) -> bytes:
    """The media type of an answer in lower case, without parameters."""
    return (answer.header(b"content-type") or b"").partition(b";")[0].strip().lower()


async def _find_response(expected: Expected, answer: Answer) -> dict[str, object]:
    splitter = EventSplitter()
    size = 0
    while (piece := await answer.read_some()) is not None:
        size += len(piece)
        if size > ANSWER_BYTES:
            raise UpstreamInvalid(f"the answer is larger than {ANSWER_BYTES} bytes")
        for event in splitter.feed(piece):
            message = response_in(expected, event)
            if message is not None:
                answer.leave()
                return message
    raise UpstreamCut("the system's stream ended before its answer")
