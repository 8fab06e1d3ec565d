"""The log as one file that verifies offline (`fsck.verify_export`), made in bounded memory.

The form, version 1: lines of JSON, each ending in a newline, UTF-8, no spaces, members in the order given here.

- The first line is `{"format":"accredit.export.v1","checkpoint":NOTE,"keys":[VKEY,…]}`: a signed checkpoint over as
  many events as lines follow, and the log's own verifier keys. Trust comes from a key that the reader has already.
- Then one line an event, from 0 upwards:
  `{"seq":N,"commitment":BASE64,"nonce":BASE64,"body":{…}}`. `body` is byte for byte what was committed to:
  `commitment` is SHA-256("accredit.audit.v1" ‖ 0x00 ‖ nonce ‖ body), and the entry of the tree is 0x01 ‖ commitment.
  `nonce` and `body` are null where the body was removed.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Final, Literal

import msgspec

from accredit.audit import store
from accredit.audit.checkpoint import parse_checkpoint_text, parse_note
from accredit.audit.errors import LogBroken
from accredit.audit.reading import Coverage
from accredit.errors import NotFound
from accredit.storage.transactions import Transactions

FORMAT: Final = "accredit.export.v1"
REMOVED_BODY = msgspec.Raw(b"null")
MEDIA_TYPE = "application/jsonl"
_EVENTS_A_PAGE = 1_000
_encoder = msgspec.json.Encoder()


class ExportHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of an export."""

    format: Literal["accredit.export.v1"]
    checkpoint: str
    keys: tuple[str, ...]


class ExportedEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of an export. `body` is the JSON value as it stands in the line, `null` where it was removed."""

    seq: int
    commitment: bytes
    nonce: bytes | None
    body: msgspec.Raw


async def export(transactions: Transactions, sequencer: Coverage) -> AsyncIterator[bytes]:
    """The bytes of an export of every event that is committed now, some lines at a time.

    Raises LogBroken if an event is missing, NotFound if the log was never started, and Unavailable.
    """
    count = await transactions.read(store.count_events)
    note = await sequencer.cover(count - 1) if count else await _present_checkpoint(transactions)
    size = parse_checkpoint_text(parse_note(note).text).size
    yield _line(ExportHead(FORMAT, note, tuple(sequencer.keys.split())))
    start = 0
    while start < size:
        limit = min(_EVENTS_A_PAGE, size - start)
        events = await transactions.read(partial(store.load_after, seq=start - 1, limit=limit))
        if not events:
            raise LogBroken("an event is missing from the database", seq=start)
        yield b"".join([_event_line(event) for event in events])
        start = events[-1].seq + 1


async def _present_checkpoint(transactions: Transactions) -> str:
    row = await transactions.read(store.load_log)
    if row is None or not row.checkpoint:
        raise NotFound("the log was never started")
    return row.checkpoint


def _event_line(event: store.StoredEvent) -> bytes:
    if event.nonce is None or event.body is None:
        return _line(ExportedEvent(event.seq, event.commitment, None, REMOVED_BODY))
    return _line(ExportedEvent(event.seq, event.commitment, event.nonce, msgspec.Raw(event.body)))


def _line(value: msgspec.Struct) -> bytes:
    return _encoder.encode(value) + b"\n"
