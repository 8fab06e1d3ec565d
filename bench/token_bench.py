"""`token`: how many tokens a second, by each grant, beside npm's oidc-provider doing the same work in memory.

The main measure is `client_credentials` with a secret; every other grant, and introspection, is a line. The last two
lines are the same request with a hundred agents registered, and with a million.
"""

import http.client
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec

from bench import cpu, load, processes, token_agents
from bench.assertions import Signing
from bench.minting import CHALLENGE, REDIRECT, Minting
from bench.report import Detail, Line, Peer, Report, cpu_details
from bench.token_flows import Flow, Ours, Theirs, client_secret, flows

CONNECTIONS = 16
_WARM_SECONDS = 1.5
_MEMORY = Path("/dev/shm")
_DOTS_IN_A_JWT = 2
_MEGABYTE = 1_000_000
_OURS = "accredit"
_THEIRS = "oidc-provider 9.13.3, in memory"
_NOT_DURABLE = "accredit, data folder in memory"
_RESOURCE = "http://localhost/gateway/bench/mcp"


def run(seconds: float) -> Report:
    """Measure Accredit and the peer in turns, grant by grant, each for `seconds` in all."""
    signing = Signing()
    with ExitStack() as running:
        ours = _accredit(running, in_memory=False)
        theirs = _peer(running, signing)
        report = _client_secret(ours, theirs, seconds)
        lines = [_line(flow, ours.server.pid, seconds) for flow in flows(ours, theirs, signing)]
    by_agents, details = _by_agents(seconds)
    return msgspec.structs.replace(report, lines=(*lines, *by_agents), details=(*report.details, *details))


def _client_secret(ours: Ours, theirs: Theirs, seconds: float) -> Report:
    targets = {
        _OURS: client_secret(f"{ours.server.url}/oauth/token", ours.agent, ours.audience),
        _THEIRS: client_secret(f"{theirs.url}/token", theirs.client, theirs.resource),
    }
    for each in targets.values():
        _check(each)
    with ExitStack() as running:
        if _MEMORY.is_dir():
            other = _accredit(running, in_memory=True)
            targets[_NOT_DURABLE] = client_secret(f"{other.server.url}/oauth/token", other.agent, other.audience)
        found, used = _measure(targets, ours.server.pid, seconds)
    mine = found[_OURS]
    return Report(
        name="token",
        seconds=mine.seconds,
        connections=CONNECTIONS,
        per_second=mine.per_second,
        p50_ms=mine.p50_ms,
        p99_ms=mine.p99_ms,
        peer=_peer_of(mine, found[_THEIRS]),
        load=mine.tool,
        goal="6,000/s; durable ÷ not durable ≥ 0.7",
        details=(*cpu_details(used, mine.answered), *_durability(mine, found.get(_NOT_DURABLE))),
    )


def _line(flow: Flow, pid: int, seconds: float) -> Line:
    targets = {_OURS: flow.ours} if flow.theirs is None else {_OURS: flow.ours, _THEIRS: flow.theirs}
    found, used = _measure(targets, pid, seconds)
    return _line_of(flow.name, found[_OURS], used, found.get(_THEIRS), flow.goal)


def _by_agents(seconds: float) -> tuple[tuple[Line, Line], tuple[Detail, Detail]]:
    """The same request for a few agents and for many, each at its own server, in turns."""
    with ExitStack() as running:
        servers: dict[str, Ours] = {}
        targets: dict[str, load.Target] = {}
        for count in (token_agents.FEW, token_agents.MANY):
            name = f"client_secret, {count:,} agents"
            ours = servers[name] = _accredit(running, in_memory=False)
            ids, secret = token_agents.register(ours.minting, count, processes.SYSTEM)
            targets[name] = token_agents.target(f"{ours.server.url}/oauth/token", ids, secret, ours.audience)
        for each in targets.values():
            load.run(each, CONNECTIONS, _WARM_SECONDS)
        before = {name: cpu.used(ours.server.pid) for name, ours in servers.items()}
        found = load.in_turns(targets, CONNECTIONS, seconds)
        lines = []
        for name, ours in servers.items():
            began, now = before[name], cpu.used(ours.server.pid)
            lines.append(_line_of(name, found[name], now.since(began) if now and began else None, None, ""))
        held = token_agents.resident_bytes(ours.server.pid)
    few, many = lines
    details = (
        Detail(
            name="time for a token, many agents ÷ few (goal ≤ 1.2)", value=few.per_second / many.per_second, unit=""
        ),
        Detail(name="memory of the worker with many agents (goal < 1,000)", value=held / _MEGABYTE, unit="MB"),
    )
    return (few, many), details


def _measure(
    targets: Mapping[str, load.Target], pid: int, seconds: float
) -> tuple[dict[str, load.Measured], cpu.Cpu | None]:
    """Each target in turns, after a moment to warm up; and the processor time of the server `pid` meanwhile."""
    for each in targets.values():
        load.run(each, CONNECTIONS, _WARM_SECONDS)
    before = cpu.used(pid)
    found = load.in_turns(targets, CONNECTIONS, seconds)
    after = cpu.used(pid)
    return found, after.since(before) if before and after else None


def _line_of(name: str, ours: load.Measured, used: cpu.Cpu | None, theirs: load.Measured | None, goal: str) -> Line:
    return Line(
        name=name,
        per_second=ours.per_second,
        p50_ms=ours.p50_ms,
        p99_ms=ours.p99_ms,
        processor_us=None if used is None else (used.loops + used.others) / ours.answered * 1_000_000,
        peer=None if theirs is None else _peer_of(ours, theirs),
        goal=goal,
    )


def _peer_of(ours: load.Measured, theirs: load.Measured) -> Peer:
    return Peer(
        name=_THEIRS,
        per_second=theirs.per_second,
        p50_ms=theirs.p50_ms,
        p99_ms=theirs.p99_ms,
        ratio=ours.per_second / theirs.per_second,
    )


def _durability(ours: load.Measured, not_durable: load.Measured | None) -> tuple[Detail, ...]:
    if not_durable is None:
        return ()
    return (
        Detail(name=_NOT_DURABLE, value=not_durable.per_second, unit="/s"),
        Detail(name="durable ÷ not durable", value=ours.per_second / not_durable.per_second, unit=""),
    )


def _accredit(running: ExitStack, *, in_memory: bool) -> Ours:
    data = running.enter_context(processes.folder(in_memory=in_memory))
    server = running.enter_context(processes.accredit(data))
    upstream = running.enter_context(processes.upstream())
    server.call("/api/v1/systems", {"manifest": processes.manifest(upstream)})
    agent = processes.agent(server, "bench", systems=[processes.SYSTEM])
    audience = f"{server.issuer}/gateway/{processes.SYSTEM}/mcp"
    minting = Minting(data, agent.client_id, processes.SYSTEM, audience, ("bench:read",))
    running.callback(minting.close)
    return Ours(server, audience, agent, minting)


def _peer(running: ExitStack, signing: Signing) -> Theirs:
    told = {"jwks": {"keys": [signing.jwk]}, "redirect_uri": REDIRECT, "code_challenge": CHALLENGE}
    url, client = running.enter_context(processes.oidc_peer(_RESOURCE, told))
    return Theirs(url, _RESOURCE, client)


def _check(target: load.Target) -> None:
    """A JWT is what we compare: three parts; an opaque token has one. Raises LoadFailedError."""
    status, body = load.post(target)
    if status != http.client.OK or body.count(b".") < _DOTS_IN_A_JWT:
        raise load.LoadFailedError(f"{target.url} gave no JWT: {status} {body[:500]!r}")
