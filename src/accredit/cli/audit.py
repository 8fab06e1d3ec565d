"""`accredit audit …`: read the log, prove an event, take the log away, and verify it without the server."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
from rich.console import Console

from accredit.cli.connection import ManagementApi, connect, data_folder, decode
from accredit.cli.failures import CannotRun, Refused, cannot_run
from accredit.cli.render import json_option, write_facts, write_json, write_line, write_note, write_styled

TAIL_EVENTS = 20
FOLLOW_SECONDS = 0.5
_PAGE = 1_000
_seq = click.argument("seq", type=click.IntRange(min=0))


class _Event(msgspec.Struct):
    """What a line of `tail` shows."""

    seq: int
    time: str = "-"
    type: str = "removed"
    agent_name: str | None = None
    action: str | None = None
    resource: str | None = None
    decision: str | None = None
    outcome: str | None = None
    policies: tuple[str, ...] = ()
    reason: str | None = None


class _Page(msgspec.Struct):
    events: list[msgspec.Raw]
    next: int | None


class _Proof(msgspec.Struct):
    proof: str


@click.group()
def audit() -> None:
    """Read the log, prove an event, take the log away, and verify it."""


@audit.command()
@click.option("--follow", is_flag=True, help="Go on with each new event, until interrupted.")
@json_option
def tail(*, follow: bool, as_json: bool) -> None:
    """Show the last 20 events, oldest first; with --json one object a line."""
    with connect() as api:
        newest = decode(api.get("/audit/events", limit=TAIL_EVENTS), _Page).events
        last = _write_events(list(reversed(newest)), -1, as_json=as_json)
        if follow:
            _follow(api, last, as_json=as_json)


@audit.command()
@_seq
@json_option
def show(seq: int, *, as_json: bool) -> None:
    """Show one event."""
    with connect() as api:
        answer = api.get(f"/audit/events/{seq}")
    if as_json:
        write_json(answer)
        return
    members = decode(answer, dict[str, object])
    write_facts((name, _text(value)) for name, value in members.items() if value not in (None, []))


@audit.command()
@_seq
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
@json_option
def prove(seq: int, output: Path | None, *, as_json: bool) -> None:
    """Prove that an event is in the log: a tlog-proof, or with --json all that is needed to check it."""
    with connect() as api:
        answer = api.get(f"/audit/events/{seq}/proof")
    text = answer.decode() + "\n" if as_json else decode(answer, _Proof).proof
    if output is None:
        sys.stdout.write(text)
    else:
        _write_file(output, text)
        write_note(f"The proof of event {seq} is in {output}.")


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def export(file: Path, *, as_json: bool) -> None:
    """Take the whole log away in one file, and verify it there."""
    from accredit.audit.fsck import verify_export  # noqa: PLC0415  # it takes a second to load; only two commands need it

    beside = file.with_name(f".{file.name}.part")
    try:
        # What the log says of agents and people is not for everyone on the machine.
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as part, connect() as api:
            api.download("/audit/export", part)
        beside.replace(file)
    except OSError as error:
        raise CannotRun(f"{file} cannot be written: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)
    with _broken_is_refused():
        report = verify_export(file)
    if as_json:
        write_json({"file": str(file), **msgspec.to_builtins(report)})
    else:
        write_line(f"{report.events} events are in {file}. The export is whole.")


@audit.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A data folder.")
@click.option("--export", "export_", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="An export.")
@click.option("--key", metavar="VKEY", help="The verifier key that you trust, as /audit/key shows it.")
@json_option
def verify(data: Path | None, export_: Path | None, key: str | None, *, as_json: bool) -> None:
    """Verify the whole log, without a server: by default that of the data folder.

    Exits with 0 if it is whole, with 1 if not, naming the first bad event, and with 2 if it could not be verified.
    """
    from accredit.audit.fsck import verify_data, verify_export  # noqa: PLC0415  # as above

    if data is not None and export_ is not None:
        raise click.UsageError("--data and --export exclude each other")
    with _broken_is_refused(), _counting() as progress:
        if export_ is not None:
            report = verify_export(export_, key, progress)
        else:
            report = verify_data(data or data_folder(), key, progress)
    if as_json:
        write_json(report)
        return
    write_line(f"The log {report.origin} is whole: {report.size} events lead to the signed root {report.root}.")
    if report.uncovered:
        write_line(f"{report.uncovered} newer events have no checkpoint yet; each agrees with its commitment.")
    if report.removed:
        write_line(f"Of {report.removed} events only the commitment is left.")
    if not report.key_given:
        write_note("The keys lay beside the log, so it agrees with itself. Give the key that you trust with --key.")


def _follow(api: ManagementApi, last: int, *, as_json: bool) -> None:
    try:
        while True:
            page = decode(api.get("/audit/events", after=last, limit=_PAGE), _Page)
            last = _write_events(page.events, last, as_json=as_json)
            if len(page.events) < _PAGE:
                time.sleep(FOLLOW_SECONDS)
    except KeyboardInterrupt:
        return


def _write_events(events: list[msgspec.Raw], last: int, *, as_json: bool) -> int:
    """Write events, one a line; returns the last number."""
    for raw in events:
        event = decode(bytes(raw), _Event)
        last = event.seq
        if as_json:
            write_json(bytes(raw))
        else:
            write_styled(*_columns(event))
    return last


def _columns(event: _Event) -> tuple[str, ...]:
    verdict = event.decision or event.outcome or "-"
    columns = (f"{event.seq:>6}", event.time, f"{event.type:<18}", f"{verdict:<8}", f"{event.agent_name or '-':<16}")
    about = [
        event.action if event.action != event.type else None,
        event.resource,
        ", ".join(event.policies),
        event.reason,
    ]
    return (*columns, "  ".join(part for part in about if part))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    return msgspec.json.encode(value).decode()


def _write_file(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def _broken_is_refused() -> Iterator[None]:
    """A log that is not whole ends with 1; what keeps us from finding out, with 2."""
    from accredit.audit.errors import LogBroken  # noqa: PLC0415  # as above
    from accredit.errors import Error  # noqa: PLC0415

    try:
        yield
    except LogBroken as error:
        raise Refused(error.explanation, next_step=error.next_step, code=error.code, event=error.seq) from error
    except Error as error:
        raise cannot_run(error) from error


@contextmanager
def _counting() -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many events were checked."""
    with Console(stderr=True).status("Reading the log") as status:
        yield lambda count: status.update(f"{count} events checked")
