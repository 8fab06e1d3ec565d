"""A URL goes out as it was checked, or not at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accredit.outbound.target import TargetRefused, check_path, parse_target


@pytest.mark.parametrize(
    "url",
    [
        "http://h/a/../b",
        "http://h/a/./b",
        "http://h/..",
        "http://h/a/%2e%2e/b",
        "http://h/a/%2E%2e/b",
        "http://h/a/.%2e/b",
        "http://h/a\\..\\b",
        "http://h/a%5cb",
        "http://h/a%2fb",
        "http://h/a%2Fb",
        "http://h/a%00",
        "http://h/a b",
        "http://h/é",
        "http://h/a\r\nx: y",
        "http://user:pass@h/",
        "http://user@h/",
        "http://h/a#b",
        "http://h:99999/",
        "http://h:x/",
        "http:///a",
        "http://h\\@evil/",
        "ftp://h/",
        "file:///etc/passwd",
        "//h/a",
        "h/a",
        "",
    ],
)
def test_a_url_that_two_readers_read_differently_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused):
        parse_target(url)


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "path"),
    [
        ("http://Example.com", "example.com", 80, "example.com", "/"),
        ("https://example.com/mcp", "example.com", 443, "example.com", "/mcp"),
        ("http://127.0.0.1:9000/a//b/", "127.0.0.1", 9000, "127.0.0.1:9000", "/a//b/"),
        ("http://[::1]:9000/mcp?x=1&y=%2e", "::1", 9000, "[::1]:9000", "/mcp?x=1&y=%2e"),
        ("http://h/a%20b;c=d", "h", 80, "h", "/a%20b;c=d"),
    ],
)
def test_the_path_is_sent_as_it_stands(url: str, host: str, port: int, authority: str, path: str) -> None:
    target = parse_target(url)

    assert (target.host, target.port, target.authority, target.path) == (host, port, authority, path)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_a_path_that_is_taken_has_no_dot_segment_and_no_line_break(path: str) -> None:
    try:
        check_path(path)
    except TargetRefused:
        return

    assert path.startswith("/")
    assert path.isascii()
    assert path.isprintable()
    assert not {".", ".."} & set(path.partition("?")[0].split("/"))
