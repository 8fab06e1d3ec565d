"""What every page is given: the data, the sign-in, and the one way to answer."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from accredit.audit.checkpoint import parse_checkpoint_text, parse_note
from accredit.audit.reading import LoggedEvent
from accredit.clock import Clock
from accredit.console.assets import Assets
from accredit.console.code_limit import CodeLimit
from accredit.console.rendering import Templates
from accredit.console.session import cookie_of, csrf_of, set_cookie
from accredit.console.view import ConsoleData, Entry
from accredit.errors import NotFound
from accredit.federation.sign_on import SignOn
from accredit.ids import PersonId
from accredit.people.directory import ADMINISTRATOR
from accredit.people.model import Session
from accredit.people.passkeys import Passkeys
from accredit.people.sessions import Sessions

_SEE_OTHER = 303


@dataclass(frozen=True, slots=True)
class Visit:
    """One request by somebody who is signed in."""

    request: Request
    session: Session
    cookie_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`origin` is the console's own, as `https://accredit.example.com`; without `sign_on` no provider is offered."""

    data: ConsoleData
    sessions: Sessions
    passkeys: Passkeys
    clock: Clock
    origin: str
    templates: Templates
    assets: Assets
    codes: CodeLimit
    sign_on: SignOn | None = None

    async def page(self, visit: Visit, template: str, *, status: int = 200, **values: object) -> Response:
        """Answer with a page inside the frame: the menu, who is signed in, how far the log is whole."""
        frame = {
            "person": visit.session.person,
            "administrator": ADMINISTRATOR in visit.session.person.roles,
            "csrf": csrf_of(visit.cookie_token),
            "whole_to": await self._whole_to(),
            "waiting": await self.data.pending.count(visit.session),
        }
        return self.bare(template, status=status, **frame, **values)

    def bare(self, template: str, *, status: int = 200, **values: object) -> Response:
        """Answer with a page that needs nobody to be signed in."""
        known = {"asset": self.assets.path, "now": self.clock.seconds()}
        return HTMLResponse(self.templates.render(template, {**known, **values}), status_code=status)

    async def admit(self, request: Request, cookie_token: str, back: str) -> Response:
        """Give somebody who has just signed in their cookie, end the session that this browser had, and go to `back`.

        `back` is what `checked_return` or `read_return` gave: never what a request says.
        """
        before = cookie_of(request)
        if before is not None and (old := await self.sessions.find(before, active=False)) is not None:
            await self.sessions.end(old)
        response = RedirectResponse(back, status_code=_SEE_OTHER)
        set_cookie(response, cookie_token)
        return response

    async def names(self, entries: Iterable[Entry]) -> dict[str, str]:
        """The names of the people in these events, by id."""
        names: dict[str, str] = {}
        events = [one.event for one in entries if isinstance(one, LoggedEvent)]
        changed = {event.resource for event in events if (event.resource or "").startswith("per_")}
        for person_id in {event.person for event in events} | changed:
            if person_id is None:
                continue
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
