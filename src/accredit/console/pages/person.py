"""One person: their roles, how they sign in, and what they let agents do."""

import shlex

from starlette.responses import Response

from accredit.console.pages.delegations import shown_delegation
from accredit.console.pages.people import provider_names, provider_of
from accredit.console.site import Site, Visit
from accredit.errors import NotFound
from accredit.ids import PersonId


async def person(site: Site, visit: Visit) -> Response:
    """The person of the id in the path. Raises NotFound."""
    found = await site.data.people.get(PersonId(visit.request.path_params["person"]))
    if found is None:
        raise NotFound("there is no such person", next_step="the list of people shows who there is")
    ways = (await site.data.people.ways_in([found]))[found.id]
    names = await provider_names(site)
    delegations = await site.data.delegations.of_person(found.id)
    return await site.page(
        visit,
        "person.html",
        shown=found,
        # Somebody else chose it, and it stands in a command.
        address=shlex.quote(found.email),
        passkeys=ways.passkeys,
        identities=[(provider_of(one, names), one) for one in ways.identities],
        delegations=[await shown_delegation(site, one) for one in delegations],
    )
