"""The numbers of the last day, from the newest events only: a count over a whole log would cost more than it tells.

Where a busy day has more events than are read, the figures say since when they count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from accredit.audit.reading import LoggedEvent
from accredit.console.view import Entry

WINDOW = 1_000
DAY_SECONDS = 24 * 60 * 60
_BARS = 48
_HEIGHT = 37


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and its course: `bars` is the `d` of an SVG path in a box of 288 by 40."""

    number: int
    bars: str


@dataclass(frozen=True, slots=True)
class Figures:
    """`since` is in seconds since 1970; `whole_day` is False where the events read do not reach back a day."""

    since: float
    whole_day: bool
    calls: Figure
    refused: Figure
    tokens: Figure


def seconds_of(time: str) -> float:
    """Seconds since 1970 of an event's time (RFC 3339)."""
    return datetime.fromisoformat(time).timestamp()


def count(newest: Sequence[Entry], now: float) -> Figures:
    """Count calls, refusals and tokens among the newest events, newest first, at most `WINDOW` of them."""
    timed = [(seconds_of(one.event.time), one.event) for one in newest if isinstance(one, LoggedEvent)]
    whole_day = len(newest) < WINDOW or not timed or timed[-1][0] <= now - DAY_SECONDS
    since = now - DAY_SECONDS if whole_day else timed[-1][0]
    recent = [(time, event) for time, event in timed if time >= since]
    return Figures(
        since=since,
        whole_day=whole_day,
        calls=_figure([t for t, e in recent if e.type == "call.decided"], since, now),
        refused=_figure([t for t, e in recent if e.decision == "deny"], since, now),
        tokens=_figure([t for t, e in recent if e.type == "token.issued"], since, now),
    )


def _figure(times: Sequence[float], since: float, now: float) -> Figure:
    bins = [0] * _BARS
    span = max(now - since, 1.0)
    for time in times:
        bins[min(int((time - since) / span * _BARS), _BARS - 1)] += 1
    most = max(bins)
    bars = []
    for place, size in enumerate(bins):
        if size:
            height = max(1, round(size / most * _HEIGHT))
            bars.append(f"M{place * 6} {39 - height}h4V39h-4z")
    return Figure(len(times), "".join(bars))
