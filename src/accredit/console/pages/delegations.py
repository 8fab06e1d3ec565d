"""What a person lets agents do in their name: to whom, where, until when, and how to take it back."""

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from accredit.agents.model import Agent
from accredit.audit.reading import LoggedEvent
from accredit.console.acts import ShownDetails, ShownScope, scopes_of, shown_details, shown_scopes
from accredit.console.figures import WINDOW, seconds_of
from accredit.console.session import check_csrf, check_same_origin, read_form
from accredit.console.site import Site, Visit
from accredit.delegations.model import Delegation

DELEGATIONS = "/console/delegations"

_SEE_OTHER = 303


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDelegation:
    """A delegation in words. `used_at` is when it was last used, in seconds since 1970; None: not lately.

    `name` is the agent's, as the page of consent calls it.
    """

    one: Delegation
    name: str
    client_url: str | None
    system: str
    scopes: list[ShownScope]
    details: list[ShownDetails]
    used_at: float | None


async def delegations(site: Site, visit: Visit) -> Response:
    """The page of whoever is signed in."""
    found = await site.data.delegations.of_person(visit.session.person.id)
    used = await _last_used(site, {one.id for one in found})
    return await site.page(
        visit,
        "delegations.html",
        delegations=[await shown_delegation(site, one, used.get(one.id)) for one in found],
        ended="ended" in visit.request.query_params,
    )


async def end_delegation(site: Site, visit: Visit) -> Response:
    """End one's own delegation. Raises NotPermitted, InputRefused, NotFound, Unavailable."""
    check_same_origin(visit.request, site.origin)
    form = await read_form(visit.request)
    check_csrf(form, visit.cookie_token)
    await site.data.delegations.end(visit.session.person.id, form.get("delegation", ""), visit.session)
    return RedirectResponse(f"{DELEGATIONS}?ended", status_code=_SEE_OTHER)


async def shown_delegation(site: Site, one: Delegation, used_at: float | None = None) -> ShownDelegation:
    """A delegation in words, as the agent and the system are now."""
    system = site.data.systems.get(one.system)
    agent = await site.data.agents.get(one.agent)
    return ShownDelegation(
        one=one,
        name=_name(one, agent),
        client_url=None if agent is None else agent.client_url,
        system="Accredit" if one.system == "accredit" else one.system if system is None else system.title,
        scopes=shown_scopes(scopes_of(system, one.scopes, one.details)),
        details=shown_details(one.details),
        used_at=used_at,
    )


def _name(one: Delegation, agent: Agent | None) -> str:
    if agent is None:
        return one.agent
    if agent.client_url is not None and agent.client is not None:
        return agent.client.client_name or agent.name
    return agent.name


async def _last_used(site: Site, ids: set[str]) -> dict[str, float]:
    """When each was last used, as far as the newest events tell."""
    used: dict[str, float] = {}
    if not ids:
        return used
    for entry in await site.data.log.latest(WINDOW):
        if not isinstance(entry, LoggedEvent) or entry.event.delegation not in ids:
            continue
        if entry.event.type in ("token.issued", "call.decided"):
            used.setdefault(entry.event.delegation, seconds_of(entry.event.time))
    return used
