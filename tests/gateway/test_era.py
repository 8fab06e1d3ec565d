"""The revision is told from header and body together; a request that says two things is refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accredit.gateway.protocol import Malformed, Reply
from accredit.gateway.protocols.mcp.era import SUPPORTED, decode_header, encode_header, param_headers
from accredit.systems.model import Tool
from tests.gateway.requests import MCP, MODERN, an_incoming, legacy, modern_headers, read, refused
from tests.gateway.served import modern

TOOL = Tool(
    name="search_contacts",
    input_schema=msgspec.json.encode(
        {
            "type": "object",
            "properties": {
                "tenant": {"type": "string", "x-mcp-header": "Tenant"},
                "limit": {"type": "integer", "x-mcp-header": "Limit"},
                "deep": {"type": "object", "properties": {"flag": {"type": "boolean", "x-mcp-header": "Flag"}}},
            },
        }
    ).decode(),
)
CALL = modern("tools/call", {"name": "search_contacts", "arguments": {"query": "a"}}, "r-1")


def _without(meta_key: str) -> dict[str, Any]:
    meta = {key: value for key, value in CALL["params"]["_meta"].items() if meta_key not in key}
    return {**CALL, "params": {**CALL["params"], "_meta": meta}}


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (_without("protocolVersion"), modern_headers("search_contacts"), (400, -32602, "r-1")),
        (_without("clientCapabilities"), modern_headers("search_contacts"), (400, -32602, "r-1")),
        ({**CALL, "params": {"name": "a"}}, modern_headers("a"), (400, -32602, "r-1")),
        (CALL, {}, (400, -32020, "r-1")),
        (CALL, {"MCP_Protocol_Version": "2025-11-25"}, (400, -32020, "r-1")),
        (CALL, {**modern_headers("search_contacts"), "MCP_Protocol_Version": "2027-01-01"}, (400, -32020, "r-1")),
        (CALL, {**modern_headers("search_contacts"), "Mcp_Method": "tools/list"}, (400, -32020, "r-1")),
        (CALL, {**modern_headers("search_contacts"), "Mcp_Method": "Tools/Call"}, (400, -32020, "r-1")),
        (CALL, {**modern_headers("search_contacts"), "Mcp_Name": "get_contact"}, (400, -32020, "r-1")),
        (CALL, modern_headers(), (400, -32020, "r-1")),
        (CALL, {"MCP_Protocol_Version": MODERN, "Mcp_Name": "search_contacts"}, (400, -32020, "r-1")),
        (CALL, modern_headers("=?base64?c2VhcmNoX2NvbnRhY3Rz"), (400, -32020, "r-1")),
        (CALL, modern_headers("=?base64?c2VhcmNoX2NvbnRhY3Rz!?="), (400, -32020, "r-1")),
        (CALL, modern_headers("=?base64?c2VhcmNoX2NvbnRhY3Rz==?="), (400, -32020, "r-1")),
        (modern("initialize", id_=2), modern_headers(method="initialize"), (404, -32601, 2)),
        (modern("ping", id_=2), modern_headers(method="ping"), (404, -32601, 2)),
        (modern("no/such", id_=2), modern_headers(method="no/such"), (404, -32601, 2)),
        ([CALL], modern_headers("search_contacts"), (400, -32600, None)),
        ({**CALL, "id": None}, modern_headers("search_contacts"), (400, -32600, None)),
        ({**CALL, "id": 1.5}, modern_headers("search_contacts"), (400, -32600, None)),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, modern_headers(), (400, -32600, 1)),
        (b"{", modern_headers("search_contacts"), (400, -32700, None)),
        (legacy("tools/list"), {"MCP_Protocol_Version": "2025-03-26"}, (400, -32022, 1)),
        (legacy("tools/list"), {"MCP_Protocol_Version": "2024-11-05"}, (400, -32022, 1)),
        (legacy("tools/list"), {"MCP_Protocol_Version": "tomorrow"}, (400, -32022, 1)),
        (legacy("tools/list"), {"Mcp_Method": "tools/call"}, (400, -32020, 1)),
        (legacy("tools/call", {"name": "a"}), {"Mcp_Name": "b"}, (400, -32020, 1)),
        (legacy("no/such"), {"MCP_Protocol_Version": "2025-11-25"}, (200, -32601, 1)),
        (legacy("server/discover"), {"MCP_Protocol_Version": "2025-11-25"}, (200, -32601, 1)),
    ],
)
def test_a_request_that_is_not_one_of_one_revision_is_refused(
    body: Any, headers: dict[str, str], expected: tuple[int, int, Any]
) -> None:
    assert refused(an_incoming(body, **headers)) == expected


@pytest.mark.parametrize("name", ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"])
def test_a_routing_header_that_stands_twice_is_refused(name: str) -> None:
    headers = modern_headers("search_contacts")

    same_again = (name, headers[name.replace("-", "_")])

    assert refused(an_incoming(CALL, same_again, **headers)) == (400, -32020, "r-1")


def test_a_version_that_is_not_served_is_told_which_are() -> None:
    body = {**CALL, "params": {**CALL["params"], "_meta": {**CALL["params"]["_meta"]}}}
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2027-01-01"
    headers = {**modern_headers("search_contacts"), "MCP_Protocol_Version": "2027-01-01"}

    with pytest.raises(Malformed) as malformed:
        MCP.read(an_incoming(body, **headers))

    error = msgspec.json.decode(malformed.value.reply(7).body)["error"]
    assert error["code"] == -32022
    assert (error["data"]["supported"], error["data"]["requested"]) == (list(SUPPORTED), "2027-01-01")
    assert error["data"]["event"] == 7


def test_a_name_in_base64_is_compared_decoded() -> None:
    call = read(an_incoming(CALL, **modern_headers("=?base64?c2VhcmNoX2NvbnRhY3Rz?=")))

    assert call.resource == "search_contacts"


def test_a_notification_of_the_newest_revision_is_accepted_and_dropped() -> None:
    body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}

    reply = MCP.read(an_incoming(body, **modern_headers(method="notifications/cancelled")))

    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (202, b"")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_the_newest_revision_is_spoken_by_post_only(method: str) -> None:
    reply = MCP.read(an_incoming(method=method, MCP_Protocol_Version=MODERN))

    assert isinstance(reply, Reply)
    assert reply.status == 405


@pytest.mark.parametrize("type_", ["text/plain", "application/xml", ""])
def test_a_body_of_another_media_type_is_refused(type_: str) -> None:
    assert refused(an_incoming(CALL, content_type=type_, **modern_headers("search_contacts")))[0] == 415


def test_a_compressed_body_is_refused() -> None:
    headers = modern_headers("search_contacts")

    assert refused(an_incoming(CALL, Content_Encoding="gzip", **headers))[0] == 415


@pytest.mark.parametrize(
    ("arguments", "headers", "agrees"),
    [
        ({"tenant": "a"}, {"Mcp_Param_Tenant": "a"}, True),
        ({"tenant": "a"}, {"Mcp_Param_Tenant": "=?base64?YQ==?="}, True),
        ({"tenant": "é"}, {"Mcp_Param_Tenant": "=?base64?w6k=?="}, True),
        ({"limit": 42}, {"Mcp_Param_Limit": "42"}, True),
        ({"limit": 42}, {"Mcp_Param_Limit": "42.0"}, True),
        ({"limit": 42.0}, {"Mcp_Param_Limit": "42"}, True),
        ({"deep": {"flag": True}}, {"Mcp_Param_Flag": "true"}, True),
        ({"tenant": None}, {}, True),
        ({}, {"Mcp_Param_Unknown": "x"}, True),
        ({"tenant": "a"}, {"Mcp_Param_Tenant": "b"}, False),
        ({"tenant": "a"}, {}, False),
        ({}, {"Mcp_Param_Tenant": "a"}, False),
        ({"tenant": None}, {"Mcp_Param_Tenant": "null"}, False),
        ({"tenant": ["a"]}, {"Mcp_Param_Tenant": "a"}, False),
        ({"tenant": "a"}, {"Mcp_Param_Tenant": "=?base64?YQ=?="}, False),
        ({"limit": 42}, {"Mcp_Param_Limit": "4.2e1"}, False),
        ({"limit": 42}, {"Mcp_Param_Limit": "43"}, False),
        ({"deep": {"flag": True}}, {"Mcp_Param_Flag": "True"}, False),
    ],
)
def test_a_parameter_in_a_header_agrees_with_the_argument(
    arguments: dict[str, Any], headers: dict[str, str], agrees: bool
) -> None:
    body = modern("tools/call", {"name": "search_contacts", "arguments": arguments})
    call = read(an_incoming(body, **modern_headers("search_contacts"), **headers))

    if not agrees:
        with pytest.raises(Malformed) as malformed:
            call.learn(TOOL)
        assert msgspec.json.decode(malformed.value.reply(7).body)["error"]["code"] == -32020
        return
    call.learn(TOOL)
    sent = [name for name, _ in call.outgoing().headers if name.startswith("mcp-param-")]
    declared = [name.lower().replace("_", "-") for name in headers if name != "Mcp_Param_Unknown"]
    assert sent == declared


def test_a_parameter_header_that_stands_twice_is_refused() -> None:
    body = modern("tools/call", {"name": "search_contacts", "arguments": {"tenant": "a"}})
    twice = (("Mcp-Param-Tenant", "a"), ("Mcp-Param-Tenant", "a"))
    call = read(an_incoming(body, *twice, **modern_headers("search_contacts")))

    with pytest.raises(Malformed):
        call.learn(TOOL)


@pytest.mark.parametrize(
    "schema",
    [
        {"x-mcp-header": "Root", "type": "string"},
        {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "a b"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": ""}}},
        {"properties": {"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}},
        {"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]},
        {
            "properties": {
                "a": {"type": "string", "x-mcp-header": "A"},
                "b": {"type": "string", "x-mcp-header": "a"},
            }
        },
    ],
)
def test_a_schema_with_a_mark_that_is_not_allowed_has_no_parameter_headers(schema: dict[str, Any]) -> None:
    tool = Tool(name="t", input_schema=msgspec.json.encode({"type": "object", **schema}).decode())

    assert param_headers(tool) == ()


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_a_header_value_comes_back_as_the_text_it_was(text: str) -> None:
    written = encode_header(text)

    assert written.isascii()
    assert written.isprintable()
    assert decode_header(written) == text
