"""One system: its operations, how sensitive each is, and the scope that it takes."""

from starlette.responses import Response

from accredit.console.site import Site, Visit
from accredit.errors import NotFound
from accredit.systems.model import Operation


async def system(site: Site, visit: Visit) -> Response:
    """The system of the name in the path. Raises NotFound."""
    found = site.data.systems.get(visit.request.path_params["system"])
    if found is None:
        raise NotFound("there is no such system", next_step="the list of systems shows them")
    suffix = "/mcp" if found.protocol == "mcp" else ""
    return await site.page(
        visit,
        "system.html",
        system=found,
        operations=[(operation, _matches(operation)) for operation in found.operations],
        resource=f"{site.origin}/gateway/{found.name}{suffix}",
    )


def _matches(operation: Operation) -> str:
    """What of a request picks this operation, in words."""
    if operation.tool is not None:
        return f"tool {operation.tool}"
    if operation.resource is not None:
        return f"resource {operation.resource}"
    if operation.prompt is not None:
        return f"prompt {operation.prompt}"
    return f"{operation.method} {operation.path}"
