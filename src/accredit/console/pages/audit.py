"""Audit: every event, newest first, fifty a page; the place in the log is in the address."""

import re

from starlette.responses import Response

from accredit.console.site import Site, Visit
from accredit.console.view import Entry
from accredit.errors import InputRefused

_ROWS = 50
_SEQ = re.compile(r"0|[1-9][0-9]{0,15}")


async def audit(site: Site, visit: Visit) -> Response:
    """The newest events, or those below `?before=`, or those above `?after=`. Raises InputRefused."""
    events, newer, older = await _read(site, visit)
    return await site.page(
        visit,
        "audit.html",
        events=events,
        names=await site.names(events),
        newer=events[0].seq if newer and events else None,
        older=events[-1].seq if older and events else None,
    )


def parse_seq(text: str) -> int:
    """An event's number. Raises InputRefused."""
    if not _SEQ.fullmatch(text):
        raise InputRefused("an event's number is a whole number from 0", next_step="open the list of events")
    return int(text)


async def _read(site: Site, visit: Visit) -> tuple[list[Entry], bool, bool]:
    """The page's events, newest first, and whether there are newer and older ones."""
    query = visit.request.query_params
    log = site.data.log
    if (after := query.get("after")) is not None:
        # Oldest first, so that the page is the next one and not the newest.
        found = list(await log.after(parse_seq(after), _ROWS + 1))
        return found[:_ROWS][::-1], len(found) > _ROWS, bool(found) and found[0].seq > 0
    if (before := query.get("before")) is not None:
        found = list(await log.before(parse_seq(before), _ROWS + 1))
        return found[:_ROWS], bool(found), len(found) > _ROWS
    found = list(await log.latest(_ROWS + 1))
    return found[:_ROWS], False, len(found) > _ROWS
