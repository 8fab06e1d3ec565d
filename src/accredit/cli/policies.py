"""`accredit policy …`: see the policies in force, try a set, and put one in force."""

from pathlib import Path

import click
import msgspec

from accredit.cli.connection import connect, decode
from accredit.cli.failures import CannotRun
from accredit.cli.render import json_option, write_json, write_line, write_table
from accredit.cli.sources import read_text

_SUFFIX = ".cedar"


class _Policy(msgspec.Struct):
    id: str
    description: str
    effect: str
    file: str | None
    line: int


class _PolicySet(msgspec.Struct):
    digest: str
    policies: list[_Policy]


class _ValidPolicies(msgspec.Struct):
    digest: str
    policies: list[str]


_paths = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))


@click.group()
def policy() -> None:
    """See the policies in force, try a set, and put one in force."""


@policy.command()
@_paths
@json_option
def apply(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Replace all policies but the starter set by those in PATHS: files, or folders of *.cedar files."""
    sources = _read(paths)
    with connect() as api:
        answer = api.post("/policies", {"sources": sources})
    if as_json:
        write_json(answer)
        return
    applied = decode(answer, _PolicySet)
    own = sum(one.file is not None for one in applied.policies)
    write_line(f"In force: {own} policies of {len(sources)} files, and {len(applied.policies) - own} starter policies.")
    write_line(f"The set is {applied.digest}")


@policy.command("list")
@json_option
def list_policies(*, as_json: bool) -> None:
    """List the policies in force."""
    with connect() as api:
        answer = api.get("/policies")
    if as_json:
        write_json(answer)
        return
    found = decode(answer, _PolicySet)
    rows = [
        (one.id, one.effect, "starter" if one.file is None else f"{one.file}:{one.line}", one.description)
        for one in found.policies
    ]
    write_table(("Id", "Effect", "From", "Description"), rows, empty="No policy is in force: everything is denied.")


@policy.command()
@_paths
@json_option
def validate(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Check the policies in PATHS against the server's systems, and change nothing."""
    sources = _read(paths)
    with connect() as api:
        answer = api.post("/policies/validate", {"sources": sources})
    if as_json:
        write_json(answer)
    else:
        write_line(f"Valid: with the starter set {len(decode(answer, _ValidPolicies).policies)} policies.")


def _read(paths: tuple[Path, ...]) -> dict[str, str]:
    """File name → text; a file of a folder is named by its path in the folder. Raises CannotRun."""
    sources: dict[str, str] = {}
    for path in paths:
        files = sorted(path.rglob(f"*{_SUFFIX}")) if path.is_dir() else [path]
        if not files:
            raise CannotRun(f"{path} holds no *{_SUFFIX} file", next_step="name a file, or a folder that holds some")
        for file in files:
            name = file.relative_to(path).as_posix() if path.is_dir() else file.name
            if name in sources:
                raise CannotRun(f"two files are named {name}", next_step="rename one: errors name files")
            sources[name] = read_text(file)
    return sources
