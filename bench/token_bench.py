"""`token`: how many access tokens a second, beside npm's oidc-provider doing the same work in memory."""

import http.client
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

from bench import cpu, load, processes
from bench.report import Detail, Peer, Report, cpu_details

CONNECTIONS = 16
_WARM_SECONDS = 1.5
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_MEMORY = Path("/dev/shm")
_DOTS_IN_A_JWT = 2
_OURS = "accredit"
_THEIRS = "oidc-provider 9.13.3, in memory"
_NOT_DURABLE = "accredit, data folder in memory"


def run(seconds: float) -> Report:
    """Measure Accredit, the peer, and Accredit without waiting for a disk: in turns, each for `seconds` in all."""
    with ExitStack() as running:
        pid, target = _accredit(running, in_memory=False)
        targets = {_OURS: target, _THEIRS: _peer(running)}
        if _MEMORY.is_dir():
            _, targets[_NOT_DURABLE] = _accredit(running, in_memory=True)
        for each in targets.values():
            _check(each)
            load.run(each, CONNECTIONS, _WARM_SECONDS)
        before = cpu.used(pid)
        found = load.in_turns(targets, CONNECTIONS, seconds)
        after = cpu.used(pid)
    ours, theirs = found[_OURS], found[_THEIRS]
    return Report(
        name="token",
        seconds=ours.seconds,
        connections=CONNECTIONS,
        per_second=ours.per_second,
        p50_ms=ours.p50_ms,
        p99_ms=ours.p99_ms,
        peer=Peer(
            name=_THEIRS,
            per_second=theirs.per_second,
            p50_ms=theirs.p50_ms,
            p99_ms=theirs.p99_ms,
            ratio=ours.per_second / theirs.per_second,
        ),
        load=ours.tool,
        goal="6,000/s; durable ÷ not durable ≥ 0.7",
        details=(
            *cpu_details(after.since(before) if before and after else None, ours.answered),
            *_durability(ours, found.get(_NOT_DURABLE)),
        ),
    )


def _durability(ours: load.Measured, not_durable: load.Measured | None) -> tuple[Detail, ...]:
    if not_durable is None:
        return ()
    return (
        Detail(name=_NOT_DURABLE, value=not_durable.per_second, unit="/s"),
        Detail(name="durable ÷ not durable", value=ours.per_second / not_durable.per_second, unit=""),
    )


def _accredit(running: ExitStack, *, in_memory: bool) -> tuple[int, load.Target]:
    data = running.enter_context(processes.folder(in_memory=in_memory))
    server = running.enter_context(processes.accredit(data))
    upstream = running.enter_context(processes.upstream())
    server.call("/api/v1/systems", {"manifest": processes.manifest(upstream)})
    agent = processes.agent(server, "bench", systems=[processes.SYSTEM])
    target = _target(f"{server.url}/oauth/token", agent, f"{server.issuer}/gateway/{processes.SYSTEM}/mcp")
    return server.pid, target


def _peer(running: ExitStack) -> load.Target:
    resource = "http://localhost/gateway/bench/mcp"
    url, client = running.enter_context(processes.oidc_peer(resource))
    return _target(url, client, resource)


def _target(url: str, client: processes.AgentSecret, resource: str) -> load.Target:
    form = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        "resource": resource,
    }
    return load.Target(url, _FORM, urlencode(form))


def _check(target: load.Target) -> None:
    """A JWT is what we compare: three parts; an opaque token has one. Raises LoadFailedError."""
    status, body = load.post(target)
    if status != http.client.OK or body.count(b".") < _DOTS_IN_A_JWT:
        raise load.LoadFailedError(f"{target.url} gave no JWT: {status} {body[:500]!r}")
