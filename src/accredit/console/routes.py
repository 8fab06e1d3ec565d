"""The console's addresses, one line each, and the guard before every page."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import structlog
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from accredit.clock import Clock
from accredit.console.assets import Assets
from accredit.console.code_limit import CodeLimit
from accredit.console.headers import ConsoleHeaders
from accredit.console.pages import passkeys as passkey_pages
from accredit.console.pages import sign_on as sign_on_pages
from accredit.console.pages.account import ACCOUNT, account, end_other_sessions, end_session
from accredit.console.pages.agent import agent
from accredit.console.pages.agents import agents
from accredit.console.pages.audit import audit
from accredit.console.pages.checkpoint import checkpoint, note
from accredit.console.pages.consent import answer, consent
from accredit.console.pages.delegations import delegations, end_delegation
from accredit.console.pages.device import device, enter_code
from accredit.console.pages.event import event, proof
from accredit.console.pages.home import home
from accredit.console.pages.people import people
from accredit.console.pages.person import person
from accredit.console.pages.requests import answer_request, request, request_done, requests
from accredit.console.pages.sign_in import sign_in, sign_in_page
from accredit.console.pages.sign_out import sign_out, sign_out_page
from accredit.console.pages.system import system
from accredit.console.pages.systems import systems
from accredit.console.rendering import Templates
from accredit.console.session import REFRESH_HEADER, SignInAgain, cookie_of, sign_in_path
from accredit.console.site import Site, Visit
from accredit.console.view import ConsoleData
from accredit.errors import Conflict, Error, InputRefused, NotAuthenticated, NotFound, NotPermitted
from accredit.federation.sign_on import SignOn
from accredit.people.directory import ADMINISTRATOR
from accredit.people.passkeys import Passkeys
from accredit.people.sessions import Sessions

_log = structlog.get_logger("accredit.console")

Page = Callable[[Site, Visit], Awaitable[Response]]
OpenPage = Callable[[Site, Request], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]

_STATUS: tuple[tuple[type[Error], int], ...] = (
    (InputRefused, 400),
    (NotAuthenticated, 401),
    (NotPermitted, 403),
    (NotFound, 404),
    (Conflict, 409),
)
_SEE_OTHER = 303
_LOOPBACK = ("127.0.0.1", "::1")


def console_routes(
    data: ConsoleData,
    sessions: Sessions,
    passkeys: Passkeys,
    clock: Clock,
    issuer: str,
    sign_on: SignOn | None = None,
) -> list[BaseRoute]:
    """Everything at /console. `issuer` is the installation's own address, as `http://localhost:8400`."""
    parts = urlsplit(issuer)
    site = Site(
        data=data,
        sessions=sessions,
        passkeys=passkeys,
        clock=clock,
        origin=f"{parts.scheme}://{parts.netloc}",
        templates=Templates(),
        assets=Assets(),
        codes=CodeLimit(clock),
        sign_on=sign_on,
    )

    def page(path: str, show: Page) -> Route:
        return Route(path, _guarded(site, show), methods=["GET"])

    def own(path: str, show: Page, method: str = "GET") -> Route:
        return Route(path, _personal(site, show), methods=[method])

    inside = [
        Route("/static/{version}/{name}", site.assets.serve, methods=["GET"]),
        Route("/sign-in", _open(site, sign_in_page), methods=["GET"]),
        Route("/sign-in", _open(site, sign_in), methods=["POST"]),
        Route("/sign-in/find", _open(site, sign_on_pages.find), methods=["POST"]),
        Route("/sign-in/with/{name}", _open(site, sign_on_pages.begin), methods=["GET"]),
        Route("/sign-in/callback/{name}", _open(site, sign_on_pages.callback), methods=["GET"]),
        Route("/sign-in/saml/{name}", _open(site, sign_on_pages.assertion), methods=["POST"]),
        Route("/sign-in/saml/{name}/metadata", _open(site, sign_on_pages.metadata), methods=["GET"]),
        Route("/sign-in/leave/{name}", _open(site, sign_on_pages.leave), methods=["GET"]),
        Route("/sign-in/passkey/options", _open(site, passkey_pages.sign_in_options), methods=["POST"]),
        Route("/sign-in/passkey", _open(site, passkey_pages.sign_in_with_passkey), methods=["POST"]),
        Route("/sign-out", _open(site, sign_out_page), methods=["GET"]),
        Route("/sign-out", _open(site, sign_out), methods=["POST"]),
        own("/account", account),
        own("/account/sessions/end", end_session, "POST"),
        own("/account/sessions/end-others", end_other_sessions, "POST"),
        own("/account/passkeys/options", passkey_pages.add_options, "POST"),
        own("/account/passkeys/add", passkey_pages.add, "POST"),
        own("/account/passkeys/rename", passkey_pages.rename, "POST"),
        own("/account/passkeys/remove", passkey_pages.remove, "POST"),
        Route("/consent", _open(site, consent), methods=["GET"]),
        Route("/consent", _open(site, answer), methods=["POST"]),
        own("/delegations", delegations),
        own("/delegations/end", end_delegation, "POST"),
        own("/device", device),
        own("/device", enter_code, "POST"),
        own("/requests", requests),
        own("/requests/done", request_done),
        own("/requests/{reference}", request),
        own("/requests/{reference}", answer_request, "POST"),
        own("/", _home),
        page("/agents", agents),
        page("/agents/{agent}", agent),
        page("/people", people),
        page("/people/{person}", person),
        page("/systems", systems),
        page("/systems/{system}", system),
        page("/audit", audit),
        page("/audit/{seq}", event),
        page("/audit/{seq}/proof.json", proof),
        page("/checkpoint", checkpoint),
        page("/checkpoint/note.json", note),
        # Under our headers too: what is not here, and a method that no page takes.
        Route("/{path:path}", _personal(site, _nothing_here), methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]
    headers = [Middleware(ConsoleHeaders)]
    return [
        Route("/console", _personal(site, _home), methods=["GET"], middleware=headers),
        Mount("/console", routes=inside, middleware=headers),
    ]


def _guarded(site: Site, page: Page) -> Endpoint:
    """Let only administrators in."""

    async def check(site: Site, visit: Visit) -> Response:
        if ADMINISTRATOR not in visit.session.person.roles:
            raise NotPermitted("only an administrator may open this page", next_step="ask one for what you need")
        return await page(site, visit)

    return _personal(site, check)


def _personal(site: Site, page: Page) -> Endpoint:
    """Let everybody in who is signed in; others are shown how, and come back to this page."""

    async def visit(site: Site, request: Request) -> Response:
        cookie_token = cookie_of(request)
        if cookie_token is None:
            return RedirectResponse(sign_in_path(request), status_code=_SEE_OTHER)
        session = await site.sessions.find(cookie_token, active=REFRESH_HEADER not in request.headers)
        if session is None:
            return RedirectResponse(sign_in_path(request, "ended"), status_code=_SEE_OTHER)
        return await page(site, Visit(request, session, cookie_token))

    return _open(site, visit)


async def _home(site: Site, visit: Visit) -> Response:
    """An administrator's overview; for everybody else their own page."""
    if ADMINISTRATOR in visit.session.person.roles:
        return await home(site, visit)
    return RedirectResponse(ACCOUNT, status_code=_SEE_OTHER)


def _open(site: Site, page: OpenPage) -> Endpoint:
    """Answer an error with a page that says what went wrong and what to do."""

    async def endpoint(request: Request) -> Response:
        if _is_loopback_address(request, site):
            # Passkeys and the cookie belong to a name: `localhost` works, an IP address does not.
            target = site.origin + request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(target, status_code=307)
        try:
            return await page(site, request)
        except SignInAgain as error:
            again = sign_in_path(request, "again", error.back)
            if request.method == "GET":
                return RedirectResponse(again, status_code=_SEE_OTHER)
            return site.bare("problem.html", status=403, error=error, way_out=(again, "Sign in again"))
        except Error as error:
            status = next((status for kind, status in _STATUS if isinstance(error, kind)), 503)
            _log.info("page refused", path=request.url.path, code=error.code, detail=error.detail)
            return site.bare("problem.html", status=status, error=error)

    return endpoint


async def _nothing_here(site: Site, visit: Visit) -> Response:
    del site, visit
    raise NotFound("there is no page at this address", next_step="start again from Home")


def _is_loopback_address(request: Request, site: Site) -> bool:
    return (
        request.method == "GET" and request.url.hostname in _LOOPBACK and urlsplit(site.origin).hostname == "localhost"
    )
