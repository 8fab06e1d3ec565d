"""Home: how things stand, in a sentence, three numbers and the last decisions."""

from starlette.responses import Response

from accredit.audit.reading import LoggedEvent
from accredit.console.figures import WINDOW, Figures, count
from accredit.console.site import Site, Visit

_ROWS = 10
_COUNTED = 200


async def home(site: Site, visit: Visit) -> Response:
    """The first page after signing in; three commands as long as there is nothing to show."""
    agents = await site.data.agents.list("", _COUNTED)
    systems = site.data.systems.all()
    newest = await site.data.log.latest(WINDOW)
    decisions = [one for one in newest if isinstance(one, LoggedEvent) and one.event.decision is not None][:_ROWS]
    figures = count(newest, site.clock.seconds())
    steps = (bool(systems), bool(agents), any(agent.credentials for agent in agents))
    return await site.page(
        visit,
        "home.html",
        heading=_heading(figures),
        agents=len(agents),
        more_agents=len(agents) == _COUNTED,
        systems=len(systems),
        figures=figures,
        decisions=decisions,
        steps=steps,
    )


def _heading(figures: Figures) -> str:
    span = "in the last 24 hours" if figures.whole_day else "lately"
    match figures.refused.number:
        case 0:
            return f"No refusals {span}"
        case 1:
            return f"One refusal {span}"
        case many:
            return f"{many:,} refusals {span}"
