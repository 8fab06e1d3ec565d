"""The head of an HTTP/1.1 answer and where its body ends (RFC 9112). Anything doubtful is invalid."""

import re

import msgspec

from accredit.outbound.failures import UpstreamInvalid

HEAD_BYTES = 65_536
HEADERS = 100
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)(?:\r\n|\Z)")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]{0,8}(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_BLANKS = b" \t"

CHUNKED = -1
UNTIL_CLOSE = -2


class Head(msgspec.Struct, frozen=True):
    """`headers` has lower-case names; `length` is the body's bytes, or CHUNKED, or UNTIL_CLOSE."""

    status: int
    headers: dict[bytes, bytes]
    repeated: frozenset[bytes]
    length: int
    keep_alive: bool

    def header(self, name: bytes) -> bytes | None:
        """The value of a header that stands once, None if it is absent. Raises UpstreamInvalid if it is repeated."""
        if name in self.repeated:
            raise UpstreamInvalid("a header that may stand once is repeated", detail=name.decode("latin-1"))
        return self.headers.get(name)


def parse_head(block: bytes, method: str) -> Head:
    """Read the status line and the headers, `block` being without the empty line. Raises UpstreamInvalid."""
    first, _, lines = block.partition(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(first)
    if status_line is None:
        raise UpstreamInvalid("the answer is not HTTP/1.1", detail=repr(first[:80]))
    headers, repeated = _parse_lines(lines)
    status = int(status_line[2])
    length = _length(status, headers, repeated, method)
    closes = status_line[1] == b"0" or b"close" in headers.get(b"connection", b"").lower()
    return Head(status, headers, repeated, length, length != UNTIL_CLOSE and not closes)


def parse_chunk_size(line: bytes) -> int:
    """The number of bytes in the next chunk (RFC 9112 §7.1). Raises UpstreamInvalid."""
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise UpstreamInvalid("a chunk has no size", detail=repr(line[:40]))
    return int(match[1], 16)


def _parse_lines(lines: bytes) -> tuple[dict[bytes, bytes], frozenset[bytes]]:
    headers: dict[bytes, bytes] = {}
    repeated: set[bytes] = set()
    position, count = 0, 0
    while position < len(lines):
        # A folded line begins with a blank, which no name has (RFC 9112 §5.2).
        line = _LINE.match(lines, position)
        count += 1
        if line is None or count > HEADERS:
            shown = repr(lines[position : position + 80])
            raise UpstreamInvalid("a header line is malformed, or there are too many", detail=shown)
        name = line[1].lower()
        if name in headers:
            repeated.add(name)
        headers[name] = line[2].strip(_BLANKS)
        position = line.end()
    return headers, frozenset(repeated)


def _length(status: int, headers: dict[bytes, bytes], repeated: frozenset[bytes], method: str) -> int:
    """Where the body ends (RFC 9112 §6.3); both a length and an encoding is the sign of smuggling."""
    if method == "HEAD" or status in (204, 304) or status // 100 == 1:
        return 0
    if b"content-length" in repeated or b"transfer-encoding" in repeated:
        raise UpstreamInvalid("the answer's length is given twice")
    length, encoding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    if encoding is not None:
        if length is not None or encoding.lower() != b"chunked":
            raise UpstreamInvalid("the answer's length is given in two ways or in an unknown encoding")
        return CHUNKED
    if length is None:
        return UNTIL_CLOSE
    if _LENGTH.fullmatch(length) is None:
        raise UpstreamInvalid("the answer's Content-Length is malformed", detail=repr(length[:40]))
    return int(length)
