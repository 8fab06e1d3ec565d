"""The composition root: settings → rooms → one ASGI application. The only module that knows all the others."""

import asyncio
import ctypes
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from accredit.agents.credentials import hash_client_secret
from accredit.agents.registry import Agents
from accredit.api.routes import api_routes
from accredit.audit.checkpoint import Signer
from accredit.audit.errors import AlreadySequenced
from accredit.audit.group import Group
from accredit.audit.publishers.filesystem import FilesystemPublisher
from accredit.audit.reading import AuditLog
from accredit.audit.sequencer import Sequencer
from accredit.clock import SystemClock
from accredit.console.routes import console_routes
from accredit.console.view import ConsoleData
from accredit.gateway.live import LiveStreams
from accredit.gateway.proxy import Gateway
from accredit.ids import new_id
from accredit.installation import Management, open_unsealer, read_management
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


class Server:
    """Everything that one worker process holds, opened and closed in order."""

    def __init__(self, settings: Settings, management: Management) -> None:
        self._settings = settings
        self._management = management
        self.routes: Callable[[Scope, Receive, Send], object]

    async def open(self) -> Application:
        """Open the rooms from the lowest up; returns the application. Raises Error, and nothing is answered then."""
        settings = self._settings
        clock = SystemClock()
        keyring = open_keyring_of(settings)
        self._database = database = Database(settings.database_url)
        self._writer = writer = Writer(database)
        self._feed = feed = Feed(database, clock)
        await feed.start()
        transactions = Transactions(database, writer, feed)
        group = Group(writer)

        signer = LogSigner(keyring.log, keyring.log_mldsa44)
        self._sequencer = sequencer = Sequencer(
            transactions, signer, FilesystemPublisher(settings.data / "log"), clock
        )
        await take_over_log(sequencer)
        audit_log = AuditLog(transactions, sequencer)

        people = People(transactions, clock, new_id)
        sessions = Sessions(transactions, clock, new_id)
        administrator = await people.administrator()
        systems = Systems(transactions, clock, new_id)
        await systems.load()
        hash_secret = functools.partial(hash_client_secret, keyring.client_secret)
        agents = Agents(transactions, feed, people, clock, new_id, hash_secret, lambda name: systems.get(name) is not None)

        policy = Policy(group, clock, new_id, lambda: feed.applied, compile_policies({}))
        policy_sets = PolicySets(transactions, policy, clock, new_id, systems)
        await policy_sets.load()
        settlement = Settlement(policy, agents, feed)

        resources = Resources(settings.issuer, systems)
        issuer = Issuer(settings.issuer, keyring.access_token, clock, settings.access_token_seconds)
        verifier = Verifier(settings.issuer, keyring.verifying, agents, clock)
        client_authentication = ClientAuthentication(
            tuple(make(agents, hash_secret, clock, settings.issuer) for make in CLIENT_AUTHS)
        )
        grants = make_grants(policy, issuer, resources, new_id)
        token = TokenEndpoint(client_authentication, grants, settlement, group, clock, new_id)
        discovery = Discovery(settings.issuer, systems, resources, tuple(grants), client_authentication.names)
