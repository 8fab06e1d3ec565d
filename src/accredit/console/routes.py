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
from accredit.console.headers import ConsoleHeaders
from accredit.console.pages.agent import agent
from accredit.console.pages.agents import agents
from accredit.console.pages.audit import audit
from accredit.console.pages.checkpoint import checkpoint, note
from accredit.console.pages.event import event, proof
from accredit.console.pages.home import home
from accredit.console.pages.sign_in import sign_in, sign_in_page, sign_out
from accredit.console.pages.system import system
from accredit.console.pages.systems import systems
from accredit.console.rendering import Templates
from accredit.console.session import REFRESH_HEADER, cookie_of
from accredit.console.site import Site, Visit
from accredit.console.view import ConsoleData
from accredit.errors import Conflict, Error, InputRefused, NotAuthenticated, NotFound, NotPermitted
from accredit.people.directory import ADMINISTRATOR
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
_LOOPBACK = ("127.0.0.1", "::1")


def console_routes(data: ConsoleData, sessions: Sessions, clock: Clock, issuer: str) -> list[BaseRoute]:
    """Everything at /console. `issuer` is the installation's own address, as `http://localhost:8400`."""
    parts = urlsplit(issuer)
    site = Site(
        data=data,
        sessions=sessions,
        clock=clock,
        origin=f"{parts.scheme}://{parts.netloc}",
        templates=Templates(),
        assets=Assets(),
    )

    def page(path: str, show: Page) -> Route:
        return Route(path, _guarded(site, show), methods=["GET"])

    inside = [
        Route("/static/{version}/{name}", site.assets.serve, methods=["GET"]),
        Route("/sign-in", _open(site, sign_in_page), methods=["GET"]),
        Route("/sign-in", _open(site, sign_in), methods=["POST"]),
        Route("/sign-out", _guarded(site, sign_out), methods=["POST"]),
        page("/", home),
        page("/agents", agents),
        page("/agents/{agent}", agent),
        page("/systems", systems),
        page("/systems/{system}", system),
        page("/audit", audit),
        page("/audit/{seq}", event),
        page("/audit/{seq}/proof.json", proof),
        page("/checkpoint", checkpoint),
        page("/checkpoint/note.json", note),
        # Under our headers too: what is not here, and a method that no page takes.
        Route("/{path:path}", _guarded(site, _nothing_here), methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]
    headers = [Middleware(ConsoleHeaders)]
    return [
        Route("/console", _guarded(site, home), methods=["GET"], middleware=headers),
        Mount("/console", routes=inside, middleware=headers),
    ]


def _guarded(site: Site, page: Page) -> Endpoint:
    """Let only those in who are signed in; others are shown how."""

    async def visit(site: Site, request: Request) -> Response:
        cookie_token = cookie_of(request)
        if cookie_token is None:
            return RedirectResponse("/console/sign-in", status_code=303)
        session = await site.sessions.find(cookie_token, active=REFRESH_HEADER not in request.headers)
        if session is None:
            return RedirectResponse("/console/sign-in?ended", status_code=303)
        if ADMINISTRATOR not in session.person.roles:
            raise NotPermitted("only an administrator may open the console", next_step="ask one for what you need")
        return await page(site, Visit(request, session, cookie_token))

    return _open(site, visit)


def _open(site: Site, page: OpenPage) -> Endpoint:
    """Answer an error with a page that says what went wrong and what to do."""

    async def endpoint(request: Request) -> Response:
        if _is_loopback_address(request, site):
            # Passkeys and the cookie belong to a name: `localhost` works, an IP address does not.
            target = site.origin + request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(target, status_code=307)
        try:
            return await page(site, request)
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
