"""Requests as the protocol reads them, without a server."""

from typing import Any

import msgspec

from accredit.agents.model import Agent, AgentStatus
from accredit.gateway.protocol import Call, Incoming, Malformed, Reply
from accredit.gateway.protocols.mcp.call import Mcp
from accredit.ids import AgentId, PersonId, SystemId, new_id
from accredit.keys.seal import Sealer
from accredit.policy.request import Evidence
from accredit.systems.manifest import parse_manifest
from accredit.systems.model import System
from accredit.tokens.model import Caller
from tests.gateway.served import CRM_TOML, MODERN, routing

MCP = Mcp(Sealer(bytes(32)), new_id)
CRM: System = parse_manifest(CRM_TOML.read_text(encoding="utf-8"), "crm.toml", SystemId("sys_crm"), version=1)


def a_caller(name: str = "agt_1", epoch: int = 0) -> Caller:
    agent = Agent(
        id=AgentId(name),
        name=name,
        owner=PersonId("per_1"),
        owner_email="owner@example.com",
        type="worker",
        roles=("ai-agent-admin",),
        systems=("crm",),
        capability_level=2,
        status=AgentStatus.ACTIVE,
        epoch=epoch,
        version=1,
        created_at=0.0,
        credentials=(),
    )
    return Caller(
        agent=agent,
        token_id="tok_1",
        scopes=frozenset(),
        audience="aud",
        expires_at=2_000_000_000.0,
        epoch=epoch,
        subject=name,
        evidence=Evidence(authentication="access_token", token_id="tok_1"),
    )


def an_incoming(body: Any = b"", *more: tuple[str, str], method: str = "POST", **headers: str) -> Incoming:
    """A request with these headers; the same name twice makes it a repeated one."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    values: dict[bytes, bytes] = {b"content-type": b"application/json"}
    repeated: set[bytes] = set()
    pairs = [(name.replace("_", "-").lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    pairs += [(name.lower().encode(), value.encode("latin-1")) for name, value in more]
    for name, value in pairs:
        if name in values and name != b"content-type":
            repeated.add(name)
        values[name] = value
    return Incoming(method, values, frozenset(repeated), content, CRM, a_caller())


def modern_headers(name: str | None = None, method: str = "tools/call") -> dict[str, str]:
    return {key.replace("-", "_"): value for key, value in routing(name, method).items()}


def read(incoming: Incoming) -> Call:
    """Read a request that is well-formed and goes on."""
    call = MCP.read(incoming)
    assert not isinstance(call, Reply), call
    return call


def refused(incoming: Incoming) -> tuple[int, int, Any]:
    """Read a request that is refused: the HTTP status, the JSON-RPC code, and the id."""
    try:
        reply = MCP.read(incoming)
    except Malformed as error:
        reply = error.reply(7)
    assert isinstance(reply, Reply), "it was read"
    answer = msgspec.json.decode(reply.body)
    return reply.status, answer["error"]["code"], answer["id"]


def legacy(method: str, params: dict[str, Any] | None = None, id_: Any = 1) -> dict[str, Any]:
    """A request of the revisions before 2026-07-28."""
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": id_, "method": method}
    return body if params is None else {**body, "params": params}


__all__ = ["CRM", "MCP", "MODERN", "a_caller", "an_incoming", "legacy", "modern_headers", "read", "refused"]
