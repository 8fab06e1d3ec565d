"""Arguments become Cedar values by their tool's schema; what cannot be said is absent, and named."""

import cedarpy
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accredit.policy.arguments import (
    MAX_NESTING,
    MAX_PROPERTIES,
    MAX_TEXT,
    Encoded,
    encode_arguments,
    record_type,
    shape_of,
)
from accredit.systems.model import Tool
from tests.policy.building import a_tool, a_tool_of

TEXT = {"type": "string"}
WHOLE = {"type": "integer"}


def types(tool: Tool) -> dict[str, str]:
    return dict(shape_of(tool).attributes())


def encoded(tool: Tool | None, **arguments: object) -> Encoded:
    return encode_arguments(arguments, tool)


def decimal(text: str) -> dict[str, object]:
    return {"__extn": {"fn": "decimal", "arg": text}}


@pytest.mark.parametrize(
    ("schema", "type_"),
    [
        ({"type": "string", "format": "date-time"}, {"x": "String?"}),
        ({"type": "string", "enum": ["a", "b"]}, {"x": "String?"}),
        ({"type": "integer"}, {"x": "Long?"}),
        ({"type": "boolean"}, {"x": "Bool?"}),
        ({"type": "number"}, {"x": "decimal?"}),
        ({"type": "array", "items": TEXT}, {"x": "Set<String>?", "x_count": "Long?"}),
        ({"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}}, {"x_count": "Long?"}),
        ({"type": "array"}, {"x_count": "Long?"}),
        ({"type": "object", "properties": {"a": TEXT}}, {"x": '{"a"?: String}?'}),
        ({"type": "object"}, {}),
        ({"type": ["string", "null"]}, {"x": "String?"}),
        ({"anyOf": [WHOLE, {"type": "null"}]}, {"x": "Long?"}),
        ({"oneOf": [WHOLE, TEXT]}, {"x_long": "Long?", "x_string": "String?"}),
        ({"anyOf": [WHOLE, {"type": "number"}]}, {"x": "decimal?"}),
        ({"allOf": [TEXT]}, {"x": "String?"}),
        ({"allOf": [TEXT, {"maxLength": 3}]}, {}),
        ({}, {}),
        ({"not": TEXT}, {}),
        ({"const": 3}, {}),
        ({"enum": ["a"]}, {}),
        ({"type": "teapot"}, {}),
        (True, {}),
    ],
)
def test_each_kind_of_schema_has_its_type(schema: object, type_: dict[str, str]) -> None:
    assert types(a_tool(x=schema)) == type_


def test_a_required_property_is_required_and_a_nullable_one_is_not() -> None:
    tool = a_tool(required=("a", "b"), a=WHOLE, b={"type": ["integer", "null"]})

    assert types(tool) == {"a": "Long", "b": "Long?"}


def test_a_declared_property_comes_before_a_derived_name() -> None:
    tool = a_tool(x={"type": "array", "items": TEXT}, x_count=TEXT, y={"type": ["string", "integer"]}, y_long=TEXT)

    assert types(tool) == {"x": "Set<String>?", "x_count": "String?", "y_string": "String?", "y_long": "String?"}
    assert encoded(tool, y=3) == Encoded({}, ("y",))


def test_references_within_the_schema_are_followed() -> None:
    schema = {
        "type": "object",
        "properties": {"who": {"$ref": "#/$defs/a~1b"}},
        "$defs": {"a/b": {"type": "object", "properties": {"name": TEXT}}},
    }
    tool = Tool(name="t", input_schema=msgspec.json.encode(schema).decode())

    assert encoded(tool, who={"name": "Ada"}) == Encoded({"who": {"name": "Ada"}}, ())


def test_a_reference_to_itself_or_to_elsewhere_says_nothing() -> None:
    schema = {
        "type": "object",
        "properties": {
            "loop": {"$ref": "#/properties/loop"},
            "far": {"$ref": "https://example.com/schema.json"},
            "none": {"$ref": "#/$defs/missing"},
        },
    }
    tool = Tool(name="t", input_schema=msgspec.json.encode(schema).decode())

    assert encoded(tool, loop=1, far=2, none=3) == Encoded({}, ("far", "loop", "none"))


def test_a_schema_that_contains_itself_ends() -> None:
    schema = {
        "type": "object",
        "properties": {name: {"$ref": "#"} for name in "abcdefghij"},
    }
    tool = Tool(name="t", input_schema=msgspec.json.encode(schema).decode())

    text = record_type(shape_of(tool).attributes())

    assert text.count("{") <= MAX_PROPERTIES + 1


def test_records_are_nested_four_deep_at_most() -> None:
    schema: dict[str, object] = {"leaf": TEXT}
    value: dict[str, object] = {"leaf": "x"}
    for level in range(MAX_NESTING + 1):
        schema = {f"l{level}": {"type": "object", "properties": schema}}
        value = {f"l{level}": value}

    result = encoded(a_tool_of(schema), **value)

    assert result.unmapped == ("l4.l3.l2.l1.l0",)


@pytest.mark.parametrize(
    "text", ["", "not json", "[]", "null", "3", "[" * 100_000, '{"type":"object","properties":[]}']
)
def test_a_schema_that_cannot_be_read_says_nothing(text: str) -> None:
    tool = Tool(name="t", input_schema=text)

    assert encoded(tool, a=1, b="x") == Encoded({}, ("a", "b"))


def test_without_a_schema_every_argument_is_named() -> None:
    assert encoded(None, b=1, a={"c": 2}) == Encoded({}, ("a", "b"))


def test_an_unknown_property_is_named_with_its_path() -> None:
    tool = a_tool(place={"type": "object", "properties": {"city": TEXT}})

    result = encoded(tool, place={"city": "Rome", "zip": 1}, more=2)

    assert result == Encoded({"place": {"city": "Rome"}}, ("more", "place.zip"))


def test_null_says_nothing_where_it_may_stand_and_is_named_elsewhere() -> None:
    tool = a_tool(a={"type": ["string", "null"]}, b=TEXT)

    assert encoded(tool, a=None, b=None) == Encoded({}, ("b",))


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (500, "500.0000"),
        (500.1, "500.1000"),
        (500.00001, "500.0001"),
        (-500.00001, "-500.0001"),
        (0.1 + 0.2, "0.3001"),
        (922337203685477, "922337203685477.0000"),
    ],
)
def test_a_number_is_rounded_away_from_zero(sent: float, said: str) -> None:
    assert encoded(a_tool(x={"type": "number"}), x=sent) == Encoded({"x": decimal(said)}, ())


@pytest.mark.parametrize("sent", [1e300, 10**30, 922337203685478, float("nan"), float("inf"), True, "1"])
def test_a_number_out_of_range_or_of_another_type_is_named(sent: object) -> None:
    assert encoded(a_tool(x={"type": "number"}), x=sent) == Encoded({}, ("x",))


@pytest.mark.parametrize("sent", [2**63, -(2**63) - 1, 1.5, 1e18, True, "1", None, [1], {"a": 1}])
def test_a_whole_number_out_of_range_or_of_another_type_is_named(sent: object) -> None:
    assert encoded(a_tool(x=WHOLE), x=sent) == Encoded({}, ("x",))


def test_a_list_with_one_wrong_element_is_named_and_still_counted() -> None:
    tool = a_tool(x={"type": "array", "items": TEXT})

    assert encoded(tool, x=["a", 1]) == Encoded({"x_count": 2}, ("x",))


def test_a_text_that_cannot_be_written_or_is_too_long_is_named() -> None:
    tool = a_tool(a=TEXT, b=TEXT)

    assert encoded(tool, a="\ud800", b="x" * (MAX_TEXT + 1)) == Encoded({}, ("a", "b"))


def test_names_that_mean_something_to_cedar_are_never_attributes() -> None:
    tool = a_tool(__entity=TEXT, __extn={"type": "object", "properties": {"fn": TEXT, "arg": TEXT}})

    result = encoded(tool, __entity="x", __extn={"fn": "ip", "arg": "::1"})

    assert result == Encoded({}, ("__entity", "__extn"))


texts = st.text(st.characters(exclude_categories=()), max_size=5)
names = st.sampled_from(("a", "b", "a_count", "a_string", "__entity", "__extn", "type", "id", "fn", "arg")) | texts
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
json_types = st.sampled_from(("string", "integer", "number", "boolean", "null", "object", "array", "odd"))
schema_names = st.sampled_from(("a", "b", "a_count", "a_string", "__entity", "__extn", "fn", "ö", 'q"\\\n'))
any_schema = st.recursive(
    st.fixed_dictionaries({"type": json_types | st.lists(json_types, max_size=3)}) | st.just({}),
    lambda inner: (
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(schema_names, inner, max_size=4)}
        )
        | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
        | st.fixed_dictionaries({"anyOf": st.lists(inner, max_size=3)})
    ),
    max_leaves=10,
)
any_arguments = st.dictionaries(names, any_json, max_size=5)
any_properties = st.dictionaries(schema_names, any_schema, max_size=5)


@settings(max_examples=150, deadline=None)
@given(any_arguments, any_properties)
def test_any_arguments_become_a_valid_context_of_the_declared_type(
    arguments: dict[str, object], properties: dict[str, object]
) -> None:
    tool = a_tool_of(properties)

    result = encode_arguments(arguments, tool)

    # Everything is optional here (nothing is required), so Cedar checks each value that is there against its type.
    schema = f"""
        entity A;
        action "x" appliesTo {{ principal: A, resource: A, context: {{
            args: {record_type(shape_of(tool).attributes())}, args_unmapped: Set<String>
        }} }};
    """
    context = msgspec.json.encode({"args": result.args, "args_unmapped": result.unmapped}).decode()
    request = {"principal": 'A::"a"', "action": 'Action::"x"', "resource": 'A::"a"', "context": context}
    answer = cedarpy.is_authorized(request, "permit(principal, action, resource);", "[]", schema)
    assert answer.allowed, answer.diagnostics.errors


@settings(max_examples=100, deadline=None)
@given(any_arguments, any_properties)
def test_every_argument_is_said_or_named(arguments: dict[str, object], properties: dict[str, object]) -> None:
    tool = a_tool_of(properties)

    result = encode_arguments(arguments, tool)

    for name, value in arguments.items():
        shown = name.encode("utf-8", "replace").decode()
        said = name in result.args or any(key.startswith(f"{name}_") for key in result.args)
        named = any(path == shown or path.startswith(f"{shown}.") for path in result.unmapped)
        assert said or named or value is None
