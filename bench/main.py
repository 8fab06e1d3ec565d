"""`bench/run NAME [--json] [--seconds N]`."""

import argparse
import sys
from collections.abc import Callable

from bench import audit_bench, decision_bench, gateway_bench, introspection_bench, token_bench
from bench.load import LoadFailedError
from bench.node_packages import NodeMissingError
from bench.processes import NotStartedError
from bench.report import Report, as_json, show

BENCHES: dict[str, Callable[[float], Report]] = {
    "token": token_bench.run,
    "introspection": introspection_bench.run,
    "gateway": gateway_bench.run,
    "decision": decision_bench.run,
    "audit": audit_bench.run,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one bench and print what it found. Returns 2 if it could not be run."""
    parser = argparse.ArgumentParser(prog="bench/run", description="Measure Accredit.")
    parser.add_argument("name", choices=BENCHES, help="what to measure")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each measurement takes (default: 10)")
    options = parser.parse_args(arguments)
    if options.seconds <= 0:
        parser.error("--seconds must be above 0")
    try:
        report = BENCHES[options.name](options.seconds)
    except (LoadFailedError, NodeMissingError, NotStartedError) as error:
        # The notes are the ends of the servers' logs.
        print(f"bench {options.name}: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 2
    if options.json:
        print(as_json(report))
    else:
        show(report)
    return 0
