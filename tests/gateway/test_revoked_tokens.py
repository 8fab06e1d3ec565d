"""What a revocation ends at the gateway: the token, what was derived from it, and their open streams."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from accredit.agents.registry import CHANGE as AGENT_CHANGE
from accredit.agents.revocations import CHANGE
from accredit.policy.request import EarlierActor
from tests.gateway.served import AgentWithToken, Served, modern, routing, with_scripted
from tests.gateway.test_streaming import NOTE, Gate
from tests.gateway.upstreams import Upstream, answering_well
from tests.rooms import ADMINISTRATOR

READ = modern("tools/call", {"name": "search_contacts", "arguments": {"query": "a"}})
TOKEN = "tok_parent"


async def _end(served: Served, thing: str) -> None:
    """A revocation, as another process makes it: this one hears of it by the feed."""
    rooms = served.rooms
    await rooms.writer.submit(lambda tx: rooms.revocations.end(tx, thing, rooms.clock.now + 300))
    await rooms.feed.poll()


def _follow(served: Served) -> None:
    served.rooms.feed.subscribe(CHANGE, served.gateway.live.end_revoked)
    served.rooms.feed.subscribe(AGENT_CHANGE, served.gateway.live.end_stale)


async def _open(served: Served, who: AgentWithToken) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_contacts","arguments":{}}}'
    head = (
        "POST /gateway/crm/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {who.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await asyncio.wait_for(reader.readuntil(NOTE), 5)
    return reader, writer


def test_a_derived_token_is_refused_once_its_parent_is_ended(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        derived = await served.token_for(who.agent, lineage=(TOKEN,))
        assert (await served.post(derived, READ, **routing("search_contacts"))).status_code == 200

        await _end(served, TOKEN)

        refused = await served.post(derived, READ, **routing("search_contacts"))
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
        assert (await served.post(who, READ, **routing("search_contacts"))).status_code == 200
        assert len(upstream.received) == 2

    with_scripted(tmp_path, answering_well, act)


async def _revoke_parent(served: Served, _earlier: AgentWithToken) -> None:
    await _end(served, TOKEN)


async def _suspend_earlier(served: Served, earlier: AgentWithToken) -> None:
    await served.rooms.agents.suspend(earlier.agent.name, ADMINISTRATOR)


ENDS: dict[str, tuple[Callable[[Served, AgentWithToken], Awaitable[None]], str]] = {
    "the parent is revoked": (_revoke_parent, "token_ended"),
    "an earlier actor is suspended": (_suspend_earlier, "agent_ended"),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_open_stream_of_a_derived_token_is_cut_when(tmp_path: Path, name: str) -> None:
    gate = Gate()
    end, outcome = ENDS[name]

    async def act(served: Served, upstream: Upstream) -> None:
        _follow(served)
        who, earlier = await served.agent(), await served.agent("earlier")
        actor = EarlierActor(earlier.agent.id, earlier.agent.epoch)
        derived = await served.token_for(who.agent, lineage=(TOKEN,), actors=(actor,))
        reader, writer = await _open(served, derived)

        await end(served, earlier)

        await asyncio.wait_for(gate.left.wait(), 5)
        assert (await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)).strip() == b"0"
        assert await served.outcomes(1) == [outcome]
        assert served.gateway.live.count(who.agent.id) == served.gateway.live.count(earlier.agent.id) == 0
        writer.close()

    with_scripted(tmp_path, gate.stream, act)


def test_a_stream_of_another_token_of_the_same_agent_goes_on(tmp_path: Path) -> None:
    gate = Gate()

    async def act(served: Served, upstream: Upstream) -> None:
        _follow(served)
        who = await served.agent()
        reader, writer = await _open(served, who)

        await _end(served, TOKEN)
        await asyncio.sleep(0.05)
        gate.go_on.set()

        assert b'"result"' in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
        writer.close()

    with_scripted(tmp_path, gate.stream, act)


def test_a_call_that_waits_for_its_answer_is_refused_when_its_token_is_ended(tmp_path: Path) -> None:
    gate = Gate()

    async def act(served: Served, upstream: Upstream) -> None:
        _follow(served)
        who = await served.agent()
        derived = await served.token_for(who.agent, lineage=(TOKEN,))
        pending = asyncio.create_task(served.call(derived, "search_contacts", {"query": "a"}))
        await asyncio.wait_for(gate.arrived.wait(), 5)

        await _end(served, TOKEN)

        answer = await asyncio.wait_for(pending, 5)
        assert answer.json()["result"]["isError"] is True
        assert "ended" in answer.text
        assert await served.outcomes(1) == ["token_ended"]

    with_scripted(tmp_path, gate.silent, act)
