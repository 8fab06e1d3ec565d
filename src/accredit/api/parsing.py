"""What a caller sends → structs, strictly: an unknown or a doubled name is an error, in a body as in a query."""

import json
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from accredit.errors import InputRefused
from accredit.web.problem import MediaTypeRefused

S = TypeVar("S", bound=msgspec.Struct)

SEQ_LIMIT = 2**53 - 1
_QUERY_FIELDS = 16


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No members: what an endpoint without a body, or without a query, takes."""


class BodyInvalid(InputRefused):
    """The body is not JSON of the form that this endpoint takes."""

    code = "invalid_body"


class QueryInvalid(InputRefused):
    """The query string is not of the form that this endpoint takes."""

    code = "invalid_query"


def parse_body(raw: bytes, content_type: bytes, kind: type[S]) -> S:
    """Read a JSON body. Raises MediaTypeRefused and BodyInvalid; an empty body will do where no member is needed."""
    if not raw and may_be_empty(kind):
        return kind()
    if content_type.split(b";")[0].strip().lower() != b"application/json":
        raise MediaTypeRefused("the body must be application/json", next_step="send Content-Type: application/json")
    try:
        value = msgspec.json.decode(raw, type=kind)
        json.loads(raw, object_pairs_hook=_refuse_doubles)
    except msgspec.ValidationError as error:
        raise BodyInvalid(f"the body: {_explain(error)}", next_step="/api/openapi.json describes it") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise BodyInvalid("the body is not JSON in UTF-8 (RFC 8259)", detail=type(error).__name__) from error
    except RecursionError as error:
        raise BodyInvalid("the body is nested too deeply") from error
    return value


def may_be_empty(kind: type[msgspec.Struct]) -> bool:
    """Whether a body of this kind can be left out: each of its members has a default."""
    return all(not field.required for field in msgspec.structs.fields(kind))


def parse_query(raw: bytes, kind: type[S]) -> S:
    """Read a query string. Raises QueryInvalid."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=_QUERY_FIELDS,
        )
    except ValueError as error:
        raise QueryInvalid("the query string is malformed", detail=type(error).__name__) from error
    names = [name for name, _ in pairs]
    if doubled := _doubled(names):
        raise QueryInvalid(f"the query names {doubled[:40]!r} twice")
    try:
        return msgspec.convert(dict(pairs), kind, strict=False)
    except msgspec.ValidationError as error:
        raise QueryInvalid(f"the query: {_explain(error)}", next_step="/api/openapi.json describes it") from error


def parse_seq(text: str) -> int:
    """The number of an event in a path. Raises InputRefused."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(SEQ_LIMIT)) or int(text) > SEQ_LIMIT:
        raise InputRefused("an event is named by its number", next_step="`accredit audit tail` shows the newest")
    return int(text)


def _refuse_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if doubled := _doubled([name for name, _ in pairs]):
        raise BodyInvalid(f"the body names {doubled[:40]!r} twice in one object")
    return dict(pairs)


def _doubled(names: Sequence[str]) -> str | None:
    if len(set(names)) == len(names):
        return None
    return next(name for name in names if names.count(name) > 1)


def _explain(error: msgspec.ValidationError) -> str:
    """Msgspec's message, with the path to the member in plain words: `expected `int`, at limit`."""
    message, _, path = str(error).partition(" - at `")
    where = path.rstrip("`").removeprefix("$.").removeprefix("$")
    small = message[:1].lower() + message[1:]
    return f"{small}, at {where}" if where else small
