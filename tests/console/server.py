"""A console to look at: real rooms on a real database, real events in a real log, served on a port of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from accredit.audit.checkpoint import LogSigner
from accredit.audit.event import AuditEvent
from accredit.audit.publishers.filesystem import FilesystemPublisher
from accredit.audit.reading import AuditLog
from accredit.audit.sequencer import Sequencer
from accredit.clock import SystemClock, rfc3339
from accredit.console.routes import console_routes
from accredit.console.view import ConsoleData
from accredit.federation.sign_on import SignOn, open_sign_on
from accredit.ids import EventId, new_id
from accredit.keys.seal import Sealer
from accredit.oauth.consent import open_consent
from accredit.oauth.logout import open_logout
from accredit.oauth.pending_consent import open_pending_consent
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.routes import authorization_server
from accredit.outbound import Outbound
from accredit.people.passkeys import Passkeys
from accredit.people.sessions import Sessions
from tests.oauth.endpoint import Served, oauth_rooms, settings_for
from tests.rooms import Rooms, TestClock, open_rooms

T = TypeVar("T")

SEALING_KEY = bytes(range(32, 64))
_STARTS_WITHIN_SECONDS = 20.0


class _AnnouncedServer(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class ConsoleServer:
    """A server in a thread of its own; `call` runs a coroutine on its loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._ready: Future[None] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="console-under-test", daemon=True)
        self.clock = TestClock(SystemClock().seconds())
        self.rooms: Rooms
        self.sessions: Sessions
        self.passkeys: Passkeys
        self.sign_on: SignOn
        self.oauth: OAuthRooms
        self.sequencer: Sequencer
        self.log: AuditLog
        self.origin = ""

    def __enter__(self) -> "ConsoleServer":
        self._thread.start()
        self._ready.result(_STARTS_WITHIN_SECONDS)
        return self

    def __exit__(self, *exception: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STARTS_WITHIN_SECONDS)

    def call(self, act: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run a coroutine on the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(_STARTS_WITHIN_SECONDS)

    def link(self) -> str:
        """A fresh one-time link of the administrator."""

        async def make() -> str:
            return await self.sessions.new_link(await self.rooms.people.administrator())

        return f"{self.origin}/console/sign-in#{self.call(make)}"

    def record(self, kind: str, **members: object) -> int:
        """Record an event as the hot path does, under a checkpoint; returns its number."""
        event = AuditEvent(
            id=EventId(new_id("evt")),
            time=rfc3339(self.clock.seconds()),
            type=kind,
            **members,  # type: ignore[arg-type]  # the names are AuditEvent's own
        )

        async def add() -> int:
            recorded = await self.rooms.group.add(event)
            await self.sequencer.advance()
            return recorded.seq

        return self.call(add)

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
        async with open_rooms(self._folder, self.clock) as rooms:
            self.rooms = rooms
            self.sessions = Sessions(rooms.transactions, self.clock, new_id)
            signer = LogSigner(Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
            publisher = FilesystemPublisher(self._folder / "log")
            self.sequencer = Sequencer(rooms.transactions, signer, publisher, self.clock)
            await self.sequencer.start()
            self.log = AuditLog(rooms.transactions, self.sequencer)
            listening = socket.socket()
            listening.bind(("127.0.0.1", 0))
            self.origin = f"http://localhost:{listening.getsockname()[1]}"
            self.passkeys = Passkeys(
                rooms.transactions, self.sessions, self.clock, new_id, Sealer(SEALING_KEY), self.origin
            )
            self.oauth = oauth_rooms(
                rooms,
                settings_for(
                    self._folder, issuer=self.origin, private_hosts=("127.0.0.1",), open_client_systems=("*",)
                ),
            )
            data = ConsoleData(
                agents=rooms.agents,
                systems=rooms.systems,
                people=rooms.people,
                log=self.log,
                delegations=rooms.delegations,
                consents=open_consent(self.oauth),
                pending=open_pending_consent(self.oauth),
                departures=open_logout(self.oauth),
            )
            outbound = Outbound()
            self.sign_on = open_sign_on(
                transactions=rooms.transactions,
                feed=rooms.feed,
                sealer=Sealer(SEALING_KEY),
                attempt_sealer=Sealer(SEALING_KEY),
                clock=self.clock,
                new_id=new_id,
                outbound=outbound,
                base=self.origin,
            )
            routes = console_routes(data, self.sessions, self.passkeys, self.clock, self.origin, self.sign_on)
            server_of_oauth = authorization_server(self.oauth)
            app = Served(replace(server_of_oauth, routes=[*server_of_oauth.routes, *routes]))
            server = _AnnouncedServer(uvicorn.Config(app, log_level="error", lifespan="off"))
            serving = asyncio.create_task(server.serve([listening]))
            await server.up.wait()
            self._ready.set_result(None)
            await self._stop.wait()
            server.should_exit = True
            await serving
            await outbound.close()
            await self.sequencer.close()
