"""Server-sent events as they arrive, cut where one event ends and the next begins (HTML §9.2, "Parsing").

Half an event is of no use to a client, so waiting for its end delays nothing.
"""

import re
from dataclasses import dataclass

from accredit.outbound.failures import UpstreamInvalid

EVENT_BYTES = 4 * 1_048_576
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Two ends of line in a row. `\r\n` is one end, so `\r` before `\n` never counts as two.
_BLANK_LINE = re.compile(rb"\n\n|\n\r\n?|\r\r\n?")


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its bytes as they came, and its data joined by newlines."""

    raw: bytes
    data: bytes

    def with_data(self, data: bytes) -> bytes:
        """The same event with other data of one line."""
        kept = [line for line in self.raw.splitlines() if line and not _is_field(line, b"data")]
        return b"\n".join([*kept, b"data: " + data, b"", b""])


class EventSplitter:
    """Takes pieces, gives whole events."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begun = False
        self._skip_newline = False

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes. Raises UpstreamInvalid if one grows beyond EVENT_BYTES."""
        if self._skip_newline and piece:
            # It belongs to the `\r` that ended the last event.
            piece = piece.removeprefix(b"\n")
            self._skip_newline = False
        buffer = self._buffer
        # What was looked through before holds no blank line, but for one that may begin in its last three bytes.
        look_from = max(0, len(buffer) - 3)
        buffer += piece
        if not self._begun and len(buffer) >= len(_BYTE_ORDER_MARK):
            # HTML §9.2.5: one mark at the beginning is no part of the first line.
            self._begun = True
            if buffer.startswith(_BYTE_ORDER_MARK):
                del buffer[: len(_BYTE_ORDER_MARK)]
                look_from = 0
        events: list[Event] = []
        start = 0
        while (blank := _BLANK_LINE.search(buffer, max(start, look_from))) is not None:
            end = blank.end()
            self._skip_newline = end == len(buffer) and buffer[end - 1 : end] == b"\r"
            events.append(parse_event(bytes(buffer[start:end])))
            start = end
        # A match holds on to the buffer, which then cannot shrink.
        blank = None
        del buffer[:start]
        if len(buffer) > EVENT_BYTES:
            raise UpstreamInvalid(f"an event of the answer is larger than {EVENT_BYTES} bytes")
        return events


def parse_event(raw: bytes) -> Event:
    """Read the fields of one event."""
    lines = raw.splitlines()
    data = [_value(line) for line in lines if _is_field(line, b"data")]
    return Event(raw, b"\n".join(data))


def _is_field(line: bytes, name: bytes) -> bool:
    return line == name or line.startswith(name + b":")


def _value(line: bytes) -> bytes:
    value = line.partition(b":")[2]
    return value[1:] if value.startswith(b" ") else value
