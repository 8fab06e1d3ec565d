"""The schemas of an upstream's tools are learned: by its newest revision, else by a session, within bounds."""

import asyncio
from pathlib import Path

import msgspec
import pytest
import uvloop

from accredit.gateway.discover import REFRESH_SECONDS, RETRY_SECONDS, ToolSchemas, discover_tools
from accredit.outbound import Outbound
from accredit.outbound.failures import UpstreamFailure
from accredit.policy.permit import Decision
from accredit.policy.request import AccessRequest
from accredit.storage.writer import Once
from accredit.systems.model import System, Tool
from tests.examples.conftest import RunningCrm
from tests.gateway.requests import CRM
from tests.gateway.served import Served, manifest, open_gateway, with_gateway
from tests.gateway.upstreams import (
    A_TOOL,
    OK,
    REFUSED,
    Handler,
    Received,
    answering,
    result_of,
    scripted,
    sessions_only,
)
from tests.rooms import ADMINISTRATOR, Rooms, with_rooms


def _discover(handle: Handler) -> tuple[list[Tool], list[str]]:
    async def run() -> tuple[list[Tool], list[str]]:
        async with scripted(handle) as upstream:
            outbound = Outbound(2.0, 5.0)
            try:
                tools = await discover_tools(outbound, msgspec.structs.replace(CRM, upstream=upstream.url))
            finally:
                await outbound.close()
            return tools, [request.method for request in upstream.received]

    return uvloop.run(run())


def test_a_real_server_lists_its_tools_with_their_schemas(tmp_path: Path, crm: RunningCrm) -> None:
    async def act(served: Served) -> None:
        reader = await served.agent()

        await served.call(reader, "search_contacts", {"query": "a"})

        tools = served.rooms.systems.tools("crm")
        assert tools is not None
        assert len(tools) == 7
        assert '"query"' in tools["search_contacts"].input_schema

    with_gateway(tmp_path, crm.url, act)


def test_a_server_of_an_earlier_revision_is_asked_in_a_session_that_is_closed() -> None:
    tools, methods = _discover(sessions_only)

    assert [tool.name for tool in tools] == ["a", "b"]
    assert methods == ["POST", "POST", "POST", "POST", "POST", "DELETE"]


async def _endless(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(result_of(request, {"tools": [A_TOOL], "nextCursor": "again"}))


@pytest.mark.parametrize(
    "handle",
    [
        answering(b"", close=True),
        answering(OK, b"{}"),
        answering(REFUSED),
        answering(OK, b'{"jsonrpc":"2.0","id":%ID%,"result":{"tools":{}}}'),
        answering(OK, b'{"jsonrpc":"2.0","id":%ID%,"result":{"tools":[{"name":"a"}]}}'),
        answering(OK, b'{"jsonrpc":"2.0","id":%ID%,"result":{"tools":[{"name":1,"inputSchema":{}}]}}'),
        answering(OK, b'{"jsonrpc":"2.0","id":%ID%,"error":{"code":1,"message":"no"}}'),
        _endless,
    ],
)
def test_nonsense_and_lists_without_an_end_are_failures(handle: Handler) -> None:
    with pytest.raises(UpstreamFailure):
        _discover(handle)


class Counting:
    """Counts how often an upstream was asked; answers when it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer = asyncio.Event()

    async def __call__(self, system: System) -> list[Tool]:
        self.asked += 1
        await self.answer.wait()
        return [Tool(name="search_contacts", input_schema='{"type":"object"}')]


def test_calls_at_once_ask_once_and_an_hour_later_again(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        system = await rooms.systems.add(manifest("http://127.0.0.1:1/"), "crm.toml", ADMINISTRATOR)
        discover = Counting()
        schemas = ToolSchemas(rooms.systems, discover, rooms.clock)

        waiting = [asyncio.create_task(schemas.tool(system, "search_contacts")) for _ in range(5)]
        await asyncio.sleep(0.01)
        discover.answer.set()
        found = await asyncio.gather(*waiting)
        assert discover.asked == 1
        assert all(tool is not None and tool.name == "search_contacts" for tool in found)

        rooms.clock.move(REFRESH_SECONDS - 1)
        assert await schemas.tool(system, "unheard_of") is None
        assert discover.asked == 1
        rooms.clock.move(2)
        await schemas.tool(system, "search_contacts")
        await asyncio.sleep(0)
        assert discover.asked == 2

    with_rooms(tmp_path, act)


def test_an_upstream_that_does_not_list_is_not_asked_at_every_call(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        system = await rooms.systems.add(manifest("http://127.0.0.1:1/"), "crm.toml", ADMINISTRATOR)
        asked = 0

        async def fail(_: System) -> list[Tool]:
            nonlocal asked
            asked += 1
            raise UpstreamFailure("no")

        schemas = ToolSchemas(rooms.systems, fail, rooms.clock)

        for _ in range(3):
            assert await schemas.tool(system, "search_contacts") is None
        assert asked == 1
        rooms.clock.move(RETRY_SECONDS + 1)
        await schemas.tool(system, "search_contacts")
        assert asked == 2

    with_rooms(tmp_path, act)


def test_policy_sees_arguments_by_the_schema_at_the_first_call(
    tmp_path: Path, crm: RunningCrm, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> None:
        async with open_gateway(tmp_path, crm.url) as served:
            reader = await served.agent()
            seen: list[Tool | None] = []
            decide = served.policy.decide

            def note(request: AccessRequest, *, once: tuple[Once, ...] = ()) -> Decision:
                seen.append(request.tool)
                return decide(request, once=once)

            monkeypatch.setattr(served.policy, "decide", note)

            await served.call(reader, "search_contacts", {"query": "a"})

            assert seen[0] is not None
            assert '"query"' in seen[0].input_schema

    uvloop.run(act())
