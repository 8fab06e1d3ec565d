"""The tools of an upstream, asked of it by ourselves: policy needs the schemas of arguments to encode them by type.

A minimal client: the newest revision first, else `initialize` and a session. Nothing of an agent takes part.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from accredit.clock import Clock
from accredit.errors import Error
from accredit.gateway.protocols.mcp.era import CAPABILITIES_KEY, LEGACY, MODERN, VERSION_KEY, Era
from accredit.gateway.protocols.mcp.forward import outgoing_bare, outgoing_message
from accredit.gateway.protocols.mcp.read import Message
from accredit.gateway.protocols.mcp.response import Expected, read_response
from accredit.outbound import Outbound
from accredit.outbound.failures import UpstreamFailure, UpstreamInvalid, UpstreamTimeout
from accredit.outbound.target import Target, parse_target
from accredit.systems.model import System, Tool
from accredit.systems.registry import Systems

PAGES = 100
TOOLS = 2_000
SCHEMA_BYTES = 262_144
DISCOVERY_SECONDS = 20.0
FIRST_CALL_SECONDS = 2.0
RETRY_SECONDS = 30.0
REFRESH_SECONDS = 3_600.0

_CLIENT = {"name": "accredit", "version": "1"}
_log = structlog.get_logger("accredit.gateway")


async def discover_tools(outbound: Outbound, system: System) -> list[Tool]:
    """Every tool of an MCP server, by its own account. Raises UpstreamFailure, TargetRefused."""
    target = parse_target(system.upstream)
    try:
        async with asyncio.timeout(DISCOVERY_SECONDS):
            return await _discover(outbound, target)
    except TimeoutError as error:
        raise UpstreamTimeout("the system did not list its tools in time") from error


class ToolSchemas:
    """The tool that a call names, with its schema: learned at the first call of a system, and anew each hour.

    One question to an upstream at a time. A call waits a moment for the first answer, never for a later one; while
    nothing is known, policy sees every argument as unmapped.
    """

    def __init__(self, systems: Systems, discover: Callable[[System], Awaitable[list[Tool]]], clock: Clock) -> None:
        self._systems = systems
        self._discover = discover
        self._clock = clock
        self._asked_at: dict[str, float] = {}
        self._flights: dict[str, asyncio.Task[None]] = {}

    async def tool(self, system: System, name: str) -> Tool | None:
        """The tool of this name, None if it is not known."""
        known = self._systems.tools(system.name)
        if self._is_due(system, REFRESH_SECONDS if known is not None else RETRY_SECONDS):
            self._begin(system)
        if known is None and (flight := self._flights.get(system.name)) is not None:
            await asyncio.wait((flight,), timeout=FIRST_CALL_SECONDS)
            known = self._systems.tools(system.name)
        return known.get(name) if known is not None else None

    def _is_due(self, system: System, seconds: float) -> bool:
        asked_at = self._asked_at.get(system.id)
        return asked_at is None or self._clock.monotonic() - asked_at > seconds

    def _begin(self, system: System) -> None:
        if system.name in self._flights:
            return
        self._asked_at[system.id] = self._clock.monotonic()
        flight = asyncio.get_running_loop().create_task(self._learn(system))
        self._flights[system.name] = flight
        flight.add_done_callback(lambda _: self._flights.pop(system.name, None))

    async def _learn(self, system: System) -> None:
        try:
            await self._systems.learn_tools(system, await self._discover(system))
        except Error as error:
            _log.warning("the tools of a system are not known", system=system.name, reason=str(error))


async def _discover(outbound: Outbound, target: Target) -> list[Tool]:
    try:
        return await _Conversation(outbound, target, Era(MODERN[-1], modern=True)).list_tools()
    except UpstreamFailure as error:
        _log.debug("not the newest revision", reason=str(error))
    conversation = _Conversation(outbound, target, Era(None, modern=False))
    await conversation.initialize()
    try:
        return await conversation.list_tools()
    finally:
        await conversation.end()


class _Conversation:
    """A few requests to one upstream."""

    def __init__(self, outbound: Outbound, target: Target, era: Era) -> None:
        self._outbound = outbound
        self._target = target
        self._era = era
        self._session: str | None = None
        self._next_id = 1

    async def initialize(self) -> None:
        """Open a session in a revision before 2026-07-28."""
        params: dict[str, object] = {"protocolVersion": LEGACY[-1], "capabilities": {}, "clientInfo": _CLIENT}
        result = await self._ask("initialize", params)
        version = result.get("protocolVersion")
        if version not in LEGACY:
            raise UpstreamInvalid("the system speaks a revision of MCP that this gateway does not")
        self._era = Era(str(version), modern=False)
        await self._tell("notifications/initialized")

    async def list_tools(self) -> list[Tool]:
        """All pages of `tools/list`, within bounds."""
        found: dict[str, Tool] = {}
        cursor: object = None
        for _ in range(PAGES):
            result = await self._ask("tools/list", {} if cursor is None else {"cursor": cursor})
            for tool in _read_tools(result):
                found[tool.name] = tool
            if len(found) > TOOLS:
                raise UpstreamInvalid(f"the system has more than {TOOLS} tools")
            cursor = result.get("nextCursor")
            if cursor is None:
                return list(found.values())
        raise UpstreamInvalid(f"the system's list of tools has more than {PAGES} pages")

    async def end(self) -> None:
        """Close the session; a server that does not care is no failure."""
        if self._session is None:
            return
        outgoing = outgoing_bare("DELETE", self._era, self._session)
        try:
            async with self._outbound.open("DELETE", self._target, outgoing.headers) as answer:
                answer.leave()
        except UpstreamFailure as error:
            _log.info("a session of discovery was not closed", reason=str(error))

    async def _ask(self, method: str, params: dict[str, object]) -> dict[str, object]:
        if self._era.modern:
            params = {**params, "_meta": {VERSION_KEY: self._era.version, CAPABILITIES_KEY: {}}}
        message_id, self._next_id = self._next_id, self._next_id + 1
        body: dict[str, object] = {"jsonrpc": "2.0", "id": message_id, "method": method, "params": params}
        outgoing = outgoing_message(Message("request", message_id, method, params, body), self._era, self._session, {})
        expected = Expected(message_id, self._era.modern, strict=True)
        async with self._outbound.open("POST", self._target, outgoing.headers, outgoing.body) as answer:
            if answer.status != 200:  # noqa: PLR2004  # HTTP's number
                raise UpstreamInvalid(f"the system answered with HTTP status {answer.status}")
            session = answer.header(b"mcp-session-id")
            if session is not None and not self._era.modern:
                self._session = session.decode("latin-1")
            message = await read_response(expected, answer)
        result = message.get("result")
        if not isinstance(result, dict):
            raise UpstreamInvalid(f"the system refused {method}", detail=repr(message.get("error")))
        return result

    async def _tell(self, method: str) -> None:
        message = Message("notification", None, method, {}, {"jsonrpc": "2.0", "method": method})
        outgoing = outgoing_message(message, self._era, self._session, {})
        async with self._outbound.open("POST", self._target, outgoing.headers, outgoing.body) as answer:
            answer.leave()


def _read_tools(result: dict[str, object]) -> list[Tool]:
    items = result.get("tools")
    if not isinstance(items, list):
        raise UpstreamInvalid("the answer to tools/list has no list of tools")
    tools: list[Tool] = []
    for item in items:
        name = item.get("name") if isinstance(item, dict) else None
        schema = item.get("inputSchema") if isinstance(item, dict) else None
        if not isinstance(name, str) or not isinstance(schema, dict):
            raise UpstreamInvalid("the answer to tools/list has a tool without name or inputSchema")
        encoded = msgspec.json.encode(schema).decode()
        if len(encoded) > SCHEMA_BYTES:
            raise UpstreamInvalid("a tool's schema is too large", detail=name)
        tools.append(Tool(name=name, input_schema=encoded))
    return tools
