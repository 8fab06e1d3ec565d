"""`/api/v1/sign-in-links`: let the administrator in to the console, once."""

import msgspec

from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.people.model import Person
from accredit.people.sessions import LINK_SECONDS, Sessions


class SignInLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that works once. Its token is in the fragment, which no server and no log sees."""

    url: str
    expires_in_seconds: int


class SignInLinkEndpoints:
    """What can be done with sign-in links."""

    def __init__(self, sessions: Sessions, administrator: Person, issuer: str) -> None:
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
                body=Nothing,
                query=Nothing,
                answer=SignInLink,
                status=201,
            ),
        )

    async def _make(self, call: Call[Nothing, Nothing]) -> SignInLink:
        del call
        token = await self._sessions.new_link(self._administrator)
        return SignInLink(url=f"{self._issuer}/console/sign-in#{token}", expires_in_seconds=int(LINK_SECONDS))
