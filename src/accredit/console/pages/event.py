"""One event: what happened, every member, its outcome, and the proof that the reader's browser checks."""

import base64
from typing import NamedTuple

from starlette.responses import JSONResponse, Response

from accredit.audit.event import AuditEvent
from accredit.audit.reading import LoggedEvent, RemovedEvent
from accredit.console.keys import browser_key
from accredit.console.pages.audit import parse_seq
from accredit.console.site import Site, Visit
from accredit.console.words import sentence
from accredit.errors import NotFound


class Member(NamedTuple):
    """A member of an event as the page shows it, and where it leads; verify.js compares the text."""

    name: str
    text: str
    href: str | None


async def event(site: Site, visit: Visit) -> Response:
    """The event of the number in the path. Raises NotFound, InputRefused."""
    entry = await site.data.log.event(parse_seq(visit.request.path_params["seq"]))
    if isinstance(entry, RemovedEvent):
        return await site.page(visit, "event_gone.html", seq=entry.seq)
    other = await _other_half(site, entry)
    pair = [entry] if other is None else sorted([entry, other], key=lambda one: one.seq)
    names = await site.names(pair)
    return await site.page(
        visit,
        "event.html",
        seq=entry.seq,
        event=entry.event,
        sentence=sentence(entry.event, names),
        members=_members(entry.event),
        steps=pair,
    )


async def proof(site: Site, visit: Visit) -> Response:
    """All that verify.js needs, as JSON. Raises NotFound, InputRefused, Unavailable."""
    proved = await site.data.log.prove(parse_seq(visit.request.path_params["seq"]))
    if proved.event is None or proved.nonce is None:
        raise NotFound("this event's text was removed; its place in the log stays")
    return JSONResponse(
        {
            "seq": proved.seq,
            "body": base64.b64encode(bytes(proved.event)).decode(),
            "nonce": base64.b64encode(proved.nonce).decode(),
            "proof": proved.proof,
            "vkey": browser_key(site.data.log.keys()),
        }
    )


async def _other_half(site: Site, entry: LoggedEvent) -> LoggedEvent | None:
    """A decision's outcome, or the decision that an outcome names."""
    if entry.event.of is None:
        return await site.data.log.outcome(entry) if entry.event.type == "call.decided" else None
    try:
        found = await site.data.log.event_by_id(entry.event.of)
    except NotFound:
        return None
    return found if isinstance(found, LoggedEvent) else None


def _members(event: AuditEvent) -> list[Member]:
    return [Member(name, _text(getattr(event, name)), _href(event, name)) for name in event.__struct_fields__]


def _text(value: object) -> str:
    if value is None or value == ():
        return "—"
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def _href(event: AuditEvent, name: str) -> str | None:
    match name:
        case "agent" if event.agent:
            return f"/console/agents/{event.agent}"
        case "system" if event.system:
            return f"/console/systems/{event.system}"
    return None
