"""What a stranger or an upstream sends cannot hold the event loop: the work grows with the size, not faster."""

from collections.abc import Callable

import pytest

from accredit.errors import Error
from accredit.gateway.protocols.mcp.sse import EventSplitter
from accredit.outbound.framing import parse_chunk_size, parse_head
from accredit.web.forms import parse_form


def steps(work: Callable[[], object]) -> int:
    """How many lines of Python `work` runs; a regular expression's own steps are found by the test's time limit."""
    import sys

    count = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        work()
    except Error:
        pass
    finally:
        sys.settrace(before)
    return count


def feed(size: int, piece: int) -> None:
    splitter = EventSplitter()
    for _ in range(size // piece):
        splitter.feed(b"x" * piece)


@pytest.mark.timeout(20)
def test_a_header_of_blanks_and_a_null_is_refused_at_once() -> None:
    for size in (40_000, 60_000):
        with pytest.raises(Error):
            parse_head(b"HTTP/1.1 200 OK\r\nX-A:" + b" " * size + b"\x00", "GET")


@pytest.mark.timeout(20)
def test_a_chunk_size_of_blanks_is_refused_at_once() -> None:
    with pytest.raises(Error):
        parse_chunk_size(b"1" + b" " * 60_000 + b"\x00")


@pytest.mark.timeout(20)
def test_an_event_in_small_pieces_is_looked_through_once() -> None:
    feed(4_000_000, 64)


def test_a_form_of_separators_takes_work_in_proportion() -> None:
    def work(count: int) -> int:
        return steps(lambda: parse_form(b"&" * count, b"application/x-www-form-urlencoded"))

    assert work(5_000) <= 12 * work(500) + 200
