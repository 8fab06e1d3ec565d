"""Identifiers: a prefix that says what it names, then a ULID (sortable by time, 80 random bits)."""

import os
import threading
import time
from collections.abc import Callable
from typing import NewType, cast

AgentId = NewType("AgentId", str)
PersonId = NewType("PersonId", str)
SystemId = NewType("SystemId", str)
CredentialId = NewType("CredentialId", str)
EventId = NewType("EventId", str)
KeyId = NewType("KeyId", str)
SessionId = NewType("SessionId", str)
DelegationId = NewType("DelegationId", str)
FamilyId = NewType("FamilyId", str)

NewId = Callable[[str], str]
"""`new_id("agt")` → `agt_01JD…`. Passed in, so that a test can make ids predictable."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Two characters a step halve the loop: an id is made several times in every request.
_PAIRS = [a + b for a in _CROCKFORD for b in _CROCKFORD]


def ulid(milliseconds: int, randomness: bytes) -> str:
    """Render 48 bits of time and 80 random bits as 26 Crockford characters (the ULID specification)."""
    value = (milliseconds << 80) | int.from_bytes(randomness)
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


class _Pool:
    """Random bytes of the operating system, fetched 4 kB at a time.

    Each call to `os.urandom` lets go of the interpreter's lock, and getting it back costs more than the bytes.
    """

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0
        # A child must never draw the bytes that its parent will draw.
        os.register_at_fork(after_in_child=self._forget)

    def take(self, count: int) -> bytes:
        """Bytes that were given to nobody else."""
        end = self._at + count
        if end > len(self._bytes):
            self._bytes, end = os.urandom(max(_POOL_BYTES, count)), count
            self._at = 0
        taken = self._bytes[self._at : end]
        self._at = end
        return taken

    def _forget(self) -> None:
        self._bytes, self._at = b"", 0


_POOL_BYTES = 4_096
# One a thread: two threads must not draw the same bytes.
_pools = threading.local()


def random_bytes(count: int) -> bytes:
    """`count` bytes of the operating system's random source."""
    pool = getattr(_pools, "pool", None)
    if pool is None:
        pool = _pools.pool = _Pool()
    return cast("_Pool", pool).take(count)


def new_id(prefix: str) -> str:
    """Make an identifier such as `agt_01JD8X…`."""
    return f"{prefix}_{ulid(time.time_ns() // 1_000_000, random_bytes(10))}"
