"""The authorization endpoint (RFC 6749 §3.1): parse → the steps → seal → to the page where the person is asked.

Nothing is written for a stranger: the request is carried by the browser, sealed, and checked again when it is
answered. Until client and redirect URI are proved an error is shown here, and nobody is redirected.
"""

from collections.abc import Mapping

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from accredit.clock import Clock
from accredit.errors import InputRefused, Unavailable
from accredit.ids import NewId
from accredit.oauth.clients import Clients
from accredit.oauth.codes import REQUEST_SECONDS, SealedRequest, Seals, open_seals
from accredit.oauth.error_page import error_page
from accredit.oauth.errors import InvalidRequest, OAuthError, TemporarilyUnavailable
from accredit.oauth.pushed import PushedRequests
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.step import AuthorizationRequest, Leg, RequestRefused, error_url
from accredit.oauth.steps import STEPS, Parts
from accredit.web.forms import FORM_LIMIT_BYTES, parse_form

PATH = "/oauth/authorize"
CONSENT = "/console/consent"
PARAMETERS = frozenset(
    (
        "response_type",
        "response_mode",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "resource",
        "authorization_details",
        "nonce",
        "prompt",
        "max_age",
        "acr_values",
        "login_hint",
        "dpop_jkt",
        "request",
        "request_uri",
    )
)
"""What is read; any other parameter is ignored (RFC 6749 §3.1), and goes no further than here."""

# What a browser and everything before us carry in one line. A longer request is pushed.
URL_LIMIT = 6_000
_FORM = b"application/x-www-form-urlencoded"
_LOOPBACK = ("http://127.0.0.1", "http://[::1]", "http://localhost")
_SEE_OTHER = 303
_log = structlog.get_logger("accredit.oauth")


class Checks:
    """Takes a request through the steps of its leg."""

    def __init__(self, parts: Parts, clock: Clock) -> None:
        self._clock = clock
        self._steps = tuple((row.make(parts), row.legs) for row in STEPS)

    async def check(
        self,
        leg: Leg,
        parameters: Mapping[str, str],
        *,
        made_at: float | None = None,
        is_pushed: bool = False,
    ) -> AuthorizationRequest:
        """The request, checked. Raises RequestRefused."""
        request = AuthorizationRequest(
            leg=leg,
            made_at=self._clock.seconds() if made_at is None else made_at,
            parameters={name: value for name, value in parameters.items() if name in PARAMETERS},
            is_pushed=is_pushed,
        )
        for step, legs in self._steps:
            if leg not in legs:
                continue
            try:
                request = await step(request)
            except OAuthError as error:
                raise RequestRefused(error, request) from error
            except (Unavailable, TimeoutError) as error:
                _log.error("a request cannot be checked", error=repr(error))
                raise RequestRefused(_unavailable(), request) from error
        return request


class AuthorizeEndpoint:
    """GET and POST (OpenID Connect Core §3.1.2.1)."""

    def __init__(self, checks: Checks, seals: Seals, pushed: PushedRequests, issuer: str, new_id: NewId) -> None:
        self._checks = checks
        self._seals = seals
        self._pushed = pushed
        self._issuer = issuer
        self._new_id = new_id

    def routes(self) -> list[BaseRoute]:
        """The one address."""
        return [Route(PATH, self._endpoint, methods=["GET", "POST"])]

    async def _endpoint(self, request: Request) -> Response:
        try:
            checked = await self._checks.check(Leg.AUTHORIZE, await _parameters(request))
            return RedirectResponse(await self._ask(checked), _SEE_OTHER, {"Cache-Control": "no-store"})
        except RequestRefused as refused:
            return self._refuse(refused)
        except InputRefused as error:
            return error_page(InvalidRequest(error.explanation, next_step=error.next_step, detail=error.detail))
        except Exception:  # noqa: BLE001  # the outermost edge: fail closed, tell a stranger nothing
            _log.exception("authorization endpoint failed")
            return error_page(_unavailable())

    async def _ask(self, checked: AuthorizationRequest) -> str:
        """The page of consent for this request; one that was pushed may be longer than a URL. Raises RequestRefused."""
        sealed = self._seals.seal_request(
            SealedRequest(
                id=self._new_id("req"),
                made_at=checked.made_at,
                parameters=dict(checked.parameters),
                is_pushed=checked.is_pushed,
            )
        )
        if len(sealed) <= URL_LIMIT:
            return f"{CONSENT}?request={sealed}"
        if not checked.is_pushed:
            # Nothing is written for a stranger.
            long = InvalidRequest("the request is too long", next_step="push it to /oauth/par (RFC 9126)")
            raise RequestRefused(long, checked)
        try:
            reference = await self._pushed.carry(checked.client.client_id, sealed, REQUEST_SECONDS)
        except Unavailable as error:
            raise RequestRefused(_unavailable(), checked) from error
        return f"{CONSENT}?request={reference}"

    def _refuse(self, refused: RequestRefused) -> Response:
        error, request = refused.error, refused.request
        _log.info("authorization refused", code=error.code, detail=error.detail)
        if not request.redirect_uri:
            return error_page(error)
        url = error_url(request, self._issuer, error)
        if may_be_sent_on(request):
            return RedirectResponse(url, _SEE_OTHER, {"Cache-Control": "no-store"})
        return error_page(error, onward=url, host=request.client.host or "")


def may_be_sent_on(request: AuthorizationRequest) -> bool:
    """Whether the browser may be redirected before a person was asked anything.

    RFC 9700 §4.11.2: a client that nobody here knows could have any page as its redirect URI, and an error that it
    provokes would lead there. Such a page is named, and the person goes there or not; this machine itself is safe.
    """
    if request.client.agent is not None:
        return True
    return request.redirect_uri.startswith(tuple(f"{host}{end}" for host in _LOOPBACK for end in ":/"))


async def _parameters(request: Request) -> dict[str, str]:
    """Of the query, or of the form; each once, and without empty ones. Raises InputRefused."""
    if request.method == "GET":
        query: bytes = request.scope["query_string"]
        if len(query) > FORM_LIMIT_BYTES:
            raise InputRefused("the request is too long", next_step="push it (RFC 9126)")
        return parse_form(query, _FORM)
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > FORM_LIMIT_BYTES:
                raise InputRefused("the form is too long", next_step="push the request (RFC 9126)")
    except ClientDisconnect as error:
        raise InputRefused("the form did not arrive") from error
    return parse_form(body, request.headers.get("content-type", "").encode("latin-1"))


def _unavailable() -> TemporarilyUnavailable:
    return TemporarilyUnavailable("the server cannot answer now", next_step="try again in a few seconds")


def open_clients(rooms: OAuthRooms) -> Clients:
    """As the server is wired."""
    return Clients(rooms.agents, rooms.client_documents, rooms.settings)


def open_checks(rooms: OAuthRooms) -> Checks:
    """As the server is wired."""
    parts = Parts(
        clients=open_clients(rooms),
        pushed=PushedRequests(rooms.transactions, rooms.clock),
        resources=rooms.resources,
        pushed_is_required=rooms.settings.pushed_requests,
    )
    return Checks(parts, rooms.clock)


def open_authorize(rooms: OAuthRooms) -> AuthorizeEndpoint:
    """As the server is wired."""
    pushed = PushedRequests(rooms.transactions, rooms.clock)
    return AuthorizeEndpoint(open_checks(rooms), open_seals(rooms), pushed, rooms.issuer, rooms.new_id)
