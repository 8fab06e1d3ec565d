r"""The log's way in: an event becomes a salted commitment, and its number comes with the commit.

An entry of the tree is `0x01 ‖ SHA-256("accredit.audit.v1\\0" ‖ nonce ‖ body)`. The nonce is 32 random bytes that
never leave the row, so public tiles say nothing, and a body can go one day without breaking a proof.
"""

import asyncio
import hashlib

import msgspec

from accredit.audit.event import AuditEvent
from accredit.ids import random_bytes
from accredit.storage.schema import EventRow, Recorded
from accredit.storage.writer import Once, Tx, Writer

NONCE_BYTES = 32
_DOMAIN = b"accredit.audit.v1\0"
_ENTRY_TYPE = b"\x01"
_encoder = msgspec.json.Encoder(order="sorted")


def encode_body(event: AuditEvent) -> bytes:
    """The bytes that are committed to and stored: JSON with sorted keys (RFC 8785, see `canonical.py`)."""
    if event.latency_ms is not None:
        rounded = round(event.latency_ms, 3)
        # RFC 8785 §3.2.2.3 writes a whole number without a point.
        event = msgspec.structs.replace(event, latency_ms=int(rounded) if rounded == int(rounded) else rounded)
    return _encoder.encode(event)


def commit_to(nonce: bytes, body: bytes) -> bytes:
    """The 32-byte commitment to a body."""
    return hashlib.sha256(_DOMAIN + nonce + body).digest()


def entry_of(commitment: bytes) -> bytes:
    """The entry of the tree, 33 bytes; its leaf hash is SHA-256(0x00 ‖ entry)."""
    return _ENTRY_TYPE + commitment


def seal_event(event: AuditEvent) -> EventRow:
    """Encode an event and commit to it under a fresh nonce."""
    body = encode_body(event)
    nonce = random_bytes(NONCE_BYTES)
    return EventRow(event.id, nonce, body, commit_to(nonce, body))


class Group:
    """Hot-path events: many requests share one commit."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def add(self, event: AuditEvent, once: tuple[Once, ...] = ()) -> asyncio.Future[Recorded]:
        """Queue an event; the future is done when it is durable.

        It fails with UsedBefore if one of `once` was used before, and with Unavailable if the log cannot be written.
        """
        return self._writer.append(seal_event(event), once)

    def use(self, once: tuple[Once, ...]) -> asyncio.Future[Recorded]:
        """Use values up for something that is no event of its own; fails as `add` does."""
        return self._writer.use(once)


def record(tx: Tx, event: AuditEvent) -> None:
    """Write an event in the transaction of the change that it tells of: both or neither."""
    tx.append(seal_event(event))
