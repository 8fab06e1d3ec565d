"""Who may call at all: the token, its scopes, the address, and the head of the request."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from accredit.gateway.proxy import Limits
from tests.gateway.requests import legacy
from tests.gateway.served import ISSUER, AgentWithToken, Served, modern, routing, with_scripted
from tests.gateway.upstreams import OK, RESULT, Upstream, answering, answering_well
from tests.rooms import ADMINISTRATOR

METADATA = f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource/gateway/crm/mcp"'
READ = modern("tools/call", {"name": "search_contacts", "arguments": {"query": "a"}})


async def _raw(served: Served, head: str, body: str = "") -> bytes:
    """A request as bytes, for what no client library sends; gives the status line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(head.encode("latin-1") + b"\r\n" + body.encode())
    await writer.drain()
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return line


def test_without_a_token_the_challenge_says_where_to_get_one(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        answer = await served.client.post(served.url, json=READ)

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == f"Bearer {METADATA}"
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


@pytest.mark.parametrize("token", ["x", "a.b.c", "é"])
def test_a_token_that_is_none_is_told_apart_from_no_token(tmp_path: Path, token: str) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.client.post(
            served.url, json=READ, headers={b"Authorization": f"Bearer {token}".encode("latin-1")}
        )

        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert METADATA in answer.headers["www-authenticate"]
        assert reader.token not in answer.text

    with_scripted(tmp_path, answering_well, act)


def test_a_suspended_agents_token_is_invalid_here(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()
        await served.rooms.agents.suspend("reader", ADMINISTRATOR)
        await served.rooms.feed.poll()

        answer = await served.post(reader, READ, **routing("search_contacts"))

        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


def test_a_scope_that_the_token_lacks_though_entitled_is_a_403_that_names_it(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent(scopes=("crm:deals.read",))

        answer = await served.post(reader, READ, **routing("search_contacts"))

        assert answer.status_code == 403
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer error="insufficient_scope", scope="crm:contacts.read"')
        assert METADATA in challenge
        assert answer.json()["title"] == "Forbidden"
        await served.outcomes(1)
        decided, finished = (await served.events())[-2:]
        assert (decided.type, decided.decision, decided.action) == ("call.decided", "deny", "crm.contacts.search")
        assert (finished.type, finished.outcome, finished.of) == ("call.finished", "insufficient_scope", decided.id)
        assert answer.json()["event"] == int(answer.headers["x-accredit-event"])
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


def test_a_scope_that_no_token_of_the_agent_could_hold_is_refused_by_policy(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.call(reader, "create_contact", {"name": "n"})

        assert answer.status_code == 200
        result = answer.json()["result"]
        assert result["isError"] is True
        assert result["_meta"]["accredit/policies"] == ["default-deny"]
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


def test_a_tool_that_the_manifest_does_not_name_is_refused_and_recorded(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        admin = await served.agent("admin", "ai-agent-admin")

        answer = await served.call(admin, "drop_everything", {})

        assert answer.json()["result"]["isError"] is True
        assert "drop_everything" in answer.text
        assert await served.outcomes(1) == ["refused"]
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


@pytest.mark.parametrize(
    "path",
    [
        "/gateway/nobody/mcp",
        "/gateway/crm",
        "/gateway/crm/mcp/",
        "/gateway/crm/mcp/x",
        "/gateway/crm%2fmcp",
        "/gateway/%63rm/mcp",
        "/gateway//mcp",
        "/gateway/crm/./mcp",
        "/gateway/x/../crm/mcp",
        "/gateway/CRM/mcp",
        "/gateway/crm/MCP",
    ],
)
def test_another_path_is_not_found(tmp_path: Path, path: str) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        line = await _raw(served, _head(reader, path))

        assert line == b"HTTP/1.1 404 Not Found\r\n"

    with_scripted(tmp_path, answering_well, act)


def _head(
    who: AgentWithToken, path: str = "/gateway/crm/mcp", host: str = "Host: localhost\r\n", more: str = ""
) -> str:
    return f"POST {path} HTTP/1.1\r\n{host}Authorization: Bearer {who.token}\r\nContent-Length: 0\r\n{more}"


def test_a_request_whose_head_could_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()
        token = f"Authorization: Bearer {reader.token}\r\n"
        heads = [
            _head(reader, host="Host: a\r\nHost: b\r\n"),
            _head(reader, host=""),
            _head(reader, host="Host: a/?y\r\n"),
            _head(reader, host="Host: a b\r\n"),
            _head(reader, host="Host: a@b\r\n"),
            _head(reader, more="Content-Type: application/json\r\nContent-Type: text/plain\r\n"),
            f"POST /gateway/crm/mcp HTTP/1.1\r\nHost: a\r\n{token}Transfer-Encoding: identity, chunked\r\n",
            f"TRACE /gateway/crm/mcp HTTP/1.1\r\nHost: a\r\n{token}",
            f"PUT /gateway/crm/mcp HTTP/1.1\r\nHost: a\r\n{token}Content-Length: 0\r\n",
        ]

        for head in heads:
            line = await _raw(served, head, "0\r\n\r\n" if "chunked" in head else "")
            assert line == b"HTTP/1.1 400 Bad Request\r\n", head
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


def test_a_page_of_another_origin_may_not_call(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        foreign = await served.post(reader, READ, Origin="https://evil.example", **routing("search_contacts"))
        null = await served.post(reader, READ, Origin="null", **routing("search_contacts"))
        own = await served.post(reader, READ, Origin=ISSUER, **routing("search_contacts"))

        assert (foreign.status_code, null.status_code, own.status_code) == (403, 403, 200)

    with_scripted(tmp_path, answering_well, act)


def test_a_body_over_the_limit_is_refused_whole(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()
        large = legacy("tools/call", {"name": "search_contacts", "arguments": {"query": "x" * 2_000}})

        async def pieces() -> AsyncIterator[bytes]:
            yield b'{"jsonrpc":"2.0",'
            yield b" " * 2_000

        declared = await served.post(reader, large)
        chunked = await served.client.post(
            served.url, content=pieces(), headers={**reader.headers, "Content-Type": "application/json"}
        )

        assert (declared.status_code, chunked.status_code) == (413, 413)
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act, limits=Limits(body_bytes=1_000))


def test_a_body_that_breaks_off_is_never_forwarded(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()
        body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_contacts"}}'
        head = _head(reader).replace(
            "Content-Length: 0", f"Content-Type: application/json\r\nContent-Length: {len(body) + 9}"
        )
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)

        writer.write(head.encode() + b"\r\n" + body)
        await writer.drain()
        writer.close()
        await asyncio.sleep(0.1)

        assert upstream.received == []
        assert await served.events() == []

    with_scripted(tmp_path, answering_well, act)


def test_an_answer_of_the_upstream_is_not_stored_by_caches(tmp_path: Path) -> None:
    head = OK.replace(b"\r\n\r\n", b"\r\nCache-Control: public\r\nSet-Cookie: a=b\r\nX-Powered-By: x\r\n\r\n")

    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.call(reader, "search_contacts", {"query": "a"})

        assert answer.headers["cache-control"] == "no-store"
        assert not {"set-cookie", "x-powered-by"} & set(answer.headers)

    with_scripted(tmp_path, answering(head, RESULT), act)
