"""The three rules of the spine: nothing without a permit, nothing unrecorded, nothing from before a suspension."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from accredit.errors import Unavailable
from accredit.storage.schema import EventRow, Recorded
from accredit.storage.writer import Once
from tests.gateway.requests import legacy
from tests.gateway.served import Served, with_scripted
from tests.gateway.upstreams import OK, RESULT, Received, Upstream, answering, answering_well
from tests.rooms import ADMINISTRATOR


class SlowLog:
    """The writer, whose events are durable only when the test says so."""

    def __init__(self, append: Callable[..., asyncio.Future[Recorded]]) -> None:
        self._append = append
        self._held: list[tuple[asyncio.Future[Recorded], EventRow]] = []
        self.holding = False

    def __call__(self, row: EventRow, once: Once | None = None) -> asyncio.Future[Recorded]:
        if not self.holding:
            return self._append(row, once)
        done: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        self._held.append((done, row))
        return done

    @property
    def waiting(self) -> int:
        return len(self._held)

    def let_go(self) -> None:
        self.holding = False
        for done, row in self._held:
            self._append(row).add_done_callback(partial(_pass_on, done))

    def fail(self) -> None:
        for done, _ in self._held:
            done.set_exception(Unavailable("the log cannot be written; nothing was done"))


def _pass_on(done: asyncio.Future[Recorded], real: asyncio.Future[Recorded]) -> None:
    done.set_result(real.result())


def _slow(served: Served, monkeypatch: pytest.MonkeyPatch) -> SlowLog:
    log = SlowLog(served.rooms.writer.append)
    monkeypatch.setattr(served.rooms.writer, "append", log)
    return log


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


def test_a_write_is_not_sent_before_its_event_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        operator = await served.agent("operator", "ai-agent-operator")
        log = _slow(served, monkeypatch)
        log.holding = True

        pending = asyncio.create_task(served.call(operator, "create_contact", {"name": "n"}))
        await _until(lambda: log.waiting == 1)
        await asyncio.sleep(0.1)
        sent_early = len(upstream.received)
        log.let_go()
        answer = await pending

        assert sent_early == 0
        assert len(upstream.received) == 1
        assert answer.json()["result"]["isError"] is False

    with_scripted(tmp_path, answering_well, act)


def test_a_read_is_sent_at_once_and_answered_after_its_event_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()
        log = _slow(served, monkeypatch)
        log.holding = True

        pending = asyncio.create_task(served.call(reader, "search_contacts", {"query": "a"}))
        await _until(lambda: len(upstream.received) == 1)
        await asyncio.sleep(0.1)
        answered_early = pending.done()
        log.let_go()
        answer = await pending

        assert not answered_early
        assert answer.json()["result"]["_meta"]["accredit/policies"] == ["ai-agent-readonly"]

    with_scripted(tmp_path, answering_well, act)


@pytest.mark.parametrize(
    ("role", "tool"), [("ai-agent-operator", "create_contact"), ("ai-agent-readonly", "get_contact")]
)
def test_when_the_log_cannot_be_written_nothing_is_answered_but_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, tool: str
) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        agent = await served.agent("agent", role)
        log = _slow(served, monkeypatch)
        log.holding = True

        pending = asyncio.create_task(served.call(agent, tool, {}))
        await _until(lambda: log.waiting == 1)
        log.fail()
        answer = await pending

        assert answer.status_code == 503
        assert answer.json()["detail"] == "the log cannot be written; nothing was done"
        assert len(upstream.received) == (0 if tool == "create_contact" else 1)

    with_scripted(tmp_path, answering_well, act)


@pytest.mark.parametrize(
    ("role", "tool"), [("ai-agent-operator", "create_contact"), ("ai-agent-readonly", "get_contact")]
)
def test_a_permit_from_before_a_suspension_does_not_outlive_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, tool: str
) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        agent = await served.agent("agent", role)
        log = _slow(served, monkeypatch)
        log.holding = True

        pending = asyncio.create_task(served.call(agent, tool, {}))
        await _until(lambda: log.waiting == 1)
        await asyncio.sleep(0.05)
        # No poll of the feed runs here: only the number in the event's commit tells of the suspension.
        log.holding = False
        await served.rooms.agents.suspend("agent", ADMINISTRATOR)
        log.let_go()
        answer = await pending

        result = answer.json()["result"]
        assert result["isError"] is True
        assert "secret" not in answer.text
        assert len(upstream.received) == (0 if tool == "create_contact" else 1)
        decisions = [event.decision for event in await served.events() if event.type == "call.decided"]
        assert decisions == ["permit", "deny"]

    secret = b'{"jsonrpc":"2.0","id":%ID%,"result":{"content":[{"type":"text","text":"secret"}],"isError":false}}'
    with_scripted(tmp_path, answering(OK, secret), act)


def test_a_call_is_two_events_the_second_of_which_names_the_first(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        await served.call(reader, "search_contacts", {"query": "a"})
        await served.outcomes(1)

        decided, finished = await served.events()
        assert (decided.type, finished.type) == ("call.decided", "call.finished")
        assert finished.of == decided.id
        assert (decided.decision, decided.action, decided.resource) == (
            "permit",
            "crm.contacts.search",
            "search_contacts",
        )
        assert (finished.outcome, finished.agent, finished.system) == ("ok", reader.agent.id, "crm")
        assert finished.latency_ms is not None
        assert decided.token_id is not None
        assert decided.token_id == finished.token_id

    with_scripted(tmp_path, answering_well, act)


def test_a_tools_own_error_is_an_outcome_and_not_a_refusal(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.call(reader, "search_contacts", {"query": "a"})

        assert answer.json()["result"]["isError"] is True
        assert await served.outcomes(1) == ["tool_error"]

    with_scripted(tmp_path, answering(OK, RESULT.replace(b"false", b"true")), act)


def test_an_upstream_cannot_write_in_our_name(tmp_path: Path) -> None:
    forged = RESULT.replace(
        b'"content":[]', b'"content":[],"_meta":{"accredit/event":0,"Accredit/Policies":["x"],"a":1}'
    )

    async def act(served: Served, upstream: Upstream) -> None:
        reader = await served.agent()

        answer = await served.call(reader, "search_contacts", {"query": "a"})

        meta = answer.json()["result"]["_meta"]
        assert meta == {
            "a": 1,
            "accredit/event": int(answer.headers["x-accredit-event"]),
            "accredit/policies": ["ai-agent-readonly"],
        }

    with_scripted(tmp_path, answering(OK, forged), act)


def test_a_sessions_own_messages_are_decided_and_recorded_too(tmp_path: Path) -> None:
    async def handle(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    async def act(served: Served, upstream: Upstream) -> None:
        agent = await served.agent()
        elsewhere: Any = await served.agent("elsewhere")

        await served.post(agent, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        refused = await served.post(elsewhere, legacy("no/such/method"))

        assert {event.action for event in await served.events(of=agent)} == {"mcp.session"}
        assert refused.json()["error"]["code"] == -32601
        assert len(upstream.received) == 1

    with_scripted(tmp_path, handle, act)
