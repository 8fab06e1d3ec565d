"""Our canonical JSON against an independent implementation of RFC 8785."""

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from accredit.audit.event import AuditEvent
from accredit.audit.group import encode_body
from accredit.canonical import base64url, encode, from_base64url
from accredit.errors import InputRefused
from accredit.ids import EventId

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(value=VALUES)
def test_every_value_is_encoded_as_rfc8785_says(value: object) -> None:
    assert encode(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(text=TEXT, latency=st.none() | st.floats(0, 10**9))
def test_the_body_of_an_event_is_canonical(text: str, latency: float | None) -> None:
    event = AuditEvent(
        id=EventId("evt_1"),
        time="2026-11-24T00:00:00.000Z",
        type=text,
        policies=(text,),
        latency_ms=latency,
    )

    body = encode_body(event)

    assert body == rfc8785.dumps(msgspec.json.decode(body))


@pytest.mark.parametrize("value", [1.5, 2**53, {"é": 1}, {1: 2}, b"x", {"a": [object()]}])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(InputRefused):
        encode(value)


@given(data=st.binary())
def test_base64url_has_one_spelling(data: bytes) -> None:
    assert from_base64url(base64url(data)) == data


@pytest.mark.parametrize("text", ["AA==", "A", "AB", "A+", "A/", "AA\n", "é", " AA"])
def test_other_spellings_of_base64url_are_refused(text: str) -> None:
    with pytest.raises(InputRefused):
        from_base64url(text)
