"""`/api/v1/systems`: register systems from their manifests, and learn their tools."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
import structlog

from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.errors import Error, NotFound
from accredit.systems.model import Data, Kind, Operation, ProtocolName, System
from accredit.systems.registry import Systems

DISCOVERY_SECONDS = 10.0

DiscoverTools = Callable[[System], Awaitable[None]]
"""Asks an upstream for its tools and has `Systems` learn them. Raises Error if it cannot."""

AudienceOf = Callable[[System], str]
"""The resource of a system, as tokens name it (RFC 8707)."""

_log = structlog.get_logger("accredit.api")


class SystemInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A manifest (TOML). `file` is its name, for messages; with `replace` it takes the place of the one before."""

    manifest: str
    file: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")] = "manifest"
    replace: bool = False


class SystemView(msgspec.Struct, frozen=True, kw_only=True):
    """A system. `resource` is its tokens' audience; `tools` are the names that it listed, null while unknown."""

    id: str
    name: str
    title: str
    kind: Kind
    protocol: ProtocolName
    upstream: str
    resource: str
    sensitivity: int
    data: tuple[Data, ...]
    credential_engine: str
    operations: tuple[Operation, ...]
    tools: tuple[str, ...] | None
    version: int


class AddedSystem(SystemView, frozen=True, kw_only=True):
    """A system that was just registered. `tools_unknown_because` says why its tools could not be learned yet."""

    tools_unknown_because: str | None


class SystemDetail(SystemView, frozen=True, kw_only=True):
    """A system, with its manifest as it was given."""

    manifest: str


class SystemList(msgspec.Struct, frozen=True, kw_only=True):
    """Every system, by name."""

    systems: tuple[SystemView, ...]


class SystemEndpoints:
    """What can be done with systems."""

    def __init__(self, systems: Systems, discover_tools: DiscoverTools, audience_of: AudienceOf) -> None:
        self._systems = systems
        self._discover_tools = discover_tools
        self._audience_of = audience_of

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        return (
            Endpoint(
                method="POST",
                path="/api/v1/systems",
                summary="Register a system from its manifest, and try to learn its tools",
                act=self._add,
                body=SystemInput,
                query=Nothing,
                answer=AddedSystem,
                status=201,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/systems",
                summary="List systems by name",
                act=self._list,
                body=Nothing,
                query=Nothing,
                answer=SystemList,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/systems/{system}",
                summary="Show a system",
                act=self._show,
                body=Nothing,
                query=Nothing,
                answer=SystemDetail,
            ),
        )

    async def _add(self, call: Call[SystemInput, Nothing]) -> AddedSystem:
        sent = call.body
        put = self._systems.replace if sent.replace else self._systems.add
        system = await put(sent.manifest, sent.file, call.actor)
        why = await self._learn(system)
        return AddedSystem(**msgspec.structs.asdict(self._view(system)), tools_unknown_because=why)

    async def _list(self, call: Call[Nothing, Nothing]) -> SystemList:
        del call
        return SystemList(systems=tuple(self._view(system) for system in self._systems.all()))

    async def _show(self, call: Call[Nothing, Nothing]) -> SystemDetail:
        name = call.path["system"]
        system = self._systems.get(name)
        if system is None:
            raise NotFound(f"there is no system {name!r}", next_step="`accredit system list` shows them")
        manifest = await self._systems.manifest(name)
        return SystemDetail(**msgspec.structs.asdict(self._view(system)), manifest=manifest)

    async def _learn(self, system: System) -> str | None:
        """Try to learn the tools; returns why that failed. The system is registered all the same."""
        if system.protocol != "mcp":
            return None
        try:
            async with asyncio.timeout(DISCOVERY_SECONDS):
                await self._discover_tools(system)
        except Error as error:
            return error.explanation
        except TimeoutError:
            return f"the upstream did not answer within {DISCOVERY_SECONDS:.0f} seconds"
        except Exception:  # noqa: BLE001  # whatever an upstream brings about, the system is registered
            _log.exception("tools not learned", system=system.name)
            return "the upstream's answer could not be used; the server's log says why"
        return None

    def _view(self, system: System) -> SystemView:
        tools = self._systems.tools(system.name)
        return SystemView(
            id=system.id,
            name=system.name,
            title=system.title,
            kind=system.kind,
            protocol=system.protocol,
            upstream=system.upstream,
            resource=self._audience_of(system),
            sensitivity=system.sensitivity,
            data=system.data,
            credential_engine=system.credential_engine,
            operations=system.operations,
            tools=None if tools is None else tuple(sorted(tools)),
            version=system.version,
        )
