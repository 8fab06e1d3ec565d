"""A person who lets an agent act: the authorization endpoint, the page's answers, and the token endpoint in one go."""

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import uvloop

from accredit.agents.client_metadata import ClientMetadata, parse_client_metadata
from accredit.agents.model import Agent
from accredit.agents.new_agent import NewAgent
from accredit.delegations.consent import Answered, Asked, Choice
from accredit.ids import new_id
from accredit.oauth.consent import ConsentRequests, open_consent
from accredit.people.model import Person, Session
from accredit.people.sessions import Sessions
from accredit.people.store import update_from_provider
from tests.oauth.endpoint import CRM_RESOURCE, Endpoint, open_endpoint
from tests.rooms import ADMINISTRATOR

T = TypeVar("T")

REDIRECT = "https://desk.example/back"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
STATE = "af0ifjsldkj"
EMAIL = "ben@example.com"
READ, WRITE = "crm:contacts.read", "crm:contacts.write"


def metadata(**members: object) -> ClientMetadata:
    """A public client with refresh tokens, with some members set otherwise."""
    return parse_client_metadata(
        {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "client_name": "Desk", **members}
    )


@dataclass(slots=True, kw_only=True)
class Authorizing:
    """`desk` is a public client that may write to the CRM; `person` may let agents read and write."""

    endpoint: Endpoint
    consents: ConsentRequests
    sessions: Sessions
    desk: Agent
    person: Person
    session: Session

    def parameters(self, **more: str | None) -> dict[str, str]:
        """A request of `desk`, with some parameters set otherwise or left out."""
        given: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.desk.client_id,
            "redirect_uri": REDIRECT,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "state": STATE,
            "resource": CRM_RESOURCE,
            **more,
        }
        return {name: value for name, value in given.items() if value is not None}

    async def authorize(self, **more: str | None) -> httpx2.Response:
        """GET /oauth/authorize."""
        return await self.endpoint.client.get("/oauth/authorize", params=self.parameters(**more))

    async def sealed(self, **more: str | None) -> str:
        """The sealed request that the browser carries to the page of consent."""
        return sealed_of(await self.authorize(**more))

    async def begin(self, **more: str | None) -> object:
        """What the page would show."""
        return await self.consents.begin(await self.sealed(**more), self.session)

    async def allow(
        self, *, scopes: tuple[str, ...] | None = None, seconds: int = 3_600, remember: bool = False, **more: str | None
    ) -> str:
        """Ask, allow all that is offered or just these scopes, and return where the browser goes."""
        return await self._allow(more, scopes, seconds, remember=remember)

    async def code(self, **more: str | None) -> str:
        """A code for all that is offered, for an hour."""
        return answer_of(await self._allow(more, None, 3_600, remember=False))["code"]

    async def _allow(
        self, more: Mapping[str, str | None], scopes: tuple[str, ...] | None, seconds: int, *, remember: bool
    ) -> str:
        sealed = await self.sealed(**more)
        asked = await self.consents.begin(sealed, self.session)
        assert isinstance(asked, Asked)
        offered = tuple(one.scope for one in asked.scopes)
        choice = Choice(scopes=frozenset(offered if scopes is None else scopes), seconds=seconds, remember=remember)
        answered = await self.consents.approve(sealed, self.session, choice)
        assert isinstance(answered, Answered)
        return answered.url

    async def redeem(self, code: str, /, *, headers: Mapping[str, str] | None = None, **more: str) -> httpx2.Response:
        """Change a code into tokens as `desk`, with some parameters set otherwise or left out."""
        given = {
            "grant_type": "authorization_code",
            "client_id": self.desk.client_id,
            "code": code,
            "code_verifier": VERIFIER,
            "redirect_uri": REDIRECT,
            **more,
        }
        return await self._post(given, headers)

    async def refresh(
        self, refresh_token: str, /, *, headers: Mapping[str, str] | None = None, **more: str
    ) -> httpx2.Response:
        """Use a refresh token as `desk`."""
        given = {
            "grant_type": "refresh_token",
            "client_id": self.desk.client_id,
            "refresh_token": refresh_token,
            **more,
        }
        return await self._post(given, headers)

    async def _post(self, given: Mapping[str, str], headers: Mapping[str, str] | None) -> httpx2.Response:
        form = {name: value for name, value in given.items() if value}
        return await self.endpoint.client.post("/oauth/token", data=form, headers=dict(headers or {}))

    async def client(self, name: str, **members: object) -> Agent:
        """Another client, which may write to the CRM too."""
        new = NewAgent(
            name=name,
            owner="ana@example.com",
            roles=("ai-agent-operator",),
            systems=("crm",),
            client=metadata(**members),
        )
        return await self.endpoint.rooms.agents.create(new, ADMINISTRATOR)

    async def set_roles(self, *roles: str) -> None:
        """Give the person other roles."""
        self.person = await _with_roles(self.endpoint, self.person, roles)

    async def sign_in(self) -> Session:
        """A fresh session of the person."""
        session, _ = await self.sessions.start(self.person, authentication="passkey", amr=("hwk", "user"))
        return session


def with_authorizing(folder: Path, act: Callable[[Authorizing], Awaitable[T]], **settings: object) -> T:
    """Run one coroutine with everything open."""

    async def run() -> T:
        async with open_endpoint(folder, **settings) as endpoint:
            return await act(await open_authorizing(endpoint))

    return uvloop.run(run())


async def open_authorizing(endpoint: Endpoint) -> Authorizing:
    """The client, the person and their session, on an open endpoint."""
    rooms = endpoint.rooms
    new = NewAgent(
        name="desk", owner="ana@example.com", roles=("ai-agent-operator",), systems=("crm",), client=metadata()
    )
    desk = await rooms.agents.create(new, ADMINISTRATOR)
    person, _ = await rooms.transactions.change(lambda tx: rooms.people.ensure(tx, EMAIL, "Ben Okafor"))
    person = await _with_roles(endpoint, person, ("delegator",))
    sessions = Sessions(rooms.transactions, rooms.clock, new_id)
    session, _ = await sessions.start(person, authentication="passkey", amr=("hwk", "user"))
    return Authorizing(
        endpoint=endpoint,
        consents=open_consent(endpoint.oauth),
        sessions=sessions,
        desk=desk,
        person=person,
        session=session,
    )


async def _with_roles(endpoint: Endpoint, person: Person, roles: tuple[str, ...]) -> Person:
    changed = replace(person, mapped_roles=roles)
    await endpoint.rooms.transactions.change(lambda tx: update_from_provider(tx, changed))
    found = await endpoint.rooms.people.get(person.id)
    assert found is not None
    return found


def answer_of(url: str) -> dict[str, str]:
    """What a redirect tells the client; each member once."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def sealed_of(response: httpx2.Response) -> str:
    """The sealed request of a redirect to the page of consent."""
    assert response.status_code == 303, response.text
    location = urlsplit(response.headers["location"])
    assert (location.scheme, location.netloc, location.path) == ("", "", "/console/consent")
    [sealed] = parse_qs(location.query)["request"]
    return sealed
