"""What a bench found, as JSON or for people."""

import msgspec
from rich.console import Console
from rich.table import Table

from bench.cpu import Cpu


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """Who was measured in the same run, and how many times as fast we are (`ratio` above 1: we are faster)."""

    name: str
    per_second: float
    p50_ms: float
    p99_ms: float
    ratio: float


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """One more figure."""

    name: str
    value: float
    unit: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """The same for one more kind of request. `processor_us` is the server's time for one, None where it is unknown."""

    name: str
    per_second: float
    p50_ms: float
    p99_ms: float
    processor_us: float | None
    peer: Peer | None
    goal: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a bench. `load` says what made the load; `goal` is what the issue asks of `per_second`."""

    name: str
    seconds: float
    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float
    peer: Peer | None
    load: str
    goal: str = ""
    lines: tuple[Line, ...] = ()
    details: tuple[Detail, ...] = ()
    notes: tuple[str, ...] = ()


def cpu_details(used: Cpu | None, answered: int) -> tuple[Detail, ...]:
    """The server's processor time for each request, where it can be known."""
    if used is None:
        return ()
    return (
        Detail(name="processor time a request, event loop", value=used.loops / answered * 1_000_000, unit="µs"),
        Detail(name="processor time a request, other threads", value=used.others / answered * 1_000_000, unit="µs"),
    )


def as_json(report: Report) -> str:
    """The report as one line of JSON."""
    return msgspec.json.encode(report).decode()


def show(report: Report) -> None:
    """Print the report for a reader."""
    console = Console(highlight=False)
    console.print(
        f"[bold]{report.name}[/]  {report.connections} connections, {report.seconds:.1f} s, load: {report.load}"
    )
    table = Table("", "per second", "p50 ms", "p99 ms")
    table.add_row("accredit", *_figures(report.per_second, report.p50_ms, report.p99_ms))
    if peer := report.peer:
        table.add_row(peer.name, *_figures(peer.per_second, peer.p50_ms, peer.p99_ms))
    console.print(table)
    if report.peer:
        console.print(f"accredit makes {report.peer.ratio:.2f} × what {report.peer.name} makes")
    if report.lines:
        console.print(_table_of(report.lines))
    for detail in report.details:
        console.print(
            f"  {detail.name}: {detail.value:,.4g} {detail.unit}"
            if detail.value < 1000
            else f"  {detail.name}: {detail.value:,.0f} {detail.unit}"
        )
    if report.goal:
        console.print(f"goal: {report.goal}")
    for note in report.notes:
        console.print(f"note: {note}")


def _table_of(lines: tuple[Line, ...]) -> Table:
    table = Table("", "per second", "p50 ms", "p99 ms", "processor µs", "peer", "× peer", "goal")
    for line in lines:
        used = "" if line.processor_us is None else f"{line.processor_us:.0f}"
        peer = ("", "") if line.peer is None else (f"{line.peer.per_second:,.0f}", f"{line.peer.ratio:.2f}")
        table.add_row(line.name, *_figures(line.per_second, line.p50_ms, line.p99_ms), used, *peer, line.goal)
    return table


def _figures(per_second: float, p50_ms: float, p99_ms: float) -> tuple[str, str, str]:
    return f"{per_second:,.0f}", f"{p50_ms:.3f}", f"{p99_ms:.3f}"
