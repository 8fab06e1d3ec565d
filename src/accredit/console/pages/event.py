"""One event: what happened, every member, its outcome, and the proof that the reader's browser checks."""

import base64
from typing import NamedTuple

from starlette.responses import JSONResponse, Response

from accredit.audit.event import AuditEvent
from accredit.console.pages.audit import parse_seq
from accredit.console.site import Site, Visit
from accredit.console.view import LoggedEvent
from accredit.console.words import sentence
from accredit.errors import NotFound, Unavailable

# An outcome follows its decision closely; beyond this many events it is not looked for.
_NEAR = 1_000


class Member(NamedTuple):
    """A member of an event as the page shows it, and where it leads; verify.js compares the text."""

    name: str
    text: str
    href: str | None


async def event(site: Site, visit: Visit) -> Response:
    """The event of the number in the path. Raises NotFound, InputRefused."""
    logged = await _load(site, visit)
    if logged.event is None:
        return await site.page(visit, "event_gone.html", seq=logged.seq)
    other = await _other_half(site, logged)
    pair = [logged] if other is None else [logged, other]
    names = await site.names(pair)
    return await site.page(
        visit,
        "event.html",
        seq=logged.seq,
        event=logged.event,
        sentence=sentence(logged.event, names),
        members=_members(logged.event),
        steps=sorted(pair, key=lambda one: one.seq),
        names=names,
        near=_NEAR,
    )


async def proof(site: Site, visit: Visit) -> Response:
    """All that verify.js needs, as JSON; 503 while no checkpoint covers the event yet. Raises NotFound."""
    logged = await _load(site, visit)
    if logged.body is None or logged.nonce is None:
        raise NotFound("this event's text was removed; its place in the log stays", next_step="")
    try:
        proved = await site.data.log.prove(logged.seq)
    except Unavailable as error:
        return JSONResponse({"title": error.explanation}, status_code=503)
    return JSONResponse(
        {
            "seq": logged.seq,
            "body": base64.b64encode(logged.body).decode(),
            "nonce": base64.b64encode(logged.nonce).decode(),
            "proof": proved.proof,
            "vkey": site.data.log.vkeys()[0],
        }
    )


async def _load(site: Site, visit: Visit) -> LoggedEvent:
    logged = await site.data.log.event(parse_seq(visit.request.path_params["seq"]))
    if logged is None:
        raise NotFound("there is no event of this number", next_step="the list of events shows them")
    return logged


async def _other_half(site: Site, logged: LoggedEvent) -> LoggedEvent | None:
    """A decision's outcome, or the decision that an outcome names, if it is near."""
    if logged.event is None:
        return None
    if logged.event.of is not None:
        earlier = await site.data.log.before(logged.seq, _NEAR)
        return next((one for one in earlier if one.event and one.event.id == logged.event.of), None)
    if logged.event.type != "call.decided":
        return None
    later = await site.data.log.after(logged.seq, _NEAR)
    return next((one for one in later if one.event and one.event.of == logged.event.id), None)


def _members(event: AuditEvent) -> list[Member]:
    return [
        Member(name, _text(getattr(event, name)), _href(event, name)) for name in event.__struct_fields__
    ]


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
