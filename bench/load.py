"""Load over HTTP: from `wrk` where the machine has it, else from autocannon; and one connection, timed closely."""

import http.client
import json
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import node_packages

_SLACK_SECONDS = 60
_TURNS = 4


class LoadFailedError(RuntimeError):
    """The load could not be made, or the server did not answer it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A POST request, always the same."""

    url: str
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What was answered with success. `tool` says what made the load, `failures` what else happened, by kind."""

    tool: str
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    failures: Mapping[str, int]

    @property
    def answered(self) -> int:
        """How many requests were answered with success."""
        return round(self.per_second * self.seconds)


def run(target: Target, connections: int, seconds: float) -> Measured:
    """Send the request over and over on many connections.

    Raises LoadFailedError if more than one answer in a thousand is no success, NodeMissingError if no load can be made.
    """
    measured = _wrk(target, connections, seconds) if shutil.which("wrk") else _autocannon(target, connections, seconds)
    if sum(measured.failures.values()) > measured.answered / 1_000:
        kinds = ", ".join(f"{count} {kind}" for kind, count in measured.failures.items() if count)
        raise LoadFailedError(f"{target.url}: {kinds}; {measured.answered} were answered with success")
    return measured


def in_turns(targets: Mapping[str, Target], connections: int, seconds: float) -> dict[str, Measured]:
    """Load each target for `seconds` in all, in turns, so that a slow moment of the machine strikes all alike.

    The percentiles are the medians of the turns'. Raises as `run` does.
    """
    turns: dict[str, list[Measured]] = {name: [] for name in targets}
    count = max(1, min(_TURNS, int(seconds)))
    for _ in range(count):
        for name, target in targets.items():
            turns[name].append(run(target, connections, seconds / count))
    return {name: _together(measured) for name, measured in turns.items()}


def post(target: Target) -> tuple[int, bytes]:
    """Send the request once."""
    with _Connection(target) as connection:
        return connection.send()


def one_by_one(targets: Mapping[str, Target], seconds: float) -> dict[str, list[float]]:
    """Latencies in ms of requests sent one at a time, in turns, on one connection to each target."""
    latencies: dict[str, list[float]] = {name: [] for name in targets}
    connections = {name: _Connection(target) for name, target in targets.items()}
    try:
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            for name, connection in connections.items():
                # A run of a few: the first after a pause finds cold caches, which no steady caller sees.
                for _ in range(20):
                    started = time.perf_counter()
                    status, _body = connection.send()
                    latencies[name].append((time.perf_counter() - started) * 1_000)
                    if status != http.client.OK:
                        raise LoadFailedError(f"{targets[name].url} answered {status}")
    finally:
        for connection in connections.values():
            connection.close()
    return latencies


def percentile(values: list[float], share: float) -> float:
    """The value below which this share (0 to 1) of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _together(turns: list[Measured]) -> Measured:
    seconds = sum(turn.seconds for turn in turns)
    return Measured(
        tool=turns[0].tool,
        seconds=seconds,
        per_second=sum(turn.per_second * turn.seconds for turn in turns) / seconds,
        p50_ms=statistics.median(turn.p50_ms for turn in turns),
        p99_ms=statistics.median(turn.p99_ms for turn in turns),
        failures=sum((Counter(turn.failures) for turn in turns), Counter()),
    )


class _Connection:
    """A kept connection and a request that is encoded once."""

    def __init__(self, target: Target) -> None:
        parts = urlsplit(target.url)
        self._http = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        self._target = target
        self._path = parts.path

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self) -> tuple[int, bytes]:
        self._http.request("POST", self._path, self._target.body, dict(self._target.headers))
        answer = self._http.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        self._http.close()


def _autocannon(target: Target, connections: int, seconds: float) -> Measured:
    folder = node_packages.install()
    order = {
        "url": target.url,
        "headers": dict(target.headers),
        "body": target.body,
        "connections": connections,
        "seconds": seconds,
    }
    # The order goes through standard input: a secret on a command line is for all to see.
    found = json.loads(_output([node_packages.node(), str(folder / "load.mjs")], json.dumps(order), seconds))
    if not found["answered"]:
        raise LoadFailedError(f"{target.url} answered no request with success: {found['failures']}")
    version = json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]["autocannon"]
    return Measured(
        tool=f"autocannon {version}",
        seconds=found["seconds"],
        per_second=found["answered"] / found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        failures=found["failures"],
    )


_WRK_SCRIPT = """
wrk.method = "POST"
wrk.body = {body}
{headers}
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %f %f %f %d %d %d\\n", summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, e.status, e.connect + e.read + e.write, e.timeout))
end
"""


def _wrk(target: Target, connections: int, seconds: float) -> Measured:
    headers = "\n".join(f"wrk.headers[{_lua(name)}] = {_lua(value)}" for name, value in target.headers.items())
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        script.touch(mode=0o600)
        script.write_text(_WRK_SCRIPT.format(body=_lua(target.body), headers=headers), encoding="utf-8")
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script), target.url]
        text = _output(command, "", seconds)
    found = re.search(r"^RESULT (.+)$", text, re.MULTILINE)
    if found is None:
        raise LoadFailedError(f"wrk did not tell what it measured: {text[-500:]}")
    requests, took, p50, p99, status, sockets, timeouts = (float(value) for value in found[1].split())
    return Measured(
        tool="wrk",
        seconds=took,
        # wrk counts an answer that is no success among the requests.
        per_second=(requests - status) / took,
        p50_ms=p50,
        p99_ms=p99,
        failures={"no success": int(status), "broken connections": int(sockets), "time-outs": int(timeouts)},
    )


def _lua(text: str) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'


def _output(command: list[str], text: str, seconds: float) -> str:
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=seconds + _SLACK_SECONDS, check=True
        )
    except subprocess.CalledProcessError as error:
        raise LoadFailedError(f"{command[0]} failed: {error.stderr[-500:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoadFailedError(f"{command[0]} failed: {error}") from error
    return done.stdout
