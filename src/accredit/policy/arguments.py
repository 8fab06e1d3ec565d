"""Tool arguments as Cedar values: one table for the type that policies are checked with and for the encoding.

Arguments are never passed through: `{"__entity": …}` inside one would become an entity, and a `forbid` that errors on
it would be skipped. What the table cannot say is absent, and named in `args_unmapped`, so that a policy can refuse it.

| JSON Schema | Cedar |
| --- | --- |
| string, whatever its format or enum | String |
| integer | Long; beyond 64 bits absent |
| boolean | Bool |
| number | decimal with four digits, rounded away from zero, so that 500.00001 does not pass a limit of 500 |
| object with properties | record, nested at most 4 deep |
| array of one scalar type | Set, and `<name>_count: Long` |
| array of anything else | `<name>_count: Long` only |
| T or null | optional T |
| other unions | one optional attribute a branch: `<name>_string`, `_long`, `_decimal`, `_bool`, `_record`, `_set` |
| anything else | absent |
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal

import msgspec

from accredit.systems.model import Tool

MAX_NESTING = 4
MAX_PROPERTIES = 2_000
MAX_TEXT = 65_536
MAX_ELEMENTS = 1_000
MAX_REFERENCES = 16

Scalar = Literal["String", "Long", "Bool", "decimal"]

_LONG = 2**63
_EXACT_FLOAT = 2**53
_DECIMAL_STEP = Decimal("0.0001")
_DECIMAL_LIMIT = Decimal(_LONG) / 10_000
_SCALARS: Mapping[str, Scalar] = {"string": "String", "integer": "Long", "boolean": "Bool", "number": "decimal"}
_BRANCH: Mapping[Scalar, str] = {"String": "string", "Long": "long", "Bool": "bool", "decimal": "decimal"}

_SchemaNode = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ScalarShape:
    """A string, integer, boolean or number."""

    type: Scalar


@dataclass(frozen=True, slots=True)
class SetShape:
    """An array: its elements if they are of one scalar type, and in any case their number."""

    element: Scalar | None


@dataclass(frozen=True, slots=True)
class RecordShape:
    """An object with declared properties."""

    properties: Mapping[str, "Property"]

    def attributes(self) -> Iterator[tuple[str, str]]:
        """Each attribute's name, with `?` at the end of an optional one's type."""
        for property_ in self.properties.values():
            yield from property_.attributes()


Shape = ScalarShape | SetShape | RecordShape


@dataclass(frozen=True, slots=True)
class Property:
    """One property: each attribute that it may fill, with the shape that fills it. None: nothing can be said of it."""

    branches: tuple[tuple[str, Shape], ...]
    count_name: str | None
    required: bool
    nullable: bool

    def attributes(self) -> Iterator[tuple[str, str]]:
        """Names and Cedar types of the attributes, `?` at the end of an optional one's type."""
        optional = "" if self.required and not self.nullable and len(self.branches) == 1 else "?"
        for name, shape in self.branches:
            type_ = cedar_type(shape)
            if type_ is not None:
                yield name, type_ + optional
        if self.count_name is not None:
            yield self.count_name, "Long" + optional


@dataclass(frozen=True, slots=True)
class Encoded:
    """Arguments as Cedar JSON, and the paths of those that could not be said, sorted."""

    args: Mapping[str, object]
    unmapped: tuple[str, ...]


NOTHING = RecordShape({})


@lru_cache(maxsize=4_096)
def shape_of(tool: Tool) -> RecordShape:
    """The shape of a tool's arguments. A schema that cannot be read says nothing: every argument is then unmapped."""
    try:
        schema = msgspec.json.decode(tool.input_schema)
    except (ValueError, RecursionError):
        return NOTHING
    if not isinstance(schema, dict):
        return NOTHING
    shape = _Reader(schema).record(schema, depth=0)
    return shape or NOTHING


def encode_arguments(arguments: Mapping[str, object], tool: Tool | None) -> Encoded:
    """Encode a call's arguments by its tool's schema. Never raises, whatever was sent."""
    shape = NOTHING if tool is None else shape_of(tool)
    unmapped: list[str] = []
    args = _encode_record(arguments, shape, "", unmapped)
    return Encoded(args, tuple(sorted(unmapped)))


def cedar_type(shape: Shape) -> str | None:
    """The type of a shape in Cedar's schema language; None for an array of which only the number is known."""
    match shape:
        case ScalarShape(type=type_):
            return type_
        case SetShape(element=element):
            return None if element is None else f"Set<{element}>"
        case RecordShape():
            return record_type(shape.attributes())


def record_type(attributes: Iterator[tuple[str, str]]) -> str:
    """A record type of these attributes (`?` at the end of an optional one's type)."""
    written = [f"{quoted(name)}{'?' * type_.endswith('?')}: {type_.rstrip('?')}" for name, type_ in attributes]
    return "{" + ", ".join(written) + "}"


def quoted(text: str) -> str:
    """A string or attribute name in Cedar's syntax."""
    escaped = "".join(
        f"\\{character}"
        if character in '"\\'
        else character
        if character.isprintable()
        else f"\\u{{{ord(character):x}}}"
        for character in text
    )
    return f'"{escaped}"'


@dataclass(slots=True)
class _Reader:
    """Reads one JSON Schema into a shape, within its bounds."""

    root: _SchemaNode
    properties_left: int = field(default=MAX_PROPERTIES)

    def record(self, schema: _SchemaNode, depth: int) -> RecordShape | None:
        properties = schema.get("properties")
        if depth > MAX_NESTING or not isinstance(properties, dict):
            return None
        required = schema.get("required")
        required_names = set(required) if isinstance(required, list) and _all_texts(required) else set()
        found: dict[str, Property] = {}
        for name, child in properties.items():
            self.properties_left -= 1
            # Cedar's JSON gives names that begin with two underscores a meaning of their own.
            if self.properties_left < 0 or name.startswith("__"):
                continue
            found[name] = self._property(name, child, properties, depth, required=name in required_names)
        return RecordShape(found)

    def _property(self, name: str, schema: object, siblings: _SchemaNode, depth: int, *, required: bool) -> Property:
        kinds, nullable = self._kinds(schema, depth, MAX_REFERENCES)
        shapes = _merged(kinds)
        count_name = f"{name}_count" if any(isinstance(shape, SetShape) for shape in shapes) else None
        if len(shapes) == 1:
            branches: tuple[tuple[str, Shape], ...] = ((name, shapes[0]),)
        else:
            branches = tuple((f"{name}_{_branch_name(shape)}", shape) for shape in shapes)
            branches = tuple((attribute, shape) for attribute, shape in branches if attribute not in siblings)
        if count_name in siblings:
            count_name = None
        return Property(branches, count_name, required, nullable)

    def _kinds(self, schema: object, depth: int, references: int) -> tuple[list[Shape], bool]:
        """The shapes that a value may have, and whether it may be null."""
        if not isinstance(schema, dict) or references < 0:
            return [], False
        if "$ref" in schema:
            return self._kinds(self._resolve(schema["$ref"]), depth, references - 1)
        type_ = schema.get("type")
        if type_ is None:
            return self._union(schema, depth, references)
        shapes: list[Shape] = []
        nullable = False
        for one in type_ if isinstance(type_, list) else [type_]:
            if one == "null":
                nullable = True
            elif (shape := self._typed(one, schema, depth, references)) is not None:
                shapes.append(shape)
        return shapes, nullable

    def _union(self, schema: _SchemaNode, depth: int, references: int) -> tuple[list[Shape], bool]:
        branches = schema.get("anyOf") or schema.get("oneOf")
        only = schema.get("allOf")
        if branches is None and isinstance(only, list) and len(only) == 1:
            branches = only
        if not isinstance(branches, list):
            return [], False
        shapes: list[Shape] = []
        nullable = False
        for branch in branches[:MAX_REFERENCES]:
            found, or_null = self._kinds(branch, depth, references - 1)
            shapes += found
            nullable |= or_null
        return shapes, nullable

    def _typed(self, type_: object, schema: _SchemaNode, depth: int, references: int) -> Shape | None:
        match type_:
            case "object":
                return self.record(schema, depth + 1)
            case "array":
                elements, _ = self._kinds(schema.get("items"), MAX_NESTING, references - 1)
                scalar = elements[0] if len(elements) == 1 else None
                return SetShape(scalar.type if isinstance(scalar, ScalarShape) else None)
            case str() if type_ in _SCALARS:
                return ScalarShape(_SCALARS[type_])
            case _:
                return None

    def _resolve(self, reference: object) -> object:
        """Follow `#/$defs/Name`; references to other documents say nothing."""
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        node: object = self.root
        for part in reference[2:].split("/"):
            if not isinstance(node, dict):
                return None
            node = node.get(part.replace("~1", "/").replace("~0", "~"))
        return node


def _merged(shapes: list[Shape]) -> list[Shape]:
    """One shape a branch name: two records cannot be told apart, and an integer beside a number is a number."""
    if ScalarShape("decimal") in shapes:
        shapes = [shape for shape in shapes if shape != ScalarShape("Long")]
    by_name: dict[str, Shape | None] = {}
    for shape in shapes:
        name = _branch_name(shape)
        by_name[name] = shape if by_name.get(name, shape) == shape else None
    return [shape for shape in by_name.values() if shape is not None]


def _branch_name(shape: Shape) -> str:
    match shape:
        case ScalarShape(type=type_):
            return _BRANCH[type_]
        case SetShape():
            return "set"
        case RecordShape():
            return "record"


def _encode_record(
    value: Mapping[str, object], shape: RecordShape, path: str, unmapped: list[str]
) -> dict[str, object]:
    encoded: dict[str, object] = {}
    for name, item in value.items():
        property_ = shape.properties.get(name)
        here = f"{path}{_sayable(name)}"
        if property_ is None:
            unmapped.append(here)
        elif not (item is None and property_.nullable):
            _encode_property(item, property_, here, encoded, unmapped)
    return encoded


def _encode_property(
    item: object, property_: Property, path: str, encoded: dict[str, object], unmapped: list[str]
) -> None:
    if property_.count_name is not None and isinstance(item, list):
        encoded[property_.count_name] = len(item)
    for attribute, shape in property_.branches:
        found = _encode(item, shape, path, unmapped)
        if found is not None:
            encoded[attribute] = found
            return
    unmapped.append(path)


def _encode(item: object, shape: Shape, path: str, unmapped: list[str]) -> object | None:
    match shape:
        case ScalarShape(type=type_):
            return _encode_scalar(item, type_)
        case SetShape(element=element):
            if element is None or not isinstance(item, list) or len(item) > MAX_ELEMENTS:
                return None
            elements = [_encode_scalar(one, element) for one in item]
            return None if any(one is None for one in elements) else elements
        case RecordShape():
            return _encode_record(item, shape, f"{path}.", unmapped) if isinstance(item, dict) else None


def _encode_scalar(item: object, type_: Scalar) -> object | None:
    match type_:
        case "String":
            return item if isinstance(item, str) and len(item) <= MAX_TEXT and _is_unicode(item) else None
        case "Bool":
            return item if isinstance(item, bool) else None
        case "Long":
            return _encode_long(item)
        case "decimal":
            return _encode_decimal(item)


def _encode_long(item: object) -> int | None:
    if isinstance(item, float) and item.is_integer() and abs(item) < _EXACT_FLOAT:
        item = int(item)
    if not isinstance(item, int) or isinstance(item, bool):
        return None
    return item if -_LONG <= item < _LONG else None


def _encode_decimal(item: object) -> object | None:
    if not isinstance(item, int | float) or isinstance(item, bool):
        return None
    try:
        # The shortest text that names a float is what was sent, not its binary neighbour.
        value = Decimal(repr(item)) if abs(item) < _LONG else None
        rounded = None if value is None else value.quantize(_DECIMAL_STEP, rounding=ROUND_UP)
    except InvalidOperation:  # not a number, or more digits than a decimal has
        return None
    if rounded is None or not -_DECIMAL_LIMIT <= rounded < _DECIMAL_LIMIT:
        return None
    return {"__extn": {"fn": "decimal", "arg": f"{rounded:f}"}}


def _all_texts(values: list[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_unicode(text: str) -> bool:
    """Whether the text can be written: a lone surrogate cannot."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _sayable(name: str) -> str:
    return name if _is_unicode(name) else name.encode("utf-8", "replace").decode()
