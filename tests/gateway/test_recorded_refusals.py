"""Requests that are no calls: recorded when it is known whose token it is, and not when it is nobody's."""

from pathlib import Path
from typing import Any

import pytest

from tests.gateway.served import Served, modern, routing, with_scripted
from tests.gateway.upstreams import Upstream, answering

NEVER = answering(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"[]", 400, "a batch is not taken"),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', 400, "two keys that are equal"),
        (b"\xff", 400, "not UTF-8"),
        (b'{"a":' * 90 + b"1" + b"}" * 90, 400, "nested deeper"),
        (b'"' + b"x" * 2_000_000 + b'"', 413, "larger than"),
        (modern("tools/cull", {}), 404, "the method is not known"),
    ],
    ids=["batch", "duplicate key", "broken UTF-8", "depth", "oversize", "unknown method"],
)
def test_a_malformed_request_of_a_known_agent_is_an_event(tmp_path: Path, body: Any, status: int, reason: str) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()
        headers = {**routing("x"), "Mcp-Method": "tools/cull"} if isinstance(body, dict) else routing("x")
        headers.pop("Mcp-Name", None)

        answer = await served.post(reader, body, **headers)

        event = (await served.events())[-1]
        assert answer.status_code == status
        assert (event.type, event.decision, event.outcome) == ("call.refused", "deny", "refused")
        assert (event.agent, event.agent_name, event.system) == (reader.agent.id, "reader", "crm")
        assert event.token_id is not None
        assert reason in (event.reason or "")
        number = answer.json()["event"] if status == 413 else answer.json()["error"]["data"]["event"]
        assert isinstance(number, int)

    with_scripted(tmp_path, NEVER, act)


def test_a_token_that_has_ended_is_an_event_of_its_agent_and_a_strangers_is_none(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        from tests.rooms import ADMINISTRATOR

        reader = await served.agent()
        body = modern("tools/call", {"name": "get_contact", "arguments": {"id": 1}})
        await served.rooms.agents.suspend("reader", ADMINISTRATOR)

        ended = await served.post(reader, body, **routing("get_contact"))
        forged = await served.client.post(served.url, json=body, headers={"authorization": "Bearer e30.e30.e30"})
        stranger = await served.client.post(served.url, json=body)

        events = await served.events()
        assert [one.status_code for one in (ended, forged, stranger)] == [401, 401, 401]
        assert [(one.type, one.agent, one.reason) for one in events] == [
            ("call.refused", reader.agent.id, "the token was ended")
        ]
        assert ended.json()["event"] is not None
        assert forged.json()["event"] is None

    with_scripted(tmp_path, NEVER, act)
