"""The head of an HTTP/1.1 answer and where its body ends (RFC 9112). Anything doubtful is invalid."""

import re
from dataclasses import dataclass

from accredit.outbound.failures import UpstreamInvalid

HEAD_BYTES = 65_536
HEADERS = 100
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")

CHUNKED = -1
UNTIL_CLOSE = -2


@dataclass(frozen=True, slots=True)
class Head:
    """`headers` has lower-case names. `length` is the body's bytes, or CHUNKED, or UNTIL_CLOSE."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    length: int
    keep_alive: bool

    def header(self, name: bytes) -> bytes | None:
        """The value of a header that stands once, None if it is absent. Raises UpstreamInvalid if it is repeated."""
        found = [value for key, value in self.headers if key == name]
        if len(found) > 1:
            raise UpstreamInvalid("a header that may stand once is repeated", detail=name.decode("latin-1"))
        return found[0] if found else None


def parse_head(block: bytes, method: str) -> Head:
    """Read the status line and the headers, `block` being without the empty line. Raises UpstreamInvalid."""
    lines = block.split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(lines[0])
    if status_line is None:
        raise UpstreamInvalid("the answer is not HTTP/1.1", detail=repr(lines[0][:80]))
    if len(lines) - 1 > HEADERS:
        raise UpstreamInvalid(f"the answer has more than {HEADERS} headers")
    headers = tuple([_parse_line(line) for line in lines[1:]])
    status = int(status_line[2])
    length = _length(status, headers, method)
    keep_alive = status_line[1] == b"1" and length != UNTIL_CLOSE and not _says_close(headers)
    return Head(status, headers, length, keep_alive)


def parse_chunk_size(line: bytes) -> int:
    """The number of bytes in the next chunk (RFC 9112 §7.1). Raises UpstreamInvalid."""
    match = _CHUNK_SIZE.fullmatch(line)
    if match is None:
        raise UpstreamInvalid("a chunk has no size", detail=repr(line[:40]))
    return int(match[1], 16)


def _parse_line(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    value = value.strip(b" \t")
    # A folded line begins with a space, which no name has (RFC 9112 §5.2).
    if not colon or _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
        raise UpstreamInvalid("a header line is malformed", detail=repr(line[:80]))
    return name.lower(), value


def _length(status: int, headers: tuple[tuple[bytes, bytes], ...], method: str) -> int:
    """Where the body ends (RFC 9112 §6.3); both a length and an encoding is the sign of smuggling."""
    lengths = {value for name, value in headers if name == b"content-length"}
    encodings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if method == "HEAD" or status in (204, 304) or status // 100 == 1:
        return 0
    if encodings:
        if lengths or encodings != [b"chunked"]:
            raise UpstreamInvalid("the answer's length is given in two ways or in an unknown encoding")
        return CHUNKED
    if not lengths:
        return UNTIL_CLOSE
    only = lengths.pop()
    if lengths or _LENGTH.fullmatch(only) is None:
        raise UpstreamInvalid("the answer's Content-Length is malformed or given twice")
    return int(only)


def _says_close(headers: tuple[tuple[bytes, bytes], ...]) -> bool:
    return any(name == b"connection" and b"close" in value.lower() for name, value in headers)
