"""People: all of them by address, fifty a page, with their roles and how they sign in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from accredit.console.site import Site, Visit
from accredit.people.model import KnownAs, Person, WaysIn

_ROWS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPerson:
    """A person in a row: `ways` are how they sign in, in words; `delegations` are counted."""

    one: Person
    ways: tuple[str, ...]
    delegations: int


async def people(site: Site, visit: Visit) -> Response:
    """The list, from the address in `?after=` on."""
    after = visit.request.query_params.get("after", "")
    found = await site.data.people.list(after, _ROWS + 1)
    return await site.page(
        visit,
        "people.html",
        people=await _shown(site, found[:_ROWS]),
        after=after,
        next_after=found[_ROWS - 1].email if len(found) > _ROWS else None,
    )


async def provider_names(site: Site) -> dict[str, str]:
    """What the connected sign-in providers are called, by issuer."""
    if site.sign_on is None:
        return {}
    return {one.configuration.key(): one.configuration.title for one in await site.sign_on.providers.all()}


def provider_of(known: KnownAs, names: Mapping[str, str]) -> str:
    """The provider that knows a person; its issuer where none of its name is connected."""
    return names.get(known.issuer, known.issuer)


def ways_in_words(ways: WaysIn, names: Mapping[str, str]) -> tuple[str, ...]:
    """How somebody signs in; nothing for one who needs a link."""
    passkeys = (f"{ways.passkeys} passkey{'' if ways.passkeys == 1 else 's'}",) if ways.passkeys else ()
    return (*passkeys, *dict.fromkeys(provider_of(known, names) for known in ways.identities))


async def _shown(site: Site, found: Sequence[Person]) -> list[ShownPerson]:
    names = await provider_names(site)
    ways = await site.data.people.ways_in(found)
    counts = await site.data.delegations.count([one.id for one in found])
    return [
        ShownPerson(one=one, ways=ways_in_words(ways[one.id], names), delegations=counts.get(one.id, 0))
        for one in found
    ]
