"""What commands write: results to standard output, notes to standard error; JSON as it came, or text for people.

Texts that others chose (names, titles, reasons) are shown without control characters: a terminal obeys those.
"""

import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

F = TypeVar("F", bound=Callable[..., Any])

JSON_WANTED = "accredit.json"
"""The key of click's `meta` under which `--json` is noted."""
_PIPE_COLUMNS = 200
# Control, format (it turns text around), surrogate, line and paragraph separators.
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_STATUS_STYLES = {
    "active": "green",
    "permit": "green",
    "suspended": "yellow",
    "step_up": "yellow",
    "deny": "red",
    "retired": "red",
}


def json_option(command: F) -> F:
    """Give a command `--json`, as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, is_eager=True, callback=_note_json, help="Answer in JSON.")(
        command
    )


def plain(text: str) -> str:
    """A text with every character that a terminal would obey written as an escape; line ends stay."""
    return "".join(
        char if char == "\n" or unicodedata.category(char) not in _HIDDEN else char.encode("unicode_escape").decode()
        for char in text
    )


def write_json(value: bytes | object) -> None:
    """One JSON value on one line; bytes are JSON already."""
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
    sys.stdout.write(raw.decode() + "\n")
    sys.stdout.flush()


def write_line(text: str) -> None:
    """One line for people."""
    click.echo(plain(text))


def write_note(text: str) -> None:
    """A remark beside the result, on standard error."""
    click.echo(plain(text), err=True)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Rows under headings; `empty` is said in their place if there are none."""
    # On a narrow terminal an id is folded, never cut off.
    folding = (Column(name, overflow="fold") for name in columns)
    table = Table(*folding, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(styled(cell) for cell in row))
    if table.row_count:
        _console().print(table)
    else:
        write_note(empty)


def write_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Names and values, one a line."""
    table = Table(Column(), Column(overflow="fold"), box=None, pad_edge=False, show_header=False)
    for name, value in facts:
        table.add_row(Text(name, style="bold"), styled(value))
    _console().print(table)


def write_styled(*parts: str) -> None:
    """One line for people, in which the words of state are coloured."""
    _console().print(Text(" ").join(styled(part) for part in parts), soft_wrap=True)


def styled(text: str) -> Text:
    """A text that is safe to show, coloured if it is a word of state."""
    return Text(plain(text), style=_STATUS_STYLES.get(text.strip(), ""))


def _note_json(context: click.Context, parameter: click.Parameter, value: bool) -> bool:  # click's form
    del parameter
    if value:
        context.meta[JSON_WANTED] = True
    return value


def _console() -> Console:
    # Into a pipe, rich would fold everything to 80 columns.
    return Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS)
