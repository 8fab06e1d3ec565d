"""`/api/v1/sign-in-links`: let the administrator, or a person that they invite, in to the console, once."""

from typing import Annotated

import msgspec

from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.people.directory import People
from accredit.people.model import Person
from accredit.people.sessions import LINK_SECONDS, Sessions


class SignInLinkFor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom the link is for: an address, known here or not; the administrator if none is given."""

    email: Annotated[str, msgspec.Meta(extra_json_schema={"format": "email"})] | None = None


class SignInLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that works once. Its token is in the fragment, which no server and no log sees."""

    url: str
    expires_in_seconds: int


class SignInLinkEndpoints:
    """What can be done with sign-in links."""

    def __init__(self, people: People, sessions: Sessions, administrator: Person, issuer: str) -> None:
        self._people = people
        self._sessions = sessions
        self._administrator = administrator
        self._issuer = issuer

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        return (
            Endpoint(
                method="POST",
                path="/api/v1/sign-in-links",
                summary="Make a one-time link to the console",
                act=self._make,
                body=SignInLinkFor,
                query=Nothing,
                answer=SignInLink,
                status=201,
            ),
        )

    async def _make(self, call: Call[SignInLinkFor, Nothing]) -> SignInLink:
        person = self._administrator
        if call.body.email is not None:
            person = await self._people.invite(call.body.email, call.actor)
        token = await self._sessions.new_link(person, call.actor)
        return SignInLink(url=f"{self._issuer}/console/sign-in#{token}", expires_in_seconds=int(LINK_SECONDS))
