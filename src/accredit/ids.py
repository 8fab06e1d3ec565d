"""Identifiers: a prefix that says what it names, then a ULID (sortable by time, 80 random bits)."""

import os
import time
from collections.abc import Callable
from typing import NewType

AgentId = NewType("AgentId", str)
PersonId = NewType("PersonId", str)
SystemId = NewType("SystemId", str)
CredentialId = NewType("CredentialId", str)
TokenId = NewType("TokenId", str)
EventId = NewType("EventId", str)
KeyId = NewType("KeyId", str)
SessionId = NewType("SessionId", str)

NewId = Callable[[str], str]
"""`new_id("agt")` → `agt_01JD…`. Passed in, so that a test can make ids predictable."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Two characters a step halve the loop: an id is made several times in every request.
_PAIRS = [a + b for a in _CROCKFORD for b in _CROCKFORD]


def ulid(milliseconds: int, randomness: bytes) -> str:
    """Render 48 bits of time and 80 random bits as 26 Crockford characters (the ULID specification)."""
    value = (milliseconds << 80) | int.from_bytes(randomness)
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


def new_id(prefix: str) -> str:
    """Make an identifier such as `agt_01JD8X…`."""
    return f"{prefix}_{ulid(time.time_ns() // 1_000_000, os.urandom(10))}"
