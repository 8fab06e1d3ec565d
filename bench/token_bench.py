"""`token`: how many access tokens a second, beside npm's oidc-provider doing the same work in memory."""

from pathlib import Path
from urllib.parse import urlencode

from bench import load, processes
from bench.report import Detail, Peer, Report

CONNECTIONS = 16
_WARM_SECONDS = 1.5
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_MEMORY = Path("/dev/shm")


def run(seconds: float) -> Report:
    """Measure Accredit on disk, the peer, and Accredit in memory (what durability costs), each for `seconds`."""
    with processes.folder() as data:
        ours = _accredit(data, seconds)
    peer = _peer(ours, seconds)
    details: list[Detail] = []
    if _MEMORY.is_dir():
        with processes.folder(in_memory=True) as data:
            in_memory = _accredit(data, seconds)
        details = [
            Detail(name="not durable (data folder in memory)", value=in_memory.per_second, unit="/s"),
            Detail(name="durable ÷ not durable", value=ours.per_second / in_memory.per_second, unit=""),
        ]
    return Report(
        name="token",
        seconds=ours.seconds,
        connections=CONNECTIONS,
        per_second=ours.per_second,
        p50_ms=ours.p50_ms,
        p99_ms=ours.p99_ms,
        peer=peer,
        load=ours.tool,
        goal="6,000/s; durable ÷ not durable ≥ 0.7",
        details=tuple(details),
    )


def _accredit(data: Path, seconds: float) -> load.Measured:
    with processes.accredit(data) as server, processes.upstream() as upstream:
        server.call("/api/v1/systems", {"manifest": processes.manifest(upstream)})
        agent = processes.agent(server, "bench", systems=[processes.SYSTEM])
        resource = f"{server.issuer}/gateway/{processes.SYSTEM}/mcp"
        return _measure(_target(f"{server.url}/oauth/token", agent, resource), seconds)


def _peer(ours: load.Measured, seconds: float) -> Peer:
    resource = "http://localhost/gateway/bench/mcp"
    with processes.oidc_peer(resource) as (url, client):
        theirs = _measure(_target(url, client, resource), seconds)
    return Peer(
        name="oidc-provider 9.13.3, in memory",
        per_second=theirs.per_second,
        p50_ms=theirs.p50_ms,
        p99_ms=theirs.p99_ms,
        ratio=ours.per_second / theirs.per_second,
    )


def _target(url: str, client: processes.AgentSecret, resource: str) -> load.Target:
    form = {
        "grant_type": "client_credentials",
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        "resource": resource,
    }
    return load.Target(url, _FORM, urlencode(form))


def _measure(target: load.Target, seconds: float) -> load.Measured:
    status, body = load.post(target)
    # A JWT is what we compare: three parts, an opaque token has one.
    if status != 200 or body.count(b".") < 2:
        raise load.LoadFailedError(f"{target.url} gave no JWT: {status} {body[:500]!r}")
    load.run(target, CONNECTIONS, _WARM_SECONDS)
    return load.run(target, CONNECTIONS, seconds)
