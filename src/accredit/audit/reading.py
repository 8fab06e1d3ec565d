"""Reading the log: events, proofs, and the public files, all from the database."""

import base64
from functools import partial
from typing import Protocol

import msgspec

from accredit.audit import store, tree
from accredit.audit.checkpoint import parse_checkpoint_text, parse_note
from accredit.audit.errors import LogBroken
from accredit.audit.event import AuditEvent
from accredit.audit.group import entry_of
from accredit.audit.proof import TlogProof, encode_proof
from accredit.audit.tiles import WIDTH, EntryBundle, Tile, pack_entries, parse_path
from accredit.errors import NotFound
from accredit.ids import EventId
from accredit.storage.transactions import Transactions

PAGE_LIMIT = 1_000
_OUTCOME_WITHIN_EVENTS = 4_096
_event_decoder = msgspec.json.Decoder(AuditEvent)


class LoggedEvent(msgspec.Struct, frozen=True):
    """An event with its number, and the very bytes that its commitment was made from."""

    seq: int
    event: AuditEvent
    nonce: bytes
    body: bytes

    def json(self) -> bytes:
        """The event as it is shown: the committed body, with `seq` put before it."""
        return b'{"seq":%d,' % self.seq + self.body[1:]


class RemovedEvent(msgspec.Struct, frozen=True):
    """An event whose body was removed. Its commitment stays, and so does every proof."""

    seq: int
    id: EventId
    commitment: bytes

    def json(self) -> bytes:
        """What is left to show."""
        left = {
            "seq": self.seq,
            "id": self.id,
            "removed": True,
            "commitment": base64.b64encode(self.commitment).decode(),
        }
        return msgspec.json.encode(left)


class EventProof(msgspec.Struct, frozen=True):
    r"""All that is needed to check one event offline.

    `entry` is 0x01 ‖ SHA-256("accredit.audit.v1\0" ‖ nonce ‖ event), where `event` is the committed body, byte for
    byte; `proof` is a `tlog-proof` for the entry. Both `event` and `nonce` are None if the body was removed.
    In JSON `nonce` and `entry` are base64.
    """

    seq: int
    event: msgspec.Raw | None
    nonce: bytes | None
    entry: bytes
    proof: str

    def json(self) -> bytes:
        """One JSON object."""
        return msgspec.json.encode(self)


class Coverage(Protocol):
    """Who can bring the newest events under a checkpoint: the sequencer."""

    @property
    def keys(self) -> str:
        """The log's verifier keys, one a line."""

    async def cover(self, seq: int) -> str:
        """Return a checkpoint whose tree holds event `seq`. Raises NotFound if there is no such event."""


class AuditLog:
    """The log as others see it. It only reads."""

    def __init__(self, transactions: Transactions, sequencer: Coverage) -> None:
        self._transactions = transactions
        self._sequencer = sequencer

    async def event(self, seq: int) -> LoggedEvent | RemovedEvent:
        """One event. Raises NotFound, and LogBroken if its body is not an event."""
        found = await self._transactions.read(partial(store.load_event, seq=seq))
        if found is None:
            raise NotFound(f"the log has no event {seq}", next_step="see the newest: accredit audit tail")
        return _logged(found)

    async def event_by_id(self, event_id: str) -> LoggedEvent | RemovedEvent:
        """The event with this id. Raises NotFound, and LogBroken if its body is not an event."""
        found = await self._transactions.read(partial(store.load_event_by_id, event_id=event_id))
        if found is None:
            raise NotFound("the log has no event with this id")
        return _logged(found)

    async def latest(self, limit: int) -> list[LoggedEvent | RemovedEvent]:
        """At most `limit` events (1,000 at most), newest first."""
        return [
            _logged(row)
            for row in await self._transactions.read(partial(store.load_before, seq=None, limit=_limit(limit)))
        ]

    async def before(self, seq: int, limit: int) -> list[LoggedEvent | RemovedEvent]:
        """At most `limit` events with smaller numbers, newest first."""
        return [
            _logged(row)
            for row in await self._transactions.read(partial(store.load_before, seq=seq, limit=_limit(limit)))
        ]

    async def after(self, seq: int, limit: int) -> list[LoggedEvent | RemovedEvent]:
        """At most `limit` events with greater numbers, oldest first; -1 begins at the beginning."""
        return [
            _logged(row)
            for row in await self._transactions.read(partial(store.load_after, seq=seq, limit=_limit(limit)))
        ]

    async def count(self) -> int:
        """How many events are committed."""
        return await self._transactions.read(store.count_events)

    async def outcome(self, decision: LoggedEvent) -> LoggedEvent | None:
        """The event that tells how a decision ended, if it is among the 4,096 that follow it.

        The way back, from an outcome to its decision, is `event_by_id(outcome.event.of)` and finds every one.
        """
        wanted = decision.event.id
        # The id is looked for as bytes, and only what holds it is decoded.
        query = partial(store.load_mentioning, seq=decision.seq, within=_OUTCOME_WITHIN_EVENTS, text=wanted.encode())
        events = [_logged(row) for row in await self._transactions.read(query)]
        return next((found for found in events if isinstance(found, LoggedEvent) and found.event.of == wanted), None)

    async def prove(self, seq: int) -> EventProof:
        """Prove one event against a signed checkpoint, made now if none covers it yet.

        Raises NotFound, LogBroken and Unavailable.
        """
        note = await self._sequencer.cover(seq)
        checkpoint = parse_checkpoint_text(parse_note(note).text)
        stored = await self._transactions.read(partial(store.load_event, seq=seq))
        if stored is None:
            raise LogBroken("an event is missing from the database", seq=seq)
        path = partial(store.load_inclusion_proof, index=seq, size=checkpoint.size)
        proof = TlogProof(seq, await self._transactions.read(path), note)
        kept = stored.body is not None and stored.nonce is not None
        return EventProof(
            seq=seq,
            event=msgspec.Raw(stored.body) if stored.body is not None and kept else None,
            nonce=stored.nonce if kept else None,
            entry=entry_of(stored.commitment),
            proof=encode_proof(proof),
        )

    async def checkpoint(self) -> str:
        """The newest checkpoint, a signed note. Raises NotFound if the log was never started."""
        row = await self._transactions.read(store.load_log)
        if row is None or not row.checkpoint:
            raise NotFound("the log has no checkpoint yet", next_step="try again in a second")
        return row.checkpoint

    def keys(self) -> str:
        """The log's verifier keys, one a line."""
        return self._sequencer.keys

    async def tile(self, level: int, number: int, width: int = WIDTH) -> bytes:
        """The first `width` hashes of a tile. Raises NotFound if it has not as many."""
        data = await self._transactions.read(partial(store.load_tile, level=level, number=number))
        if data is None or len(data) < width * tree.HASH_BYTES:
            raise NotFound("the tree has no such tile")
        return data[: width * tree.HASH_BYTES]

    async def entries(self, number: int, width: int = WIDTH) -> bytes:
        """The bundle of the first `width` entries under a tile of level 0. Raises NotFound if it has not as many."""
        row = await self._transactions.read(store.load_log)
        start, end = number * WIDTH, number * WIDTH + width
        if row is None or end > row.tree_size:
            raise NotFound("the tree has no such entries")
        commitments = await self._transactions.read(partial(store.load_commitments, start=start, end=end))
        return pack_entries([entry_of(commitment) for commitment in commitments])

    async def file(self, path: str) -> bytes:
        """A public file by its path, `tile/…`. Raises InputRefused for another path, and NotFound."""
        match parse_path(path):
            case Tile(level, number, width):
                return await self.tile(level, number, width)
            case EntryBundle(number, width):
                return await self.entries(number, width)


def _logged(stored: store.StoredEvent) -> LoggedEvent | RemovedEvent:
    if stored.body is None or stored.nonce is None:
        return RemovedEvent(stored.seq, EventId(stored.id), stored.commitment)
    try:
        event = _event_decoder.decode(stored.body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise LogBroken("what is stored for this event is not an event", seq=stored.seq, detail=str(error)) from error
    return LoggedEvent(stored.seq, event, stored.nonce, stored.body)


def _limit(limit: int) -> int:
    return max(0, min(limit, PAGE_LIMIT))
