"""`introspection`: how many tokens a second an agent is told of (RFC 7662), authenticated by its secret each time."""

import http.client
from contextlib import ExitStack
from urllib.parse import urlencode

import msgspec

from bench import cpu, load, processes
from bench.report import Report, cpu_details

CONNECTIONS = 16
_WARM_SECONDS = 1.5
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


def run(seconds: float) -> Report:
    """Measure for `seconds`. oidc-provider has nothing to compare: it does not introspect tokens that are JWTs."""
    with ExitStack() as running:
        server = running.enter_context(processes.accredit(running.enter_context(processes.folder())))
        client = processes.agent(server, "bench", systems=[])
        target = load.Target(f"{server.url}/oauth/introspect", _FORM, urlencode(_form(server, client)))
        _check(target)
        load.run(target, CONNECTIONS, _WARM_SECONDS)
        before = cpu.used(server.pid)
        found = load.run(target, CONNECTIONS, seconds)
        after = cpu.used(server.pid)
    return Report(
        name="introspection",
        seconds=found.seconds,
        connections=CONNECTIONS,
        per_second=found.per_second,
        p50_ms=found.p50_ms,
        p99_ms=found.p99_ms,
        peer=None,
        load=found.tool,
        goal="8,000/s",
        details=cpu_details(after.since(before) if before and after else None, found.answered),
    )


def _form(server: processes.Accredit, client: processes.AgentSecret) -> dict[str, str]:
    credentials = {"client_id": client.client_id, "client_secret": client.client_secret}
    form = urlencode({"grant_type": "client_credentials", **credentials})
    asked = load.Target(f"{server.url}/oauth/token", _FORM, form)
    status, body = load.post(asked)
    if status != http.client.OK:
        raise load.LoadFailedError(f"{asked.url} gave no token: {status} {body[:500]!r}")
    return {**credentials, "token": msgspec.json.decode(body)["access_token"]}


def _check(target: load.Target) -> None:
    """Raises LoadFailedError if the token is not active: that answer would be too cheap."""
    status, body = load.post(target)
    if status != http.client.OK or b'"active":true' not in body:
        raise load.LoadFailedError(f"{target.url} knows no token: {status} {body[:500]!r}")
