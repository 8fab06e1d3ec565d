"""A gateway with everything below it, served by Granian on a real socket, and agents that hold tokens for it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import msgspec
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from sqlalchemy import select

from accredit.agents.model import Agent
from accredit.agents.new_agent import NewAgent
from accredit.audit.event import AuditEvent
from accredit.delegations.model import ActionDetails
from accredit.gateway.discover import discover_tools
from accredit.gateway.proxy import Gateway, Limits
from accredit.ids import new_id
from accredit.keys.seal import Sealer
from accredit.outbound import Outbound
from accredit.policy.decide import Policy
from accredit.policy.permit import Permit
from accredit.policy.request import TOKEN_ISSUE, AccessRequest, Evidence
from accredit.policy.settle import Settlement
from accredit.policy.starter import starter_policies
from accredit.storage.schema import events
from accredit.tokens.binding import Binding
from accredit.tokens.dpop import Nonces
from accredit.tokens.issue import Issuer
from accredit.tokens.model import Confirmation
from accredit.tokens.transaction import TransactionTokens
from accredit.tokens.verify import Verifier
from accredit.web.bearer import Bearer
from accredit.web.certificates import ClientCertificates
from tests.gateway.upstreams import Handler, Upstream, scripted
from tests.rooms import ADMINISTRATOR, Rooms, open_rooms

T = TypeVar("T")
ISSUER = "http://localhost:8400"
SEALER = Sealer(bytes(range(32)))
MODERN = "2026-07-28"
CRM_TOML = Path(__file__).parents[2] / "examples" / "crm" / "crm.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWithToken:
    agent: Agent
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(slots=True, kw_only=True)
class Served:
    """The gateway is at `url`, with one system `crm`."""

    rooms: Rooms
    gateway: Gateway
    policy: Policy
    issuer: Issuer
    port: int
    client: httpx2.AsyncClient

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/gateway/crm/mcp"

    async def agent(
        self, name: str = "reader", role: str = "ai-agent-readonly", scopes: tuple[str, ...] | None = None
    ) -> AgentWithToken:
        """An agent of a starter role with a token for the CRM, by default for all it is entitled to."""
        new = NewAgent(name=name, owner="ana@example.com", roles=(role,), systems=("crm",))
        agent = await self.rooms.agents.create(new, ADMINISTRATOR)
        return await self.token_for(agent, scopes)

    async def token_for(
        self,
        agent: Agent,
        scopes: tuple[str, ...] | None = None,
        confirmation: Confirmation | None = None,
        details: tuple[ActionDetails, ...] = (),
        **known: Any,
    ) -> AgentWithToken:
        """A token for the CRM; `known` is more of the evidence that it is issued on."""
        system = self.rooms.systems.get("crm")
        assert system is not None
        evidence = Evidence(token_id=new_id("tok"), **known)
        request = AccessRequest(agent=agent, action=TOKEN_ISSUE, system=system, evidence=evidence)
        permit = self.policy.decide(request)
        assert isinstance(permit, Permit)
        token = await self.issuer.issue(
            permit,
            audience=f"{ISSUER}/gateway/crm/mcp",
            scopes=self.policy.entitled_scopes(agent, system) if scopes is None else scopes,
            confirmation=confirmation,
            details=details,
        )
        return AgentWithToken(agent=agent, token=token.token.reveal())

    async def post(self, who: AgentWithToken, body: Any, **headers: str) -> httpx2.Response:
        """POST a body as it is: bytes, or a value that is encoded."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        fixed = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        return await self.client.post(self.url, content=content, headers={**fixed, **who.headers, **headers})

    async def call(self, who: AgentWithToken, tool: str, arguments: dict[str, Any], id_: Any = 1) -> httpx2.Response:
        """A tool call of revision 2026-07-28."""
        return await self.post(who, modern("tools/call", {"name": tool, "arguments": arguments}, id_), **routing(tool))

    async def events(self, *, of: AgentWithToken | None = None) -> list[AuditEvent]:
        """Every event of calls, in order; of one agent's, if it is named."""
        query = select(events.c.body).order_by(events.c.seq)
        bodies = await self.rooms.transactions.read(lambda c: list(c.execute(query).scalars()))
        found = [msgspec.json.decode(body, type=AuditEvent) for body in bodies]
        return [one for one in found if one.type.startswith("call.") and (of is None or one.agent == of.agent.id)]

    async def outcomes(self, count: int) -> list[str | None]:
        """The outcomes of the calls that ended, once there are so many: they are recorded after the answer."""
        for _ in range(500):
            found = [one.outcome for one in await self.events() if one.type == "call.finished"]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)
        raise AssertionError(f"{count} calls did not end: {found}")


def modern(method: str, params: dict[str, Any] | None = None, id_: Any = 1) -> dict[str, Any]:
    """A request of revision 2026-07-28."""
    meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": {**(params or {}), "_meta": meta}}


def routing(name: str | None = None, method: str = "tools/call") -> dict[str, str]:
    """The headers that repeat a request of that revision."""
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    return {**headers, "Mcp-Name": name} if name is not None else headers


def manifest(upstream: str, engine: str = "none") -> str:
    """The CRM's manifest with another upstream."""
    text = CRM_TOML.read_text(encoding="utf-8").replace("http://127.0.0.1:9000/mcp", upstream)
    return text.replace('engine = "none"', f'engine = "{engine}"')


@asynccontextmanager
async def open_gateway(
    folder: Path,
    upstream: str,
    *,
    limits: Limits | None = None,
    silence_seconds: float = 10.0,
    learn: bool = True,
    fresh: bool = True,
    nonces: bool = False,
    required: bool = False,
    certificates: ClientCertificates | None = None,
    engine: str = "none",
    trust_domain: str = "",
) -> AsyncIterator[Served]:
    """Serve a gateway in front of one upstream. With `learn=False` no tool's schema is ever known.

    With `fresh=False` the folder is one that was served before. `engine` is what the gateway puts into calls.
    """
    async with open_rooms(folder) as rooms:
        if fresh:
            await rooms.systems.add(manifest(upstream, engine), "crm.toml", ADMINISTRATOR)
        made = Nonces(rooms.keyring.nonce, rooms.clock) if nonces else None
        binding = Binding(rooms.clock, made, required=required)
        verifier = Verifier(ISSUER, rooms.keyring, rooms.agents, rooms.revocations, binding, rooms.clock)
        policy = Policy(rooms.group, rooms.clock, new_id, lambda: rooms.feed.applied, starter_policies())
        outbound = Outbound(2.0, silence_seconds)
        gateway = Gateway(
            issuer=ISSUER,
            bearer=Bearer(verifier, ISSUER, certificates, made, required=required),
            systems=rooms.systems,
            agents=rooms.agents,
            people=rooms.people,
            policy=policy,
            settlement=Settlement(policy, rooms.agents, rooms.people, rooms.revocations, rooms.feed),
            group=rooms.group,
            outbound=outbound,
            discover=partial(discover_tools, outbound) if learn else _know_nothing,
            sealer=SEALER,
            clock=rooms.clock,
            new_id=new_id,
            transactions=TransactionTokens(ISSUER, trust_domain, rooms.keyring, rooms.clock),
            limits=limits or Limits(answer_seconds=10.0),
        )
        try:
            async with serve(gateway) as port, httpx2.AsyncClient(timeout=30, verify=False) as client:
                yield Served(
                    rooms=rooms,
                    gateway=gateway,
                    policy=policy,
                    issuer=Issuer(ISSUER, rooms.keyring, rooms.clock, 300),
                    port=port,
                    client=client,
                )
        finally:
            await outbound.close()


@asynccontextmanager
async def serve(application: Any) -> AsyncIterator[int]:
    """Serve an ASGI application with Granian in this loop; gives its port."""
    port = free_port()
    server = Server(application, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_enabled=False)
    task = asyncio.create_task(server.serve())
    try:
        await _listening(port)
        yield port
    finally:
        server.stop()  # type: ignore[no-untyped-call]
        await task


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def with_gateway(folder: Path, upstream: str, act: Callable[[Served], Awaitable[T]], **settings: Any) -> T:
    """Run one coroutine with a gateway open."""

    async def run() -> T:
        async with open_gateway(folder, upstream, **settings) as served:
            return await act(served)

    return uvloop.run(run())


async def _know_nothing(system: object) -> list[Any]:
    return []


async def _listening(port: int) -> None:
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
    raise AssertionError("the server did not start")


def with_scripted(folder: Path, handle: Handler, act: Callable[[Served, Upstream], Awaitable[T]], **settings: Any) -> T:
    """Run one coroutine with a gateway in front of an upstream that answers as it is told."""

    async def run() -> T:
        async with scripted(handle) as upstream, open_gateway(folder, upstream.url, learn=False, **settings) as served:
            return await act(served, upstream)

    return uvloop.run(run())
