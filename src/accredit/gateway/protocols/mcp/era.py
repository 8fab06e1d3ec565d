"""Which revision a message speaks, told from the header and the body together, and whether the two agree.

A server that looks at the header alone can be shown one call while it is told of another; so can one that trusts
`Mcp-Name`. Here the body decides, every header that repeats it must agree, and a mixture is refused (revision
2026-07-28, transports, "Header validation").
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import cast

import msgspec

from accredit.errors import InputRefused
from accredit.gateway.protocol import Incoming
from accredit.gateway.protocols.mcp.read import INVALID_PARAMS, INVALID_REQUEST, Message
from accredit.systems.model import Tool

LEGACY = ("2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)
SUPPORTED = (*MODERN, *reversed(LEGACY))

HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

VERSION_HEADER = b"mcp-protocol-version"
METHOD_HEADER = b"mcp-method"
NAME_HEADER = b"mcp-name"
PARAM_PREFIX = b"mcp-param-"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"

NAME_OF = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
_ROUTING = frozenset((VERSION_HEADER, METHOD_HEADER, NAME_HEADER))
_SENTINEL = re.compile(r"=\?base64\?(.*)\?=")
_PLAIN = re.compile(r"[\x20-\x7e]*")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DECIMAL = re.compile(r"(-?[0-9]{1,400})(?:\.(0+))?")
_SCHEMA_DEPTH = 16


class EraMismatch(InputRefused):
    """Header and body do not make one request of one revision. `rpc_code` and `data` are for the JSON-RPC error."""

    code = "era_mismatch"

    def __init__(self, rpc_code: int, explanation: str, data: dict[str, object] | None = None) -> None:
        super().__init__(explanation)
        self.rpc_code = rpc_code
        self.data = data


class Era(msgspec.Struct, frozen=True):
    """`version` is what the header says; None is a legacy client that sent none."""

    version: str | None
    modern: bool


class ParamHeader(msgspec.Struct, frozen=True):
    """An argument that a tool wants repeated in a header: `Mcp-Param-` and the token."""

    path: tuple[str, ...]
    token: str
    type: str


def tell_era(incoming: Incoming, message: Message) -> Era:
    """The revision of a message. Raises EraMismatch."""
    header = _header(incoming, VERSION_HEADER)
    meta = message.params.get("_meta")
    in_body = meta.get(VERSION_KEY) if isinstance(meta, dict) else None
    _check_once(incoming)
    if header is None or header in LEGACY:
        if isinstance(meta, dict) and (VERSION_KEY in meta or CAPABILITIES_KEY in meta):
            raise EraMismatch(HEADER_MISMATCH, "the body is of revision 2026-07-28 or later, the header is not")
        _check_routing(incoming, message, required=False)
        return Era(header, modern=False)
    if message.kind == "response":
        raise EraMismatch(INVALID_REQUEST, "responses are not posted in this revision")
    if message.kind == "notification":
        if header not in MODERN or (in_body is not None and in_body != header):
            raise _unsupported(header)
        return Era(header, modern=True)
    if in_body is None and header not in MODERN:
        raise _unsupported(header)
    if not isinstance(meta, dict) or VERSION_KEY not in meta or CAPABILITIES_KEY not in meta:
        raise EraMismatch(INVALID_PARAMS, f"params._meta needs {VERSION_KEY} and {CAPABILITIES_KEY}")
    if in_body != header:
        raise EraMismatch(HEADER_MISMATCH, "MCP-Protocol-Version differs from the body's protocolVersion")
    _check_routing(incoming, message, required=True)
    if header not in MODERN:
        raise _unsupported(header)
    return Era(header, modern=True)


def check_version(incoming: Incoming) -> Era:
    """The revision of a request without a body. Raises EraMismatch."""
    _check_once(incoming)
    header = _header(incoming, VERSION_HEADER)
    if header is not None and header not in SUPPORTED:
        raise _unsupported(header)
    return Era(header, modern=header in MODERN)


def check_params(incoming: Incoming, tool: Tool | None, arguments: Mapping[str, object]) -> dict[str, str]:
    """Hold `Mcp-Param-*` against the arguments; returns those headers as we write them. Raises EraMismatch.

    A header that the tool's schema does not name is not passed on, and not compared: nothing reads it.
    """
    written: dict[str, str] = {}
    for wanted in param_headers(tool) if tool is not None else ():
        name = PARAM_PREFIX + wanted.token.lower().encode()
        value = _value_at(arguments, wanted.path)
        rendered = _render(value)
        if name in incoming.repeated:
            raise EraMismatch(HEADER_MISMATCH, f"Mcp-Param-{wanted.token} stands twice")
        sent = decode_header(_header(incoming, name))
        if (name in incoming.headers) != (rendered is not None):
            raise EraMismatch(HEADER_MISMATCH, f"Mcp-Param-{wanted.token} and the argument are not both there")
        if rendered is None:
            continue
        if sent is None or not _agrees(wanted, value, rendered, sent):
            raise EraMismatch(HEADER_MISMATCH, f"Mcp-Param-{wanted.token} differs from the argument")
        written[f"mcp-param-{wanted.token.lower()}"] = encode_header(rendered)
    return written


@lru_cache(maxsize=4_096)
def param_headers(tool: Tool) -> tuple[ParamHeader, ...]:
    """The arguments that a tool's schema marks with `x-mcp-header`; none if one of the marks is not allowed.

    Clients drop a tool with a mark that is not allowed, so then no such header is sent or expected.
    """
    try:
        found = list(_marks(msgspec.json.decode(tool.input_schema), ()))
    except (msgspec.DecodeError, _BadMark):
        return ()
    if len({one.token.lower() for one in found}) != len(found):
        return ()
    return tuple(found)


def encode_header(value: str) -> str:
    """A text as a header's value: itself, or base64 between `=?base64?` and `?=` where it would not survive."""
    if _PLAIN.fullmatch(value) and value == value.strip() and not _SENTINEL.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def decode_header(value: str | None) -> str | None:
    """The text of a header's value; None if it is absent or its base64 is not canonical."""
    match = _SENTINEL.fullmatch(value) if value is not None else None
    if match is None:
        return value
    try:
        raw = base64.b64decode(match[1], validate=True)
        text = raw.decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return text if base64.b64encode(raw).decode() == match[1] else None


class _BadMark(Exception):
    """A mark where the specification does not allow one."""


def _marks(schema: object, path: tuple[str, ...]) -> Iterator[ParamHeader]:
    if not isinstance(schema, dict):
        return
    if "x-mcp-header" in schema:
        token, type_ = schema["x-mcp-header"], schema.get("type")
        if not path or not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise _BadMark
        if type_ not in ("string", "integer", "boolean"):
            raise _BadMark
        yield ParamHeader(path, token, type_)
    if len(path) > _SCHEMA_DEPTH:
        raise _BadMark
    for key, part in schema.items():
        if key == "properties" and isinstance(part, dict):
            for name, one in part.items():
                yield from _marks(one, (*path, name))
        elif _holds_mark(part, 0):
            raise _BadMark


def _holds_mark(part: object, depth: int) -> bool:
    if depth > _SCHEMA_DEPTH:
        return True
    if isinstance(part, dict):
        return "x-mcp-header" in part or any(_holds_mark(one, depth + 1) for one in part.values())
    return isinstance(part, list) and any(_holds_mark(one, depth + 1) for one in part)


def _check_once(incoming: Incoming) -> None:
    if incoming.repeated and not _ROUTING.isdisjoint(incoming.repeated):
        raise EraMismatch(HEADER_MISMATCH, "MCP-Protocol-Version, Mcp-Method and Mcp-Name stand once each")


def _check_routing(incoming: Incoming, message: Message, *, required: bool) -> None:
    """`Mcp-Method` and `Mcp-Name` repeat the body, or are not there at all in the revisions before they existed."""
    method = _header(incoming, METHOD_HEADER)
    if (method is None and required) or (method is not None and method != message.method):
        raise EraMismatch(HEADER_MISMATCH, "Mcp-Method differs from the body's method")
    key = NAME_OF.get(message.method)
    name = _header(incoming, NAME_HEADER)
    in_body = message.params.get(key) if key is not None else None
    if name is None and (not required or in_body is None):
        return
    if in_body is None or decode_header(name) != in_body:
        raise EraMismatch(HEADER_MISMATCH, f"Mcp-Name differs from the body's {key or 'parameters'}")


def _unsupported(version: str) -> EraMismatch:
    data: dict[str, object] = {"supported": list(SUPPORTED), "requested": version}
    return EraMismatch(UNSUPPORTED_VERSION, "this revision is not served", data)


def _header(incoming: Incoming, name: bytes) -> str | None:
    value = incoming.headers.get(name)
    return value.decode("latin-1") if value is not None else None


def _value_at(arguments: Mapping[str, object], path: tuple[str, ...]) -> object:
    found: object = arguments
    for key in path:
        if not isinstance(found, Mapping):
            return None
        found = cast("Mapping[str, object]", found).get(key)
    return found


def _render(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _agrees(wanted: ParamHeader, value: object, rendered: str, sent: str) -> bool:
    """Integers compare as numbers: 42 and 42.0 are one."""
    whole = isinstance(value, float) and value.is_integer()
    if wanted.type == "integer" and not isinstance(value, bool) and (isinstance(value, int) or whole):
        match = _DECIMAL.fullmatch(sent)
        return match is not None and int(match[1]) == int(cast("float", value))
    return sent == rendered
