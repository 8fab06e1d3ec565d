"""A management API to call: real rooms on a real database and a real log, served on a port of its own."""

import asyncio
import functools
import json
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest
import structlog
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from accredit.agents.credentials import hash_client_secret
from accredit.agents.registration_tokens import RegistrationTokens
from accredit.api.audit import Export
from accredit.api.endpoint import AnyEndpoint
from accredit.api.own import OwnEndpoints
from accredit.api.own_endpoint import AgentToken, AnyOwnEndpoint
from accredit.api.routes import api_endpoints, api_routes
from accredit.api.tokens import TokenEndpoints
from accredit.audit.checkpoint import LogSigner
from accredit.audit.export import export
from accredit.audit.publishers.filesystem import FilesystemPublisher
from accredit.audit.reading import AuditLog
from accredit.audit.sequencer import Sequencer
from accredit.clock import SystemClock
from accredit.errors import Unavailable
from accredit.federation.issuers import TrustedIssuers
from accredit.federation.sign_on import open_sign_on
from accredit.ids import new_id
from accredit.keys.seal import Sealer
from accredit.oauth.resources import RESOURCE_PATH, Resources
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.routes import authorization_server
from accredit.outbound import Outbound
from accredit.people.sessions import Sessions
from accredit.policy.decide import Policy
from accredit.policy.policysets import PolicySets
from accredit.policy.starter import starter_policies
from accredit.sensitive import Sensitive
from accredit.systems.model import System
from tests.keys.keyrings import a_custody, a_rotation
from tests.oauth.endpoint import oauth_rooms, settings_for
from tests.rooms import SECRET_KEY, Rooms, TestClock, open_rooms

T = TypeVar("T")

TOKEN = "mgt_test-token"
BODY_LIMIT_BYTES = 65_536
_STARTS_WITHIN_SECONDS = 20.0


class RunningClock(TestClock):
    """The machine's time: commands sign assertions with it."""

    def seconds(self) -> float:
        return SystemClock().seconds()

    def monotonic(self) -> float:
        return SystemClock().monotonic()


class ManagementServer:
    """A server in a thread of its own, with the API and the token endpoint; `call` runs a coroutine on its loop.

    `discover` is what happens when a system's tools are asked for; at first no upstream answers.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._ready: Future[None] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="api-under-test", daemon=True)
        self.rooms: Rooms
        self.oauth: OAuthRooms
        self.sessions: Sessions
        self.endpoints: tuple[AnyEndpoint, ...]
        self.own: tuple[AnyOwnEndpoint, ...]
        self.url = ""
        self.discover: Callable[[System], Coroutine[object, object, None]] = no_upstream

    def __enter__(self) -> "ManagementServer":
        # Commands run in this process too, and what they print is looked at: the server's log goes elsewhere.
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
        self._thread.start()
        self._ready.result(_STARTS_WITHIN_SECONDS)
        (self.folder / "management.json").write_text(json.dumps({"url": self.url, "token": TOKEN}))
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STARTS_WITHIN_SECONDS)
        structlog.reset_defaults()

    def call(self, act: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run a coroutine on the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(_STARTS_WITHIN_SECONDS)

    def client(self, token: str | None = TOKEN) -> httpx2.Client:
        """A client that holds this token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False)

    def export_instead(self, export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the export come from elsewhere, for the length of a test."""
        taken = next(endpoint for endpoint in self.endpoints if endpoint.path == "/api/v1/audit/export")
        owner = taken.act.__self__  # type: ignore[attr-defined]  # every `act` is a method
        monkeypatch.setattr(owner, "_export", export)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with open_rooms(self.folder, RunningClock()) as rooms:
            self.rooms = rooms
            signer = LogSigner(Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
            sequencer = Sequencer(rooms.transactions, signer, FilesystemPublisher(self.folder / "log"), rooms.clock)
            await sequencer.start()
            # asyncio switches Nagle's algorithm off only where the protocol is named: else each answer waits for 40 ms.
            with socket.socket(proto=socket.IPPROTO_TCP) as listening:
                listening.bind(("127.0.0.1", 0))
                self.url = f"http://localhost:{listening.getsockname()[1]}"
                app = Starlette(routes=await self._routes(rooms, sequencer))
                server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
                serving = asyncio.create_task(server.serve([listening]))
                while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
                    await asyncio.sleep(0.01)
                self._ready.set_result(None)
                await self._stop.wait()
                server.should_exit = True
                await serving
            await sequencer.close()

    async def _routes(self, rooms: Rooms, sequencer: Sequencer) -> list[BaseRoute]:
        policy = Policy(rooms.group, rooms.clock, new_id, lambda: rooms.feed.applied, starter_policies())
        resources = Resources(self.url, rooms.systems)
        self.oauth = oauth = oauth_rooms(rooms, settings_for(self.folder, issuer=self.url))
        administrator = await rooms.people.administrator()
        self.sessions = Sessions(rooms.transactions, rooms.clock, new_id)
        self.endpoints = api_endpoints(
            agents=rooms.agents,
            systems=rooms.systems,
            policy_sets=PolicySets(rooms.transactions, policy, rooms.clock, new_id, rooms.systems),
            audit_log=AuditLog(rooms.transactions, sequencer),
            export=lambda: export(rooms.transactions, sequencer),
            people=rooms.people,
            sessions=self.sessions,
            registration_tokens=RegistrationTokens(
                rooms.transactions,
                rooms.people,
                rooms.clock,
                new_id,
                functools.partial(hash_client_secret, SECRET_KEY),
                rooms.systems.exists,
            ),
            sign_on=open_sign_on(
                transactions=rooms.transactions,
                feed=rooms.feed,
                sealer=Sealer(bytes(32)),
                attempt_sealer=Sealer(bytes(32)),
                clock=rooms.clock,
                new_id=new_id,
                outbound=Outbound(),
                base=self.url,
            ),
            delegations=rooms.delegations,
            issuers=TrustedIssuers(rooms.transactions, rooms.feed, rooms.agents, rooms.clock, new_id, self.url),
            administrator=administrator,
            rotation=a_rotation(rooms, rooms.keyring, a_custody()),
            clock=rooms.clock,
            new_id=new_id,
            issuer=self.url,
            discover_tools=self._discover,
            audience_of=resources.audience,
            tokens=TokenEndpoints(oauth.token_ending, rooms.clock, new_id, 3_600),
        )
        own = OwnEndpoints(
            AgentToken(oauth.bearer, rooms.group, self.url, self.url + RESOURCE_PATH),
            rooms.systems,
            policy,
            AuditLog(rooms.transactions, sequencer),
            rooms.people,
            rooms.delegations,
        )
        self.own = own.endpoints()
        return [
            *api_routes(
                self.endpoints,
                own=own,
                token=Sensitive(TOKEN),
                administrator=administrator,
                issuer=self.url,
                body_limit_bytes=BODY_LIMIT_BYTES,
            ),
            *self._oauth_routes(oauth),
        ]

    async def _discover(self, system: System) -> None:
        await self.discover(system)

    def _oauth_routes(self, oauth: OAuthRooms) -> list[BaseRoute]:
        server = authorization_server(oauth)
        return [*(Route(path, endpoint) for path, endpoint in server.endpoints.items()), *server.routes]


async def no_upstream(system: System) -> None:
    """What discovery does when nothing listens at the upstream."""
    raise Unavailable(f"{system.upstream} does not answer", next_step="start it")


def manifest(name: str) -> str:
    """A system of its own name, with one operation to read and one to write."""
    return f"""\
name = "{name}"
title = "System {name}"
kind = "crm"
protocol = "mcp"
upstream = "http://127.0.0.1:9/mcp"
sensitivity = 2
data = ["personal"]

[[operations]]
action = "{name}.contacts.search"
effect = "read"
tool = "search_contacts"
scope = "{name}:contacts.read"

[[operations]]
action = "{name}.contacts.create"
effect = "write"
tool = "create_contact"
scope = "{name}:contacts.write"
"""
