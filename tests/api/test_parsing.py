"""Bodies, queries and numbers are read strictly, whatever is sent."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accredit.api.audit import EventPageQuery
from accredit.api.parsing import SEQ_LIMIT, BodyInvalid, QueryInvalid, parse_body, parse_query, parse_seq
from accredit.errors import Error, InputRefused

JSON = b"application/json"


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    numbers: tuple[int, ...] = ()
    texts: dict[str, str] = {}


members = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
shapes = st.builds(
    Shape,
    name=members,
    numbers=st.lists(st.integers(-(2**53), 2**53), max_size=3).map(tuple),
    texts=st.dictionaries(members, members, max_size=3),
)


@given(shapes)
def test_what_is_of_the_form_is_read_as_it_was_written(shape: Shape) -> None:
    assert parse_body(msgspec.json.encode(shape), JSON, Shape) == shape
    spaced = json.dumps(msgspec.to_builtins(shape), indent=1).encode()
    assert parse_body(spaced, b"Application/JSON; charset=utf-8", Shape) == shape


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_nothing_else(raw: bytes) -> None:
    for read in (lambda: parse_body(raw, JSON, Shape), lambda: parse_query(raw, EventPageQuery)):
        try:
            read()
        except Error as error:
            assert isinstance(error, InputRefused)
            assert error.explanation


@given(members.filter(bool))
def test_a_member_that_stands_twice_is_refused_at_every_depth(name: str) -> None:
    doubled = f'{json.dumps(name)}:"a",{json.dumps(name)}:"a"'

    with pytest.raises(BodyInvalid):
        parse_body(f'{{"name":"x","texts":{{{doubled}}}}}'.encode(), JSON, Shape)


def test_the_same_member_escaped_differently_still_stands_twice() -> None:
    with pytest.raises(BodyInvalid, match="twice"):
        parse_body(b'{"name":"a","n\\u0061me":"b"}', JSON, Shape)


def test_a_query_takes_percent_encoded_numbers() -> None:
    assert parse_query(b"limit=%35&after=-1", EventPageQuery) == EventPageQuery(after=-1, limit=5)


@pytest.mark.parametrize("raw", [b"limit", b"&", b"limit=5&limit=5", b"limit=5&lim%69t=5", b"\xff=1", b"a=1;b=2"])
def test_a_query_that_two_could_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(QueryInvalid):
        parse_query(raw, EventPageQuery)


@given(st.integers(0, SEQ_LIMIT))
def test_the_number_of_an_event_is_decimal(seq: int) -> None:
    assert parse_seq(str(seq)) == seq
