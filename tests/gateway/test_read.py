"""A body is one message that every parser reads alike, or it is refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accredit.gateway.protocols.mcp.read import (
    DEPTH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    BadMessage,
    parse_json,
    read_message,
)

CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{}}}'
# Two keys that fold to one are refused, so the values that may be read have none.
KEYS = st.text(alphabet="abcdefghij_0123456789", max_size=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def _code(raw: bytes | str) -> int:
    with pytest.raises(BadMessage) as refused:
        read_message(raw.encode() if isinstance(raw, str) else raw)
    return refused.value.rpc_code


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", PARSE_ERROR),
        (b"{", PARSE_ERROR),
        (b"\xff\xfe{}", PARSE_ERROR),
        (b'{"jsonrpc":"2.0","method":"\xff"}', PARSE_ERROR),
        (b"\xef\xbb\xbf" + CALL.encode(), PARSE_ERROR),
        (CALL.encode("utf-16"), PARSE_ERROR),
        (CALL + "x", PARSE_ERROR),
        (CALL.replace("{}", '{"a":NaN}'), PARSE_ERROR),
        (CALL.replace("{}", '{"a":-Infinity}'), PARSE_ERROR),
        (CALL.replace("{}", '{"a":1e999}'), INVALID_REQUEST),
        (CALL.replace("{}", '{"a":9223372036854775808}'), INVALID_REQUEST),
        (CALL.replace("{}", '{"a":' + "9" * 5_000 + "}"), INVALID_REQUEST),
        (CALL.replace("{}", '{"a":"\\ud800"}'), PARSE_ERROR),
        (CALL.replace("{}", '{"\\uDC00":1}'), PARSE_ERROR),
        (CALL.replace("{}", '{"a":1,"a":2}'), INVALID_REQUEST),
        (CALL.replace("{}", '{"a":1,"A":2}'), INVALID_REQUEST),
        (CALL.replace("{}", '{"s":1,"ſ":2}'), INVALID_REQUEST),
        (CALL.replace("{}", '{"k":1,"\\u212a":2}'), INVALID_REQUEST),
        (CALL.replace('"id":1', '"id":1,"method":"ping"'), INVALID_REQUEST),
        (CALL.replace('"id":1', '"id":1,"Method":"ping"'), INVALID_REQUEST),
        (CALL.replace('"method"', '"METHOD"'), INVALID_REQUEST),
        (CALL.replace('"params"', '"paramſ"'), INVALID_REQUEST),
        (CALL.replace('"name"', '"Name"'), INVALID_REQUEST),
        (CALL.replace('"arguments"', '"Arguments"'), INVALID_REQUEST),
        (CALL.replace("{}", "[" * (DEPTH + 1) + "]" * (DEPTH + 1)), INVALID_REQUEST),
        ("[" * 100_000, INVALID_REQUEST),
        (f"[{CALL}]", INVALID_REQUEST),
        ("[]", INVALID_REQUEST),
        ("null", INVALID_REQUEST),
        ('"text"', INVALID_REQUEST),
        (CALL.replace('"2.0"', '"1.0"'), INVALID_REQUEST),
        (CALL.replace('"id":1', '"id":null'), INVALID_REQUEST),
        (CALL.replace('"id":1', '"id":1.5'), INVALID_REQUEST),
        (CALL.replace('"id":1', '"id":true'), INVALID_REQUEST),
        (CALL.replace('"id":1', '"id":{}'), INVALID_REQUEST),
        (CALL.replace('"id":1', f'"id":"{"x" * 300}"'), INVALID_REQUEST),
        ('{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}', INVALID_PARAMS),
        ('{"jsonrpc":"2.0","id":1,"method":"a","result":{}}', INVALID_REQUEST),
        ('{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', INVALID_REQUEST),
        ('{"jsonrpc":"2.0","result":{}}', INVALID_REQUEST),
        ('{"jsonrpc":"2.0","id":1}', INVALID_REQUEST),
        ('{"jsonrpc":"2.0","id":1,"method":""}', INVALID_REQUEST),
        ('{"jsonrpc":"2.0","id":1,"method":7}', INVALID_REQUEST),
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(raw: bytes | str, code: int) -> None:
    assert _code(raw) == code


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (CALL, "request"),
        (CALL.replace('"id":1', '"id":"a-1"'), "request"),
        ('{"jsonrpc":"2.0","method":"notifications/initialized"}', "notification"),
        ('{"jsonrpc":"2.0","id":"s1","result":{}}', "response"),
        ('{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"no"}}', "response"),
    ],
)
def test_each_kind_of_message_is_told(raw: str, kind: str) -> None:
    assert read_message(raw.encode()).kind == kind


def test_names_that_only_look_like_the_protocols_are_left_to_the_tool() -> None:
    message = read_message(CALL.replace("{}", '{"Name":"x","METHOD":1}').encode())

    assert message.params["arguments"] == {"Name": "x", "METHOD": 1}


@settings(deadline=None)
@given(VALUES)
def test_what_is_read_is_written_back_to_the_same_value(value: Any) -> None:
    read = parse_json(json.dumps(value).encode())

    again = parse_json(msgspec.json.encode(read))

    assert repr(again) == repr(read) == repr(value)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_do_anything_but_parse_or_be_refused(raw: bytes) -> None:
    try:
        parse_json(raw)
    except BadMessage as refused:
        assert refused.rpc_code in (PARSE_ERROR, INVALID_REQUEST)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_do_anything_but_parse_or_be_refused(text: str) -> None:
    raw = ('{"jsonrpc":"2.0","id":1,"method":' + text + "}").encode("utf-8", "surrogatepass")
    try:
        message = read_message(raw)
    except BadMessage:
        return

    assert json.loads(raw)["method"] == message.method
