"""Compiling a large set beside the server: parsing thousands of policies would hold its event loop for seconds.

Run as a module, it is the other side: file names and texts as JSON on standard input, the compiled set on standard
output. Exit code 1: the set is invalid, and the problems are on standard output.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import BinaryIO

import msgspec

from accredit.errors import Unavailable
from accredit.policy.cedar import CompiledPolicies, compile_policies
from accredit.policy.source import PolicyInvalid, Problem

SUBPROCESS_FROM = 200
"""From about this many policies on, a process of its own is worth its start."""

TIMEOUT_SECONDS = 120.0
_INVALID = 1


async def compile_in_background(sources: Mapping[str, str]) -> CompiledPolicies:
    """Compile a set without holding up the event loop.

    Raises PolicyInvalid, and Unavailable if it takes more than two minutes or its process ends.
    """
    about = sum(text.count(";") for text in sources.values())
    if about < SUBPROCESS_FROM:
        return await asyncio.to_thread(compile_policies, sources)

    # -P: the module is ours, whatever lies in the working directory.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "accredit.policy.background"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            output, _ = await process.communicate(msgspec.json.encode(sources))
    except TimeoutError as error:
        raise Unavailable("the policies were not compiled in two minutes", next_step="apply a smaller set") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return await asyncio.to_thread(_outcome, process.returncode, output)


def _outcome(code: int | None, output: bytes) -> CompiledPolicies:
    if code == 0:
        return msgspec.msgpack.decode(output, type=CompiledPolicies)
    if code == _INVALID:
        raise PolicyInvalid(msgspec.msgpack.decode(output, type=list[Problem]))
    raise Unavailable(
        "the policies could not be compiled",
        next_step="the running set was not changed; look for a policy of unusual size",
        detail=f"the compiling process ended with {code}",
    )


def main(given: BinaryIO, answer: BinaryIO) -> int:
    """Compile what is given; returns the exit code."""
    try:
        compiled = compile_policies(msgspec.json.decode(given.read(), type=dict[str, str]))
    except PolicyInvalid as error:
        answer.write(msgspec.msgpack.encode(error.problems))
        return _INVALID
    answer.write(msgspec.msgpack.encode(compiled))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer, sys.stdout.buffer))
