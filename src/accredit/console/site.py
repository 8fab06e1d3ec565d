"""What every page is given: the data, the sign-in, and the one way to answer."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from accredit.audit.checkpoint import parse_checkpoint_text, parse_note
from accredit.clock import Clock
from accredit.console.assets import Assets
from accredit.console.rendering import Templates
from accredit.console.session import csrf_of
from accredit.console.view import ConsoleData, LoggedEvent
from accredit.ids import PersonId
from accredit.people.model import Session
from accredit.people.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Visit:
    """One request by somebody who is signed in."""

    request: Request
    session: Session
    cookie_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`origin` is the console's own, as `https://accredit.example.com`."""

    data: ConsoleData
    sessions: Sessions
    clock: Clock
    origin: str
    templates: Templates
    assets: Assets

    async def page(self, visit: Visit, template: str, *, status: int = 200, **values: object) -> Response:
        """Answer with a page inside the frame: the menu, who is signed in, how far the log is whole."""
        checkpoint = parse_checkpoint_text(parse_note(await self.data.log.checkpoint()).text)
        frame = {
            "person": visit.session.person,
            "csrf": csrf_of(visit.cookie_token),
            "whole_to": checkpoint.size - 1,
        }
        return self.bare(template, status=status, **frame, **values)

    def bare(self, template: str, *, status: int = 200, **values: object) -> Response:
        """Answer with a page that needs nobody to be signed in."""
        known = {"asset": self.assets.path, "now": self.clock.seconds()}
        return HTMLResponse(self.templates.render(template, {**known, **values}), status_code=status)

    async def names(self, events: Iterable[LoggedEvent]) -> dict[str, str]:
        """The names of the people in these events, by id."""
        names = {}
        for person_id in {one.event.person for one in events if one.event and one.event.person}:
            person = await self.data.people.get(PersonId(person_id))
            if person is not None:
                names[person_id] = person.name or person.email
        return names
