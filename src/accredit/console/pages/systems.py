"""Systems: what agents may be given."""

from starlette.responses import Response

from accredit.console.site import Site, Visit


async def systems(site: Site, visit: Visit) -> Response:
    """Every system, by name."""
    return await site.page(visit, "systems.html", systems=site.data.systems.all())
