"""What was decided on is what is sent: our own encoding, headers written from it, nothing of the client's."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accredit.gateway.protocol import Malformed
from accredit.gateway.protocols.mcp.era import decode_header, encode_header
from accredit.gateway.protocols.mcp.read import parse_json
from tests.gateway.requests import MODERN, an_incoming, legacy, modern_headers, read
from tests.gateway.served import modern
from tests.gateway.test_read import VALUES

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(deadline=None)
@given(name=NAMES, arguments=st.dictionaries(st.text("abcdef", max_size=4), VALUES, max_size=4), id_=st.integers(-9, 9))
def test_the_upstream_reads_exactly_what_was_decided_on(name: str, arguments: dict[str, Any], id_: int) -> None:
    body = modern("tools/call", {"name": name, "arguments": arguments}, id_)

    call = read(an_incoming(body, **modern_headers(encode_header(name))))

    outgoing = call.outgoing()
    assert outgoing.body is not None
    sent: Any = parse_json(outgoing.body)
    headers = dict(outgoing.headers)
    assert repr(sent["params"]["arguments"]) == repr(call.arguments) == repr(arguments)
    assert sent["params"]["name"] == call.resource == name
    assert sent == body
    assert decode_header(headers["mcp-name"]) == name
    assert headers["mcp-method"] == sent["method"]


def test_spelling_is_ours() -> None:
    raw = (
        b' { "jsonrpc" : "2.0", "method":"tools/call", "id": 1,\n'
        b'"params":{"name":"search\\u005fcontacts","arguments":{"a":1.50,"b":"\\u00e9"}}}'
    )

    body = read(an_incoming(raw)).outgoing().body

    arguments = '{"a":1.5,"b":"é"}'
    call = '{"jsonrpc":"2.0","method":"tools/call","id":1,"params":{"name":"search_contacts","arguments":'
    assert body == f"{call}{arguments}}}}}".encode()


def test_no_header_of_the_client_is_passed_on() -> None:
    hostile = {
        "Authorization": "Bearer secret",
        "Cookie": "a=b",
        "Forwarded": "for=1.2.3.4",
        "X_Forwarded_For": "1.2.3.4",
        "X_Accredit_Agent": "root",
        "X_Envoy_Internal": "true",
        "X_Api_Key": "k",
        "Traceparent": "00-1",
        "Accept": "text/html",
        "User_Agent": "evil",
        "Origin": "http://localhost:8400",
        "Mcp_Param_Tenant": "other",
        "Connection": "X-Secret",
        "Te": "trailers",
    }

    headers = read(an_incoming(legacy("tools/call", {"name": "a"}), **hostile)).outgoing().headers

    assert headers == [
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
        ("user-agent", "accredit"),
    ]


def test_our_own_names_in_meta_are_taken_out() -> None:
    body = legacy("tools/call", {"name": "a", "_meta": {"Accredit/event": 1, "accredit/policies": [], "x": 1}})

    sent = msgspec.json.decode(read(an_incoming(body)).outgoing().body or b"")

    assert sent["params"]["_meta"] == {"x": 1}


def test_the_newest_revision_has_no_session() -> None:
    body = modern("tools/list")

    call = read(an_incoming(body, Mcp_Session_Id="stolen", **modern_headers(method="tools/list")))

    assert call.session is None
    assert "mcp-session-id" not in dict(call.outgoing().headers)
    assert dict(call.outgoing().headers)["mcp-protocol-version"] == MODERN


@pytest.mark.parametrize(("asked", "sent"), [("2025-06-18", "2025-06-18"), ("2025-03-26", "2025-11-25")])
def test_a_session_is_asked_for_in_a_revision_that_we_serve(asked: str, sent: str) -> None:
    params = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}

    body = read(an_incoming(legacy("initialize", params))).outgoing().body

    assert msgspec.json.decode(body or b"")["params"]["protocolVersion"] == sent


@pytest.mark.parametrize(
    ("method", "params", "action"),
    [
        ("tools/call", {"name": "search_contacts"}, "crm.contacts.search"),
        ("tools/call", {"name": "Search_Contacts"}, "tools/call Search_Contacts"),
        ("tools/call", {"name": "search_contacts", "task": {}}, "tools/call as a task"),
        ("prompts/get", {"name": "follow_up"}, "crm.prompts.follow-up"),
        ("prompts/get", {"name": "search_contacts"}, "prompts/get search_contacts"),
        ("resources/read", {"uri": "crm://contacts/1"}, "crm.contacts.read"),
        ("resources/read", {"uri": "crm://contacts/../deals/1"}, "resources/read crm://contacts/../deals/1"),
        ("resources/subscribe", {"uri": "crm://contacts/1"}, "crm.contacts.read"),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "follow_up"}}, "crm.prompts.follow-up"),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "crm://contacts/{id}"}}, "crm.contacts.read"),
        ("logging/setLevel", {"level": "debug"}, "logging/setLevel"),
        ("tasks/get", {"taskId": "1"}, "tasks/get"),
        ("tools/list", {}, "mcp.session"),
        ("ping", {}, "mcp.session"),
        ("initialize", {}, "mcp.session"),
    ],
)
def test_each_method_is_an_operation_the_session_or_nothing_that_is_known(
    method: str, params: dict[str, Any], action: str
) -> None:
    call = read(an_incoming(legacy(method, params)))

    assert call.action == action
    assert (call.operation is not None) == (action.startswith("crm."))


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {}),
        ("tools/call", {"name": ""}),
        ("tools/call", {"name": 1}),
        ("tools/call", {"name": "x" * 5_000}),
        ("tools/call", {"name": "a", "arguments": []}),
        ("tools/call", {"name": "a", "arguments": None}),
        ("resources/read", {}),
        ("prompts/get", {"name": None}),
        ("completion/complete", {}),
        ("completion/complete", {"ref": {"type": "ref/other"}}),
    ],
)
def test_parameters_that_do_not_say_what_is_meant_are_refused(method: str, params: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as malformed:
        read(an_incoming(legacy(method, params)))

    assert msgspec.json.decode(malformed.value.reply(7).body)["error"]["code"] == -32602
