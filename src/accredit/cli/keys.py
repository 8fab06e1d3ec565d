"""`accredit keys …`: see the keys that sign tokens, and change them."""

from typing import get_args

import click
import msgspec

from accredit.cli.connection import connect, decode
from accredit.cli.render import json_option, write_json, write_line, write_table
from accredit.keys.algorithms import DEFAULT_ALGORITHM, AlgorithmName


class _Key(msgspec.Struct):
    id: str
    algorithm: str
    status: str
    kept_in: str
    active_at: str
    retired_at: str | None


class _Keys(msgspec.Struct):
    keys: list[_Key]


@click.group()
def keys() -> None:
    """See the keys that sign tokens, and change them."""


@keys.command("list")
@json_option
def list_keys(*, as_json: bool) -> None:
    """List the keys that sign tokens, or did."""
    with connect() as api:
        answer = api.get("/keys")
    if as_json:
        write_json(answer)
        return
    rows = [
        (one.id, one.algorithm, one.status, one.kept_in, one.active_at, one.retired_at or "-")
        for one in decode(answer, _Keys).keys
    ]
    write_table(("Id", "Algorithm", "Status", "Kept in", "Signs from", "Verifies until"), rows, empty="No key.")


@keys.command()
@click.option(
    "--algorithm",
    type=click.Choice(get_args(AlgorithmName)),
    default=DEFAULT_ALGORITHM,
    show_default=True,
    help="What the new key signs.",
)
@click.option(
    "--now",
    is_flag=True,
    help="For a key that leaked: the new key signs at once, and every token of the older ones is refused.",
)
@json_option
def rotate(algorithm: str, *, now: bool, as_json: bool) -> None:
    """Make a new key that takes the place of the older ones of its algorithm."""
    with connect() as api:
        answer = api.post("/keys", {"algorithm": algorithm, "now": now})
    if as_json:
        write_json(answer)
        return
    made = decode(answer, _Key)
    write_line(f"{made.id} is published now and signs {made.algorithm} {'now' if now else f'from {made.active_at}'}.")
    if now:
        write_line("The older keys have ended: agents that hold their tokens get new ones by asking.")
