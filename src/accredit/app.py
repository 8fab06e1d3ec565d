"""The composition root: settings → rooms → one ASGI application. The only module that knows all the others."""

import asyncio
import contextlib
import ctypes
import functools
import gc
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack

import structlog
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from accredit.agents.registration_tokens import RegistrationTokens
from accredit.agents.registry import CHANGE as AGENT_CHANGE
from accredit.agents.revocations import CHANGE as REVOCATION_CHANGE
from accredit.api.own import OwnEndpoints
from accredit.api.own_endpoint import AgentToken
from accredit.api.public_log import public_log_routes
from accredit.api.routes import api_endpoints, api_routes
from accredit.api.systems import DiscoverTools
from accredit.api.tokens import TokenEndpoints
from accredit.audit.export import export
from accredit.composition import Rooms, open_rooms
from accredit.console.routes import console_routes
from accredit.console.view import ConsoleData
from accredit.gateway.discover import discover_tools
from accredit.gateway.proxy import Gateway, Limits
from accredit.ids import new_id
from accredit.installation import Management, read_management
from accredit.keys.seal import Sealer
from accredit.oauth.consent import open_consent
from accredit.oauth.logout import open_logout
from accredit.oauth.messages import message_handlers
from accredit.oauth.pending_consent import open_pending_consent
from accredit.oauth.resources import RESOURCE_PATH
from accredit.oauth.rooms import OAuthRooms, open_oauth_rooms
from accredit.oauth.routes import authorization_server
from accredit.outbound import Outbound
from accredit.outbound.guarded import Guarded
from accredit.people.passkeys import Passkeys
from accredit.sensitive import Sensitive
from accredit.settings import Settings, load_settings
from accredit.storage.feed import PERIOD_SECONDS
from accredit.storage.forget import forget
from accredit.systems.model import System
from accredit.telemetry import begin_request, configure_logs
from accredit.tokens.transaction import TransactionTokens
from accredit.web.asgi import Application, Receive, Scope, Send
from accredit.web.health import health_routes
from accredit.workers import END_STREAMS_SIGNAL, Job, Workers

_log = structlog.get_logger("accredit.app")

FINISH_SECONDS = 20.0
FORGET_SECONDS = 60.0
DELIVER_SECONDS = 1.0
SWITCH_SECONDS = 0.0005
COLLECT_AFTER = (20_000, 20, 50)
SEQUENCE_SECONDS = 1.0


class Accredit:
    """The ASGI application of one worker process: hot paths are looked up here, the rest is Starlette's.

    `lifespan` opens the rooms from the lowest up, and closes them the other way round: no new call, streams ended,
    jobs stopped, a last checkpoint over everything, the writer drained.
    """

    def __init__(self, settings: Settings, management: Management) -> None:
        self._settings = settings
        self._management = management
        self._closing = AsyncExitStack()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._hot: Mapping[str, Application]
        self._gateway: Application
        self._pages: Application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        if scope["type"] == "http":
            begin_request()
            self._in_flight += 1
            try:
                await self._route(scope, receive, send)
            finally:
                self._in_flight -= 1
                if self._in_flight == 0:
                    self._idle.set()
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith("/gateway/"):
            await self._gateway(scope, receive, send)
        elif (endpoint := self._hot.get(path)) is not None:
            await endpoint(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    async def _finish_what_is_in_flight(self) -> None:
        """The server has stopped listening, but does not wait for requests that it has handed over."""
        self._idle.clear()
        if self._in_flight:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FINISH_SECONDS):
                    await self._idle.wait()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._open()
        except Exception as error:  # noqa: BLE001  # the outermost edge: it is logged, and nothing is served
            _log.exception("the server cannot start")
            await self._closing.aclose()
            await send({"type": "lifespan.startup.failed", "message": repr(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._finish_what_is_in_flight()
        await self._closing.aclose()
        _log.info("stopped")
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self) -> None:
        settings = self._settings
        rooms = await open_rooms(settings, self._closing)
        oauth = self._open_oauth(rooms)
        server = authorization_server(oauth)
        self._hot = server.endpoints
        rooms.outbox.handle(message_handlers(oauth))
        self._gateway, learn_tools = self._compose_gateway(rooms, oauth)
        management = await self._management_routes(rooms, oauth, learn_tools)
        data = ConsoleData(
            agents=rooms.agents,
            systems=rooms.systems,
            people=rooms.people,
            log=rooms.audit_log,
            delegations=rooms.delegations,
            consents=open_consent(oauth),
            pending=open_pending_consent(oauth),
            departures=open_logout(oauth),
        )
        passkeys = Passkeys(
            rooms.transactions, rooms.sessions, rooms.clock, new_id, Sealer(rooms.keyring.session), settings.issuer
        )
        self._pages = Starlette(
            routes=[
                *health_routes(rooms.check_heard),
                *server.routes,
                *public_log_routes(rooms.audit_log),
                *management,
                *console_routes(data, rooms.sessions, passkeys, rooms.clock, settings.issuer, rooms.sign_on),
            ]
        )
        # An address with a slash more is another one. A redirect would go to the host that the request names.
        self._pages.router.redirect_slashes = False
        if oauth.statuses is not None:
            await oauth.statuses.prepare()
        workers = Workers(_jobs(rooms, oauth))
        workers.start()
        self._closing.push_async_callback(workers.stop)

    def _open_oauth(self, rooms: Rooms) -> OAuthRooms:
        guarded = Guarded(self._settings.private_hosts)
        self._closing.callback(guarded.close)
        return open_oauth_rooms(
            settings=self._settings,
            clock=rooms.clock,
            new_id=new_id,
            keyring=rooms.keyring,
            transactions=rooms.transactions,
            group=rooms.group,
            people=rooms.people,
            systems=rooms.systems,
            agents=rooms.agents,
            revocations=rooms.revocations,
            delegations=rooms.delegations,
            hash_secret=rooms.hash_secret,
            policy=rooms.policy,
            settlement=rooms.settlement,
            guarded=guarded,
            trust=rooms.trust,
            outbox=rooms.outbox,
        )

    def _compose_gateway(self, rooms: Rooms, oauth: OAuthRooms) -> tuple[Application, DiscoverTools]:
        settings = self._settings
        outbound = Outbound(settings.upstream_connect_seconds, settings.upstream_seconds)
        self._closing.push_async_callback(outbound.close)
        discover = functools.partial(discover_tools, outbound)
        gateway = Gateway(
            issuer=settings.issuer,
            bearer=oauth.bearer,
            systems=rooms.systems,
            agents=rooms.agents,
            people=rooms.people,
            policy=rooms.policy,
            settlement=rooms.settlement,
            group=rooms.group,
            outbound=outbound,
            discover=discover,
            sealer=Sealer(rooms.keyring.session),
            clock=rooms.clock,
            new_id=new_id,
            transactions=TransactionTokens(settings.issuer, settings.trust_domain, rooms.keyring, rooms.clock),
            limits=Limits(body_bytes=settings.body_limit_bytes, answer_seconds=settings.upstream_seconds),
        )
        rooms.feed.subscribe(AGENT_CHANGE, gateway.live.end_stale)
        rooms.feed.subscribe(REVOCATION_CHANGE, gateway.live.end_revoked)
        asyncio.get_running_loop().add_signal_handler(END_STREAMS_SIGNAL, gateway.live.end_streams)

        async def learn_tools(system: System) -> None:
            await rooms.systems.learn_tools(system, await discover(system))

        return gateway, learn_tools

    async def _management_routes(self, rooms: Rooms, oauth: OAuthRooms, learn_tools: DiscoverTools) -> list[BaseRoute]:
        settings = self._settings
        administrator = await rooms.people.administrator()
        endpoints = api_endpoints(
            agents=rooms.agents,
            systems=rooms.systems,
            policy_sets=rooms.policy_sets,
            audit_log=rooms.audit_log,
            export=functools.partial(export, rooms.transactions, rooms.sequencer),
            people=rooms.people,
            sessions=rooms.sessions,
            sign_on=rooms.sign_on,
            delegations=rooms.delegations,
            issuers=rooms.trust.issuers,
            registration_tokens=RegistrationTokens(
                rooms.transactions, rooms.people, rooms.clock, new_id, rooms.hash_secret, rooms.systems.exists
            ),
            administrator=administrator,
            rotation=rooms.rotation,
            clock=rooms.clock,
            new_id=new_id,
            issuer=settings.issuer,
            discover_tools=learn_tools,
            audience_of=oauth.resources.audience,
            tokens=TokenEndpoints(oauth.token_ending, rooms.clock, new_id, _longest_seconds(settings)),
        )
        agent_token = AgentToken(oauth.bearer, rooms.group, settings.issuer, settings.issuer + RESOURCE_PATH)
        own = OwnEndpoints(agent_token, rooms.systems, rooms.policy, rooms.audit_log, rooms.people, rooms.delegations)
        return api_routes(
            endpoints,
            own=own,
            token=Sensitive(self._management.token),
            administrator=administrator,
            issuer=settings.issuer,
            body_limit_bytes=settings.body_limit_bytes,
        )


def _longest_seconds(settings: Settings) -> int:
    """How long anything that comes of a token can live."""
    return max(settings.max_session_seconds, settings.access_token_seconds, settings.delegation_seconds)


def _jobs(rooms: Rooms, oauth: OAuthRooms) -> tuple[Job, ...]:
    """The table of background jobs."""

    async def follow_changes() -> None:
        await rooms.feed.poll()
        await rooms.systems.load_if_stale()

    return (
        Job(name="feed", period_seconds=PERIOD_SECONDS, limit_seconds=5.0, run=follow_changes),
        Job(name="sequencer", period_seconds=SEQUENCE_SECONDS, limit_seconds=60.0, run=rooms.sequencer.advance),
        Job(name="forget_revocations", period_seconds=FORGET_SECONDS, limit_seconds=10.0, run=rooms.revocations.forget),
        Job(name="outbox", period_seconds=DELIVER_SECONDS, limit_seconds=60.0, run=rooms.outbox.deliver),
        *(
            ()
            if oauth.statuses is None
            else (Job(name="statuses", period_seconds=1.0, limit_seconds=10.0, run=oauth.statuses.prepare),)
        ),
        Job(name="forget_pending", period_seconds=FORGET_SECONDS, limit_seconds=10.0, run=oauth.pending.forget),
        Job(
            name="forget",
            period_seconds=FORGET_SECONDS,
            limit_seconds=10.0,
            run=functools.partial(forget, rooms.transactions, rooms.clock),
        ),
    )


def create_app() -> Application:
    """What the server loads in each worker process."""
    die_with_parent()
    # Until there are streams to end: the default would end the process.
    signal.signal(END_STREAMS_SIGNAL, signal.SIG_IGN)
    _tune_interpreter()
    configure_logs()
    settings = load_settings()
    return Accredit(settings, read_management(settings))


def _tune_interpreter() -> None:
    """Let the event loop have the interpreter back soon, and the collector look at garbage less often.

    Measured on the gateway, alternating: 2,400 to 2,450 calls/s and a p99 of 48 to 81 ms without, 2,900 to 3,100 and
    22 ms with both.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(*COLLECT_AFTER)


def die_with_parent() -> None:
    """Have the kernel end this worker when its parent dies: else `kill -9` of the server leaves it answering."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    # The parent may have died before the call.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
