"""Userinfo (OpenID Connect Core §5.3): what the bearer of a token with the scope `openid` may know of the person."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from accredit.audit.group import Group
from accredit.errors import Unavailable
from accredit.ids import PersonId
from accredit.oauth.resources import RESOURCE_PATH
from accredit.oauth.rooms import OAuthRooms
from accredit.people.directory import People
from accredit.storage.writer import UsedBefore
from accredit.tokens.errors import InvalidToken, NonceNeeded, ProofInvalid
from accredit.web.bearer import Bearer, scope_challenge

PATH = "/oauth/userinfo"
_HEADERS = {"Cache-Control": "no-store"}


class _Userinfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    sub: str
    name: str = ""
    email: str = ""


def open_userinfo(rooms: OAuthRooms) -> "Userinfo":
    """As the server is wired."""
    return Userinfo(rooms.bearer, rooms.people, rooms.group, rooms.issuer)


class Userinfo:
    """The endpoint. The token's audience is the issuer itself: a token for a system tells nothing here."""

    def __init__(self, bearer: Bearer, people: People, group: Group, issuer: str) -> None:
        self._bearer = bearer
        self._group = group
        self._people = people
        self._issuer = issuer
        self._metadata = issuer + RESOURCE_PATH

    def routes(self) -> list[BaseRoute]:
        """GET and POST (§5.3.1)."""
        return [Route(PATH, self._endpoint, methods=["GET", "POST"])]

    async def _endpoint(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except InvalidToken as error:
            return self._challenge(error)
        except Unavailable:
            return Response(status_code=503, headers=_HEADERS)

    async def _answer(self, request: Request) -> Response:
        """Raises InvalidToken, Unavailable."""
        caller = await self._bearer.authenticate(request.scope, self._issuer)
        if caller.once:
            try:
                await self._group.use(caller.once)
            except UsedBefore as error:
                raise ProofInvalid("the DPoP proof was used before", next_step="make a new one") from error
        headers = {**_HEADERS, **{name.decode(): value.decode() for name, value in self._bearer.nonce_for(caller)}}
        person = caller.evidence.person
        found = None if person is None else await self._people.get(PersonId(person))
        if found is None or "openid" not in caller.scopes:
            scheme = "DPoP" if caller.confirmation is not None and caller.confirmation.jkt is not None else "Bearer"
            headers["WWW-Authenticate"] = scope_challenge("openid", self._metadata, scheme)
            return Response(status_code=403, headers=headers)
        # An address here was given by an administrator or by a provider that answers for it, not by the person.
        answer = _Userinfo(
            sub=found.id,
            name=found.name if "profile" in caller.scopes else "",
            email=found.email if "email" in caller.scopes else "",
        )
        return Response(msgspec.json.encode(answer), headers=headers, media_type="application/json")

    def _challenge(self, error: InvalidToken) -> Response:
        response = Response(status_code=401, headers=_HEADERS)
        response.raw_headers.extend(self._bearer.challenges(error, self._metadata))
        if isinstance(error, NonceNeeded):
            response.headers["DPoP-Nonce"] = error.nonce
        return response
