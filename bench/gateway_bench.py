"""`gateway`: an MCP tool call of 1 kB through Accredit, beside the same call sent to the upstream directly."""

import http.client
import json
from urllib.parse import urlencode

from bench import cpu, load, processes, upstream
from bench.report import Detail, Peer, Report, cpu_details

CONNECTIONS = 32
BODY_BYTES = 1_024
_WARM_SECONDS = 1.5


def run(seconds: float) -> Report:
    """Measure throughput on 32 connections, then latency on one, through the gateway and directly."""
    with processes.folder() as data, processes.upstream() as direct_url, processes.accredit(data) as server:
        server.call("/api/v1/systems", {"manifest": processes.manifest(direct_url)})
        agent = processes.agent(server, "bench", systems=[processes.SYSTEM])
        token = _token(server, agent)
        through = _call(f"{server.url}/gateway/{processes.SYSTEM}/mcp", {"Authorization": f"Bearer {token}"})
        direct = _call(direct_url, {})
        for target in (through, direct):
            _check(target)
            load.run(target, CONNECTIONS, _WARM_SECONDS)
        before = cpu.used(server.pid)
        found = load.in_turns({"through": through, "direct": direct}, CONNECTIONS, seconds)
        after = cpu.used(server.pid)
        ours, theirs = found["through"], found["direct"]
        alone = load.one_by_one({"through": through, "direct": direct}, seconds)
        _check(through)
    p50 = {name: load.percentile(values, 0.5) for name, values in alone.items()}
    p99 = {name: load.percentile(values, 0.99) for name, values in alone.items()}
    return Report(
        name="gateway",
        seconds=ours.seconds,
        connections=CONNECTIONS,
        per_second=ours.per_second,
        p50_ms=ours.p50_ms,
        p99_ms=ours.p99_ms,
        peer=Peer(
            name="the upstream directly",
            per_second=theirs.per_second,
            p50_ms=theirs.p50_ms,
            p99_ms=theirs.p99_ms,
            ratio=ours.per_second / theirs.per_second,
        ),
        load=ours.tool,
        goal="2,500/s; added at one connection < 1.5 ms",
        details=(
            *cpu_details(after.since(before) if before and after else None, ours.answered),
            Detail(name="one connection, through the gateway, p50", value=p50["through"], unit="ms"),
            Detail(name="one connection, directly, p50", value=p50["direct"], unit="ms"),
            Detail(name="one connection, added, p50", value=p50["through"] - p50["direct"], unit="ms"),
            Detail(name="one connection, added, p99", value=p99["through"] - p99["direct"], unit="ms"),
        ),
    )


def _token(server: processes.Accredit, agent: processes.AgentSecret) -> str:
    form = {
        "grant_type": "client_credentials",
        "client_id": agent.client_id,
        "client_secret": agent.client_secret,
        "resource": f"{server.issuer}/gateway/{processes.SYSTEM}/mcp",
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, body = load.post(load.Target(f"{server.url}/oauth/token", headers, urlencode(form)))
    if status != http.client.OK:
        raise processes.NotStartedError(f"no token: {status} {body[:500]!r}")
    token: str = json.loads(body)["access_token"]
    return token


def _call(url: str, headers: dict[str, str]) -> load.Target:
    """A tool call of the revision 2026-07-28, padded to 1 kB."""
    short = _body("")
    return load.Target(
        url,
        {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": upstream.REVISION,
            "Mcp-Method": "tools/call",
            "Mcp-Name": upstream.TOOL,
            **headers,
        },
        _body("q" * (BODY_BYTES - len(short))),
    )


def _body(query: str) -> str:
    meta = {
        "io.modelcontextprotocol/protocolVersion": upstream.REVISION,
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    arguments = {"query": query, "limit": 10}
    params = {"name": upstream.TOOL, "arguments": arguments, "_meta": meta}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})


def _check(target: load.Target) -> None:
    """A refusal is a 200 too: look at what it says. Raises LoadFailedError."""
    status, body = load.post(target)
    if status != http.client.OK or b"Row 12" not in body:
        raise load.LoadFailedError(f"{target.url} did not give the tool's result: {status} {body[:800]!r}")
