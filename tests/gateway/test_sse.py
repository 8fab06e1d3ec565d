"""Events come out whole, wherever the network cut them."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from accredit.gateway.protocols.mcp.sse import EventSplitter, parse_event

ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
FIELDS = st.sampled_from([b"data: {}", b"data:x", b"data", b"id: 7", b": comment", b"event: message", b"retry: 5"])


def _feed(pieces: list[bytes]) -> list[bytes]:
    splitter = EventSplitter()
    return [event.raw for piece in pieces for event in splitter.feed(piece)]


_END = re.compile(rb"\r\n?|\n")


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(FIELDS, min_size=1, max_size=4), ENDS), min_size=1, max_size=4), st.data())
def test_the_cuts_of_the_network_do_not_matter(events: list[tuple[list[bytes], bytes]], data: st.DataObject) -> None:
    whole = b"".join(end.join([*fields, b"", b""]) for fields, end in events) + b"data: last\n\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    cut = [_END.sub(b"\n", raw) for raw in _feed(pieces)]

    # Where a cut falls between `\r` and `\n`, the event does not wait for the `\n`: one end of line is as good.
    assert b"".join(_feed([whole])) == whole
    assert cut == [_END.sub(b"\n", raw) for raw in _feed([whole])]


def test_an_event_is_given_as_soon_as_it_is_whole() -> None:
    pieces = [b"data: 1\n", b"\ndata: 2\r\n\r", b"\n", b"data: 3\r\r", b"data: 4\n\n"]

    # The `\n` that came late belongs to the end of the second event, and is not passed on.
    assert _feed(pieces) == [b"data: 1\n\n", b"data: 2\r\n\r", b"data: 3\r\r", b"data: 4\n\n"]


def test_the_data_of_an_event_is_its_lines_joined() -> None:
    event = parse_event(b"event: message\nid: 3\ndata: a\ndata:b\n: c\n\n")

    assert event.data == b"a\nb"
    assert event.with_data(b"z") == b"event: message\nid: 3\n: c\ndata: z\n\n"
