"""A body → one JSON-RPC message. Parsed once, strictly: what two parsers could read differently is refused.

A duplicate key, or keys that are equal but for case, let a gateway and a server see two different calls
(go-sdk CVE-2026-27896). So does a lone `Method` beside no `method`, for a parser that ignores case.
"""

import json
from typing import Literal, NoReturn, cast

import msgspec

from accredit.errors import InputRefused

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602

DEPTH = 64
ID_CHARACTERS = 256
_INT64 = 2**63
_INT64_DIGITS = 18
_ENVELOPE = frozenset(("jsonrpc", "id", "method", "params", "result", "error"))
_PARAMETERS = (
    *("_meta", "name", "arguments", "uri", "cursor", "level", "ref", "argument", "context", "protocolVersion"),
    *("capabilities", "clientInfo", "requestId", "reason", "progressToken", "taskId", "task", "requestState"),
    *("inputResponses", "notifications"),
)
_BY_FOLDED = {name.casefold(): name for name in _PARAMETERS}

Id = str | int


class BadMessage(InputRefused):
    """Not a JSON-RPC message that is taken. `rpc_code` is the code of JSON-RPC 2.0 §5.1."""

    code = "bad_message"

    def __init__(self, rpc_code: int, explanation: str, message_id: Id | None = None) -> None:
        super().__init__(explanation)
        self.rpc_code = rpc_code
        self.message_id = message_id


class Message(msgspec.Struct, frozen=True):
    """One message. `body` is the parsed object itself, `params` its member, {} if it is absent."""

    kind: Literal["request", "notification", "response"]
    id: Id | None
    method: str
    params: dict[str, object]
    body: dict[str, object]


def read_message(raw: bytes) -> Message:
    """Read one request, notification or response. Raises BadMessage."""
    body = parse_json(raw)
    if isinstance(body, list):
        raise BadMessage(INVALID_REQUEST, "a batch is not taken: send one message in one request")
    if not isinstance(body, dict):
        raise BadMessage(INVALID_REQUEST, "the body is not a JSON-RPC message")
    for key in body:
        if key not in _ENVELOPE and key.casefold() in _ENVELOPE:
            raise BadMessage(INVALID_REQUEST, "a member's name differs from the protocol's in its case")
    message_id = _read_id(body)
    if body.get("jsonrpc") != "2.0":
        raise BadMessage(INVALID_REQUEST, 'the member jsonrpc is not "2.0"', message_id)
    if "method" not in body:
        return _read_response(body, message_id)
    return _read_call(body, message_id)


def parse_json(raw: bytes) -> object:
    """Parse JSON (RFC 8259) without its liberties.

    Raises BadMessage for broken UTF-8, a byte order mark, lone surrogates, NaN, Infinity, numbers that do not fit 64
    bits, duplicate keys, keys that are equal but for case, and more than DEPTH levels.
    """
    try:
        text = raw.decode()
        value = _decoder.decode(text)
    except UnicodeDecodeError as error:
        raise BadMessage(PARSE_ERROR, "the body is not UTF-8") from error
    except RecursionError as error:
        raise BadMessage(INVALID_REQUEST, f"the body is nested deeper than {DEPTH} levels") from error
    except ValueError as error:
        raise BadMessage(PARSE_ERROR, "the body is not JSON") from error
    if text.count("{") + text.count("[") > DEPTH:
        _check_depth(value, 1)
    # Only an escape can make one: bytes that spell a surrogate are not UTF-8.
    if "\\ud" in text or "\\uD" in text:
        _check_text(value)
    return value


def _read_id(body: dict[str, object]) -> Id | None:
    if "id" not in body:
        return None
    found = body["id"]
    if isinstance(found, str) and len(found) <= ID_CHARACTERS:
        return found
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    raise BadMessage(INVALID_REQUEST, f"an id is a string of at most {ID_CHARACTERS} characters or an integer")


def _read_call(body: dict[str, object], message_id: Id | None) -> Message:
    method = body["method"]
    if not isinstance(method, str) or not method or "result" in body or "error" in body:
        raise BadMessage(INVALID_REQUEST, "the message is neither a request nor a response", message_id)
    params = body.get("params", {})
    if not isinstance(params, dict):
        raise BadMessage(INVALID_PARAMS, "params is not an object", message_id)
    for key in params:
        if _BY_FOLDED.get(key.casefold(), key) != key:
            raise BadMessage(INVALID_REQUEST, "a parameter's name differs from the protocol's in its case", message_id)
    kind: Literal["request", "notification"] = "notification" if "id" not in body else "request"
    return Message(kind, message_id, method, params, body)


def _read_response(body: dict[str, object], message_id: Id | None) -> Message:
    if message_id is None or ("result" in body) == ("error" in body) or "params" in body:
        raise BadMessage(INVALID_REQUEST, "the message is neither a request nor a response")
    return Message("response", message_id, "", {}, body)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len({key.casefold() for key in found}) != len(pairs):
        raise BadMessage(INVALID_REQUEST, "an object has two keys that are equal, or equal but for case")
    return found


def _integer(text: str) -> int:
    if len(text) > _INT64_DIGITS and not (len(text) <= _INT64_DIGITS + 2 and -_INT64 <= int(text) < _INT64):
        raise BadMessage(INVALID_REQUEST, "an integer does not fit 64 bits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise BadMessage(INVALID_REQUEST, "a number does not fit 64 bits")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise BadMessage(PARSE_ERROR, f"{text} is not JSON")


def _check_text(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadMessage(PARSE_ERROR, "a text has half of a surrogate pair") from error


def _check_depth(value: object, depth: int) -> None:
    if depth > DEPTH and isinstance(value, dict | list):
        raise BadMessage(INVALID_REQUEST, f"the body is nested deeper than {DEPTH} levels")
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in cast("list[object]", items):
        _check_depth(item, depth + 1)


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_refuse_constant
)
