"""Templates: escaping is always on, and a name that a page forgot to give is an error, not an empty place."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from accredit.audit.reading import RemovedEvent
from accredit.clock import rfc3339
from accredit.console.figures import seconds_of
from accredit.console.seal import seal_of
from accredit.console.words import HIDDEN_SIGN, short, tag_of, visible, why

_TEMPLATES = Path(__file__).parent / "templates"
_DAY = 24 * 60 * 60
_SIGN = Markup('<span class="hidden-sign">{}</span>').format(HIDDEN_SIGN)


class Templates:
    """Renders a page's template."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(
            visible=visible,
            short=short,
            marked=_marked,
            number=_number,
            exact=_exact,
            minute=_minute,
            day=_day,
            ago=_ago,
            tag=tag_of,
            why=why,
        )
        self._environment.tests.update(removed=lambda entry: isinstance(entry, RemovedEvent))
        self._environment.globals.update(seal_of=seal_of, moment=_moment)

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """The page as HTML."""
        return self._environment.get_template(name).render(values)


def _marked(text: str) -> Markup:
    """The text with each ␦ framed, since not every font draws it."""
    return _SIGN.join(text.split(HIDDEN_SIGN))


def _number(value: int) -> str:
    return f"{value:,}"


def _exact(seconds: float) -> str:
    return rfc3339(seconds)


def _minute(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M}"


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%-d %B %Y}"


def _moment(time: str, now: float) -> Markup:
    """A time in UTC: the clock within the last day, the day before it otherwise, the exact one on hovering."""
    seconds = seconds_of(time)
    when = datetime.fromtimestamp(seconds, UTC)
    form = "%H:%M:%S" if abs(now - seconds) < _DAY else "%-d %b %Y %H:%M"
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(time, when.strftime(form))


def _ago(seconds: float, now: float) -> str:
    """How long ago, in the largest unit that fits."""
    passed = max(now - seconds, 0)
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if passed >= size:
            count = int(passed // size)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"
