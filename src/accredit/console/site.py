"""What every page is given: the data, the sign-in, and the one way to answer."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from accredit.audit.checkpoint import parse_checkpoint_text, parse_note
from accredit.audit.reading import LoggedEvent
from accredit.clock import Clock
from accredit.console.assets import Assets
from accredit.console.rendering import Templates
from accredit.console.session import csrf_of
from accredit.console.view import ConsoleData, Entry
from accredit.errors import NotFound
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
        frame = {
            "person": visit.session.person,
            "csrf": csrf_of(visit.cookie_token),
            "whole_to": await self._whole_to(),
        }
        return self.bare(template, status=status, **frame, **values)

    def bare(self, template: str, *, status: int = 200, **values: object) -> Response:
        """Answer with a page that needs nobody to be signed in."""
        known = {"asset": self.assets.path, "now": self.clock.seconds()}
        return HTMLResponse(self.templates.render(template, {**known, **values}), status_code=status)

    async def names(self, entries: Iterable[Entry]) -> dict[str, str]:
        """The names of the people in these events, by id."""
        names: dict[str, str] = {}
        events = [one.event for one in entries if isinstance(one, LoggedEvent)]
        for person_id in {event.person for event in events if event.person is not None}:
            person = await self.data.people.get(PersonId(person_id))
            if person is not None:
                names[person_id] = person.name or person.email
        return names

    async def _whole_to(self) -> int:
        """The number of the last event under a signed checkpoint; -1 while there is none."""
        try:
            note = await self.data.log.checkpoint()
        except NotFound:
            return -1
        return parse_checkpoint_text(parse_note(note).text).size - 1
