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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from bench import node_packages

_SLACK_SECONDS = 60
_TURNS = 4
_MOST_PER_SECOND = 9_000
"""Fresh bodies are made for this rate; a server that takes more has none left, and the run fails."""


class LoadFailedError(RuntimeError):
    """The load could not be made, or the server did not answer it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A POST request, always the same; or with `fresh`, one whose body is another each time.

    `fresh(count)` makes so many bodies that were never sent. With `next_from`, a member of the JSON answer, few of them
    are made: its value takes the place of `{}` in `body`, and is sent next. Of fresh bodies only an answer that
    holds `expects` counts; of one that is always the same, a first and a last must hold it.
    """

    url: str
    headers: Mapping[str, str]
    body: str
    fresh: Callable[[int], Sequence[str]] | None = None
    next_from: str = ""
    expects: str = ""


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
    bodies: Sequence[str] = ()
    if target.fresh is not None:
        bodies = target.fresh(8 * connections if target.next_from else int(_MOST_PER_SECOND * max(1.0, seconds)) + 1)
    elif target.expects:
        _check(target)
    make = _wrk if shutil.which("wrk") else _autocannon
    measured = make(target, bodies, connections, seconds)
    if sum(measured.failures.values()) > measured.answered / 1_000:
        kinds = ", ".join(f"{count} {kind}" for kind, count in measured.failures.items() if count)
        raise LoadFailedError(f"{target.url}: {kinds}; {measured.answered} were answered with success")
    if target.expects and target.fresh is None:
        _check(target)
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
    if target.fresh is not None:
        target = replace(target, body=target.fresh(1)[0])
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


def _check(target: Target) -> None:
    """For a request that is always the same, one answer before the load and one after it stand for all."""
    status, body = post(target)
    if target.expects.encode() not in body:
        raise LoadFailedError(f"{target.url} did not answer {target.expects}: {status} {body[:500]!r}")


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


def _autocannon(target: Target, bodies: Sequence[str], connections: int, seconds: float) -> Measured:
    folder = node_packages.install()
    order = {
        "url": target.url,
        "headers": dict(target.headers),
        "body": target.body,
        "bodies": list(bodies),
        "next_from": target.next_from,
        "expects": target.expects,
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
{bodies}
function setup(thread) threads = threads or {{}}; table.insert(threads, thread) end
function done(summary, latency, requests)
  local e = summary.errors
  local counted = 0
  for _, thread in ipairs(threads) do counted = counted + (thread:get("counted") or 0) end
  io.write(string.format("RESULT %d %f %f %f %d %d %d %d\\n", summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, e.status, e.connect + e.read + e.write, e.timeout,
    counted))
end
"""
# Each body is sent once. When there is none left, nothing more is sent, and the run is refused.
_WRK_BODIES = """
local bodies, first, last = {{}}, 1, 0
for line in io.lines({path}) do last = last + 1; bodies[last] = line end
function request()
  local body = bodies[first]
  if body == nil then return wrk.format("POST", nil, nil, "ran=out") end
  bodies[first] = nil
  first = first + 1
  return wrk.format("POST", nil, nil, body)
end
"""
_WRK_ANSWERS = """
counted = 0
function response(status, headers, body)
  if string.find(body, {expects}, 1, true) then counted = counted + 1 end
  local found = {next_from} ~= "" and string.match(body, '"' .. {next_from} .. '":"([^"]+)"')
  if found then
    last = last + 1
    bodies[last] = string.gsub({body}, "{{}}", (string.gsub(found, "%%", "%%%%")))
  end
end
"""


def _wrk(target: Target, bodies: Sequence[str], connections: int, seconds: float) -> Measured:
    headers = "\n".join(f"wrk.headers[{_lua(name)}] = {_lua(value)}" for name, value in target.headers.items())
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "request.lua"
        script.touch(mode=0o600)
        script.write_text(
            _WRK_SCRIPT.format(body=_lua(target.body), headers=headers, bodies=_wrk_bodies(target, bodies, folder)),
            encoding="utf-8",
        )
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script), target.url]
        text = _output(command, "", seconds)
    found = re.search(r"^RESULT (.+)$", text, re.MULTILINE)
    if found is None:
        raise LoadFailedError(f"wrk did not tell what it measured: {text[-500:]}")
    requests, took, p50, p99, status, sockets, timeouts, counted = (float(value) for value in found[1].split())
    if target.expects and bodies:
        # What counts is told by the answer, whatever its status.
        status = requests - min(counted, requests)
    return Measured(
        tool="wrk",
        seconds=took,
        # wrk counts an answer that is no success among the requests.
        per_second=(requests - status) / took,
        p50_ms=p50,
        p99_ms=p99,
        failures={"no success": int(status), "broken connections": int(sockets), "time-outs": int(timeouts)},
    )


def _wrk_bodies(target: Target, bodies: Sequence[str], folder: str) -> str:
    if not bodies:
        return ""
    path = Path(folder) / "bodies"
    path.touch(mode=0o600)
    path.write_text("\n".join(bodies), encoding="ascii")
    script = _WRK_BODIES.format(path=_lua(str(path)))
    if not target.expects and not target.next_from:
        return script
    names = {"expects": target.expects or "access_token", "next_from": target.next_from, "body": target.body}
    return script + _WRK_ANSWERS.format(**{name: _lua(value) for name, value in names.items()})


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
