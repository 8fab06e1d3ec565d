"""Texts that others chose are shown without anything that a terminal would obey."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from accredit.cli.render import plain, styled


@given(st.text())
def test_no_text_can_command_a_terminal(text: str) -> None:
    for shown in (plain(text), styled(text).plain):
        assert not {char for char in shown if unicodedata.category(char)[0] == "C" and char != "\n"} - unassigned(shown)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_what_is_only_letters_and_signs_is_shown_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_what_is_hidden_can_still_be_told_apart() -> None:
    assert plain("a\x1b[2J\u202eb") == "a\\x1b[2J\\u202eb"


def unassigned(text: str) -> set[str]:
    """Code points without a meaning, or of private use: a terminal shows a box."""
    return {char for char in text if unicodedata.category(char) in ("Cn", "Co")}
