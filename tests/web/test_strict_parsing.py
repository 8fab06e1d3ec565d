"""Forms and bodies: read whole within a limit, or not at all."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accredit.web.asgi import BodyTooLarge, BodyTooSlow, Disconnected, read_body
from accredit.web.forms import FormInvalid, parse_form

TYPE = b"application/x-www-form-urlencoded"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@given(form=st.dictionaries(TEXT, TEXT, max_size=8))
def test_a_form_is_read_as_it_was_written(form: dict[str, str]) -> None:
    assert parse_form(urlencode(form).encode(), TYPE + b"; charset=utf-8") == form


@given(form=st.dictionaries(TEXT, TEXT, min_size=1, max_size=4), value=TEXT)
def test_a_repeated_parameter_is_refused_wherever_it_stands(form: dict[str, str], value: str) -> None:
    pairs = [*form.items(), (next(iter(form)), value)]

    with pytest.raises(FormInvalid):
        parse_form(urlencode(pairs).encode(), TYPE)


@given(body=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        form = parse_form(body, TYPE)
    except FormInvalid:
        return

    assert all("\0" not in value and value for value in form.values())


@given(text=st.text("ab=&;%+2", max_size=30))
def test_a_form_means_what_the_standard_library_says_it_means(text: str) -> None:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except ValueError:
        pairs = []

    try:
        form = parse_form(text.encode(), TYPE)
    except FormInvalid:
        form = {}

    names = [name for name, _ in pairs]
    expected = {name: value for name, value in pairs if value} if len(set(names)) == len(names) else {}
    assert form == expected


@pytest.mark.parametrize("content_type", [b"", b"application/json", b"multipart/form-data", b"text/plain"])
def test_another_content_type_is_refused(content_type: bytes) -> None:
    with pytest.raises(FormInvalid):
        parse_form(b"a=b", content_type)


def read(messages: list[dict[str, Any]], headers: list[tuple[bytes, bytes]], limit: int) -> bytes:
    waiting = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    return asyncio.run(read_body(receive, headers, limit))


def parts(*pieces: bytes) -> list[dict[str, Any]]:
    last = len(pieces) - 1
    return [{"type": "http.request", "body": piece, "more_body": n < last} for n, piece in enumerate(pieces)]


@given(pieces=st.lists(st.binary(max_size=40), min_size=1, max_size=6), limit=st.integers(0, 120))
def test_a_body_is_whole_or_too_large(pieces: list[bytes], limit: int) -> None:
    whole = b"".join(pieces)

    if len(whole) > limit:
        with pytest.raises(BodyTooLarge):
            read(parts(*pieces), [], limit)
    else:
        assert read(parts(*pieces), [], limit) == whole


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    with pytest.raises(BodyTooLarge):
        read([], [(b"content-length", b"101")], 100)


def test_a_body_that_breaks_off_is_never_given_back() -> None:
    broken = [*parts(b"half", b"")[:1], {"type": "http.disconnect"}]

    with pytest.raises(Disconnected):
        read(broken, [], 100)


def test_a_body_that_never_comes_is_given_up() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(3600)
        raise AssertionError("unreachable")

    async def act() -> None:
        with pytest.raises(BodyTooSlow):
            await read_body(receive, [], 100, seconds=0.01)

    asyncio.run(act())
