"""The composition root: settings → rooms → one ASGI application. The only module that knows all the others."""

import asyncio
import ctypes
import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from accredit.agents.credentials import hash_client_secret
from accredit.agents.registry import Agents
from accredit.api.routes import api_routes
from accredit.audit.checkpoint import LogSigner
from accredit.audit.group import Group
from accredit.audit.publishers.filesystem import FilesystemPublisher
from accredit.audit.reading import AuditLog
from accredit.audit.sequencer import Sequencer
from accredit.clock import SystemClock
from accredit.console.routes import console_routes
from accredit.console.view import ConsoleData
from accredit.gateway.discover import discover_tools
from accredit.gateway.live import LiveStreams
from accredit.gateway.proxy import Gateway
from accredit.ids import new_id
from accredit.installation import Management, open_unsealer, read_management, take_over_log
from accredit.keys.keyring import open_keyring
from accredit.keys.seal import Sealer
from accredit.oauth.client_auth import ClientAuthentication
from accredit.oauth.client_auths import CLIENT_AUTHS
from accredit.oauth.discovery import RESOURCE_PATH, SERVER_PATH, Discovery
from accredit.oauth.grants import make_grants
from accredit.oauth.resources import Resources
from accredit.oauth.token import TokenEndpoint
from accredit.outbound import Outbound
from accredit.people.directory import People
from accredit.people.sessions import Sessions
from accredit.policy.decide import Policy
from accredit.policy.policysets import PolicySets
from accredit.policy.settle import Settlement
from accredit.policy.starter import starter_policies
from accredit.settings import Settings, load_settings
from accredit.storage.db import Database
from accredit.storage.feed import PERIOD_SECONDS, Feed
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Writer
from accredit.systems.registry import CHANGE as SYSTEM_CHANGE
from accredit.systems.registry import Systems
from accredit.telemetry import configure_logs
from accredit.tokens.issue import Issuer
from accredit.tokens.verify import Verifier
from accredit.web.asgi import Application, Receive, Scope, Send
from accredit.web.bearer import Bearer
from accredit.workers import Job, Workers

_log = structlog.get_logger("accredit.app")

FORGET_SECONDS = 60.0
TOOLS_REFRESH_SECONDS = 3_600.0
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
        self._token: Application
        self._gateway: Application
        self._pages: Application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if path == "/oauth/token":
                await self._token(scope, receive, send)
            elif path.startswith("/gateway/"):
                await self._gateway(scope, receive, send)
            else:
                await self._pages(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._open()
        except Exception as error:
            _log.exception("the server cannot start")
            await self._closing.aclose()
            await send({"type": "lifespan.startup.failed", "message": repr(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._closing.aclose()
        _log.info("stopped")
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self) -> None:
        settings, clock = self._settings, SystemClock()
        sealer = Sealer(open_unsealer(settings).master_key())
        database = Database(settings.database_url)
        self._closing.callback(database.close)
        keyring = open_keyring(database, sealer)
        writer = Writer(database)
        self._closing.push_async_callback(writer.close)
        feed = Feed(database, clock)
        await feed.start()
        transactions = Transactions(database, writer, feed)
        group = Group(writer)

        publisher = FilesystemPublisher(settings.data / "log")
        sequencer = Sequencer(transactions, LogSigner(keyring.log, keyring.log_mldsa44), publisher, clock)
        await take_over_log(sequencer)
        self._closing.push_async_callback(sequencer.close)
        audit_log = AuditLog(transactions, sequencer)

        people = People(transactions, clock, new_id)
        sessions = Sessions(transactions, clock, new_id)
        systems = Systems(transactions, clock, new_id)
        await systems.load()
        hash_secret = functools.partial(hash_client_secret, keyring.client_secret)
        agents = Agents(
            transactions, feed, people, clock, new_id, hash_secret, lambda name: systems.get(name) is not None
        )

        policy = Policy(group, clock, new_id, lambda: feed.applied, starter_policies())
        policy_sets = PolicySets(transactions, policy, clock, new_id, systems)
        await policy_sets.load()
        settlement = Settlement(policy, agents, feed)

        resources = Resources(settings.issuer, systems)
        issuer = Issuer(settings.issuer, keyring.access_token, clock, settings.access_token_seconds)
        bearer = Bearer(Verifier(settings.issuer, keyring.verifying, agents, clock))
        client_authentication = ClientAuthentication(
            tuple(make(agents, hash_secret, clock, settings.issuer) for make in CLIENT_AUTHS)
        )
        grants = make_grants(policy, issuer, resources, new_id)
        self._token = TokenEndpoint(client_authentication, grants, settlement, group, clock, new_id)
        discovery = Discovery(settings.issuer, systems, resources, tuple(grants), client_authentication.names)

        outbound = Outbound(settings.upstream_connect_seconds, settings.upstream_seconds)
        self._closing.push_async_callback(outbound.close)
