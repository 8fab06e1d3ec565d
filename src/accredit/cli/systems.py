"""`accredit system …`: register systems that agents may be given."""

from pathlib import Path

import click
import msgspec

from accredit.cli.connection import connect, decode, segment
from accredit.cli.render import json_option, write_facts, write_json, write_line, write_note, write_table
from accredit.cli.sources import read_text


class _Operation(msgspec.Struct):
    action: str
    effect: str
    sensitivity: int
    scope: str


class _System(msgspec.Struct):
    name: str
    title: str
    kind: str
    protocol: str
    upstream: str
    resource: str
    sensitivity: int
    operations: tuple[_Operation, ...]
    tools: tuple[str, ...] | None
    version: int
    tools_unknown_because: str | None = None


class _SystemList(msgspec.Struct):
    systems: list[_System]


@click.group()
def system() -> None:
    """Register systems that agents may be given."""


@system.command()
@click.argument("manifest", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--replace", is_flag=True, help="Put the manifest in the place of the one of the same name.")
@json_option
def add(manifest: Path, *, replace: bool, as_json: bool) -> None:
    """Register a system from its manifest (TOML)."""
    body = {"manifest": read_text(manifest), "file": manifest.name, "replace": replace}
    with connect() as api:
        answer = api.post("/systems", body)
    if as_json:
        write_json(answer)
        return
    added = decode(answer, _System)
    write_line(f"The system {added.name} has {len(added.operations)} operations. Its resource is {added.resource}")
    if added.tools is not None:
        write_line(f"Its server lists {len(added.tools)} tools.")
    if added.tools_unknown_because is not None:
        write_note(f"Its tools are not known yet: {added.tools_unknown_because}. They are asked for again later.")


@system.command("list")
@json_option
def list_systems(*, as_json: bool) -> None:
    """List every system, by name."""
    with connect() as api:
        answer = api.get("/systems")
    if as_json:
        write_json(answer)
        return
    rows = [
        (one.name, one.title, one.kind, one.protocol, str(one.sensitivity), str(len(one.operations)), _tools(one))
        for one in decode(answer, _SystemList).systems
    ]
    columns = ("Name", "Title", "Kind", "Protocol", "Sensitivity", "Operations", "Tools")
    write_table(columns, rows, empty="There is no system yet.")


@system.command()
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show a system and its operations."""
    with connect() as api:
        answer = api.get(f"/systems/{segment(name)}")
    if as_json:
        write_json(answer)
        return
    one = decode(answer, _System)
    facts = (
        ("Name", one.name),
        ("Title", one.title),
        ("Kind", one.kind),
        ("Protocol", one.protocol),
        ("Upstream", one.upstream),
        ("Resource", one.resource),
        ("Sensitivity", str(one.sensitivity)),
        ("Tools", _tools(one)),
        ("Version", str(one.version)),
    )
    write_facts(facts)
    rows = [(it.action, it.effect, str(it.sensitivity), it.scope) for it in one.operations]
    write_table(("Action", "Effect", "Sensitivity", "Scope"), rows, empty="It has no operation.")


def _tools(one: _System) -> str:
    return "not known yet" if one.tools is None else str(len(one.tools))
