"""RP-Initiated Logout 1.0: a client asks that the person signs out here, and where they go after.

Nothing is ended by the request itself: the console asks the person, so that no page elsewhere can sign anybody out.
"""

from urllib.parse import urlencode, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from accredit.agents.model import Agent, AgentStatus
from accredit.agents.registry import Agents
from accredit.canonical import base64url, from_base64url
from accredit.clock import Clock
from accredit.errors import InputRefused, Unavailable
from accredit.keys.seal import Sealer
from accredit.oauth.error_page import error_page
from accredit.oauth.errors import InvalidRequest, TemporarilyUnavailable
from accredit.oauth.rooms import OAuthRooms
from accredit.tokens.errors import InvalidToken
from accredit.tokens.identity import IdTokens
from accredit.web.asgi import Disconnected, read_body
from accredit.web.forms import FORM_LIMIT_BYTES, parse_form

PATH = "/oauth/logout"
_SIGN_OUT = "/console/sign-out"
_CONTEXT = "logout"
_SECONDS = 600
_SEE_OTHER = 303
_HEADERS = {"Cache-Control": "no-store"}
_LIMIT = 8_192
_STATE = 512
_FORM = b"application/x-www-form-urlencoded"


class _Departure(msgspec.Struct, frozen=True):
    """Where the browser goes when the person has signed out; sealed, so that nobody else names an address."""

    url: str
    expires_at: float


class LogoutRefused(InputRefused):
    """The request names a client or an address that do not belong together; nothing is redirected."""

    code = "logout_refused"


def open_logout(rooms: OAuthRooms) -> "Logout":
    """As the server is wired."""
    return Logout(rooms.agents, rooms.id_tokens, Sealer(rooms.keyring.authorization), rooms.clock)


class Logout:
    """The endpoint, and what the console asks of it."""

    def __init__(self, agents: Agents, id_tokens: IdTokens, sealer: Sealer, clock: Clock) -> None:
        self._agents = agents
        self._id_tokens = id_tokens
        self._sealer = sealer
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """GET and POST (§2)."""
        return [Route(PATH, self._endpoint, methods=["GET", "POST"])]

    def destination(self, sealed: str) -> str | None:
        """Where to go after signing out; None if the text is not ours or its time is over."""
        try:
            plain = self._sealer.open(from_base64url(sealed[:_LIMIT]), _CONTEXT)
            departure = msgspec.json.decode(plain, type=_Departure)
        except (InputRefused, Unavailable, msgspec.MsgspecError):
            return None
        return departure.url if self._clock.seconds() < departure.expires_at else None

    async def _endpoint(self, request: Request) -> Response:
        try:
            url = await self._check(await _parameters(request))
        except InputRefused as error:
            # A browser came here: it is shown a page, and sent nowhere.
            return error_page(InvalidRequest(error.explanation, next_step=error.next_step, detail=error.detail))
        except Unavailable:
            return error_page(TemporarilyUnavailable("signing out for a client does not work now"))
        except Disconnected:
            return Response(status_code=400)
        if url is None:
            return RedirectResponse(_SIGN_OUT, _SEE_OTHER, _HEADERS)
        departure = _Departure(url, self._clock.seconds() + _SECONDS)
        after = base64url(self._sealer.seal(msgspec.json.encode(departure), _CONTEXT))
        return RedirectResponse(f"{_SIGN_OUT}?{urlencode({'after': after})}", _SEE_OTHER, _HEADERS)

    async def _check(self, form: dict[str, str]) -> str | None:
        """The address to go to, with `state`; None if none was asked for. Raises LogoutRefused."""
        client_id = form.get("client_id")
        if (hint := form.get("id_token_hint")) is not None:
            try:
                claims = self._id_tokens.read(hint, expired=True)
            except InvalidToken as error:
                raise LogoutRefused("the id_token_hint is not one of ours", next_step="leave it out") from error
            if client_id not in (None, claims.aud):
                raise LogoutRefused("client_id and id_token_hint name two clients", next_step="send one of them")
            client_id = claims.aud
        uri = form.get("post_logout_redirect_uri")
        if uri is None:
            return None
        agent = None if client_id is None else await self._agents.of_client(client_id)
        # §2: exactly one that was registered; without a client there is nothing that it could be compared with.
        if not _leads_back(agent, uri):
            raise LogoutRefused(
                "the post_logout_redirect_uri is not registered for this client",
                next_step="register it, and send id_token_hint or client_id",
            )
        state = form.get("state")
        if state is None:
            return uri
        if len(state) > _STATE or not state.isprintable():
            raise LogoutRefused(f"state is longer than {_STATE}, or has a character that is not seen")
        return f"{uri}{'&' if urlsplit(uri).query else '?'}{urlencode({'state': state})}"


def _leads_back(agent: Agent | None, uri: str) -> bool:
    if agent is None or agent.client is None or agent.status is not AgentStatus.ACTIVE:
        return False
    return uri in agent.client.post_logout_redirect_uris


async def _parameters(request: Request) -> dict[str, str]:
    """Of the query or of the form; each once. Raises InputRefused."""
    if request.method == "GET":
        query = request.url.query
        return parse_form(query.encode(), _FORM) if query else {}
    body = await read_body(request.receive, request.scope["headers"], FORM_LIMIT_BYTES)
    return parse_form(body, request.headers.get("content-type", "").encode("latin-1"))
