"""Agents: all of them by name, fifty a page."""

from starlette.responses import Response

from accredit.console.site import Site, Visit

_ROWS = 50


async def agents(site: Site, visit: Visit) -> Response:
    """The list, from the name in `?after=` on."""
    after = visit.request.query_params.get("after", "")
    found = await site.data.agents.list(after, _ROWS + 1)
    return await site.page(
        visit,
        "agents.html",
        agents=found[:_ROWS],
        after=after,
        next_after=found[_ROWS - 1].name if len(found) > _ROWS else None,
    )
