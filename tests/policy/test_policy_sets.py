"""A set is stored, recorded and put in force together, or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from sqlalchemy import Connection, select

from accredit.audit.event import AuditEvent
from accredit.errors import Unavailable
from accredit.ids import new_id
from accredit.policy import policysets
from accredit.policy.cedar import STARTER_PREFIX
from accredit.policy.decide import Policy
from accredit.policy.permit import Permit, Refusal
from accredit.policy.policysets import CHANGE, PolicySets
from accredit.policy.source import PolicyInvalid
from accredit.policy.starter import starter_policies
from accredit.storage import schema
from accredit.storage.transactions import Transactions
from tests.policy.building import a_policy, a_request, an_agent, an_operation
from tests.rooms import ADMINISTRATOR, CRM, Rooms, with_rooms

T = TypeVar("T")

FREEZE = {"freeze.cedar": a_policy("freeze", effect="forbid")}
READ = an_operation("crm.contacts.search", "read")


def a_server(rooms: Rooms) -> tuple[Policy, PolicySets]:
    """What one process keeps: a policy, and the sets that feed it."""
    policy = Policy(rooms.group, rooms.clock, new_id, lambda: rooms.feed.applied, starter_policies())
    sets = PolicySets(rooms.transactions, policy, rooms.clock, new_id, rooms.systems)
    rooms.feed.subscribe(CHANGE, sets.reload)
    return policy, sets


def run(folder: Path, act: Callable[[Rooms], Awaitable[T]]) -> T:
    return with_rooms(folder, act)


async def events(rooms: Rooms) -> list[AuditEvent]:
    bodies = await rooms.transactions.read(
        lambda c: list(c.execute(select(schema.events.c.body).order_by(schema.events.c.seq)).scalars())
    )
    return [msgspec.json.decode(body, type=AuditEvent) for body in bodies]


def test_an_applied_set_decides_and_is_recorded(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        policy, sets = a_server(rooms)

        info = await sets.apply(FREEZE, ADMINISTRATOR)

        decision = policy.decide(a_request(an_agent("ai-agent-readonly"), READ))
        assert isinstance(decision, Refusal)
        assert decision.ruling.policies == ("freeze",)
        await decision.ruling.recorded
        applied, decided = await events(rooms)
        assert (applied.type, applied.person) == ("policy.applied", ADMINISTRATOR.person)
        assert applied.authentication == ADMINISTRATOR.authentication
        assert applied.policy_set == applied.resource == info.digest == decided.policy_set

    run(tmp_path, act)


def test_a_set_replaces_all_but_the_starter_set(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        _, sets = a_server(rooms)
        starter = [policy.id for policy in sets.list()]

        await sets.apply(FREEZE, ADMINISTRATOR)
        await sets.apply({"other.cedar": a_policy("other")}, ADMINISTRATOR)

        assert [policy.id for policy in sets.list()] == [*starter, "other"]
        assert {policy.id: policy.origin for policy in sets.list()} == {
            **dict.fromkeys(starter, "builtin"),
            "other": "file",
        }
        (other,) = [policy for policy in sets.list() if policy.origin == "file"]
        assert (other.description, other.effect, other.file, other.line) == (
            "The policy other.",
            "permit",
            "other.cedar",
            1,
        )

    run(tmp_path, act)


def test_the_newest_set_is_in_force_after_a_restart(tmp_path: Path) -> None:
    async def first(rooms: Rooms) -> str:
        _, sets = a_server(rooms)
        await sets.apply({"a.cedar": a_policy("a")}, ADMINISTRATOR)
        return (await sets.apply(FREEZE, ADMINISTRATOR)).digest

    async def second(rooms: Rooms) -> str:
        policy, sets = a_server(rooms)
        await sets.load()
        return policy.compiled.digest

    applied = run(tmp_path, first)

    assert run(tmp_path, second) == applied


def test_without_a_stored_set_the_starter_set_is_in_force(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        policy, sets = a_server(rooms)

        await sets.load()

        assert policy.compiled == starter_policies()

    run(tmp_path, act)


@pytest.mark.parametrize(
    "sources",
    [
        {"a.cedar": "permit (principal, action resource);"},
        {"a.cedar": a_policy("ai-agent-admin")},
        {"a.cedar": a_policy("x", 'principal, action == Action::"crm.nothing", resource')},
        {"a.cedar": a_policy("x", when="context.args.amount > 1")},
        {f"{STARTER_PREFIX}agents.cedar": a_policy("x")},
    ],
)
def test_a_bad_set_leaves_the_running_one_and_no_trace(tmp_path: Path, sources: dict[str, str]) -> None:
    async def act(rooms: Rooms) -> None:
        policy, sets = a_server(rooms)
        await rooms.systems.add(CRM, "crm.toml", ADMINISTRATOR)
        before = policy.compiled
        count = len(await events(rooms))

        with pytest.raises(PolicyInvalid):
            await sets.apply(sources, ADMINISTRATOR)

        assert policy.compiled is before
        assert len(await events(rooms)) == count
        await sets.load()
        assert policy.compiled is before

    run(tmp_path, act)


def test_an_operation_of_a_registered_system_can_be_named(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        _, sets = a_server(rooms)
        naming = {"a.cedar": a_policy("x", 'principal, action == Action::"crm.contacts.search", resource')}
        with pytest.raises(PolicyInvalid):
            await sets.validate(naming)

        await rooms.systems.add(CRM, "crm.toml", ADMINISTRATOR)
        compiled = await sets.validate(naming)

        assert "x" in [policy.id for policy in compiled.policies]

    run(tmp_path, act)


def test_validation_changes_nothing(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        policy, sets = a_server(rooms)
        before = policy.compiled

        await sets.validate(FREEZE)

        assert policy.compiled is before
        assert await events(rooms) == []

    run(tmp_path, act)


def test_a_set_that_cannot_be_stored_is_not_in_force(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        policy, sets = a_server(rooms)
        await rooms.writer.close()

        with pytest.raises(Unavailable):
            await sets.apply(FREEZE, ADMINISTRATOR)

        assert policy.compiled == starter_policies()

    run(tmp_path, act)


def test_another_process_follows(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        here, sets = a_server(rooms)
        there, elsewhere = a_server(rooms)

        await sets.apply(FREEZE, ADMINISTRATOR)
        await elsewhere.caught_up()

        assert there.compiled == here.compiled
        decision = there.decide(a_request(an_agent("ai-agent-readonly"), READ))
        assert isinstance(decision, Refusal)

    run(tmp_path, act)


class Flaky:
    """Transactions whose first read fails, as when the database is away for a moment."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self.failures = 1

    async def read(self, query: Callable[[Connection], T]) -> T:
        if self.failures:
            self.failures -= 1
            raise Unavailable("the database does not answer")
        return await self._transactions.read(query)


def test_a_process_that_cannot_follow_goes_on_by_its_old_set_and_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policysets, "RETRY_SECONDS", 0.01)

    async def act(rooms: Rooms) -> None:
        here, sets = a_server(rooms)
        there = Policy(rooms.group, rooms.clock, new_id, lambda: 0, starter_policies())
        flaky = Flaky(rooms.transactions)
        elsewhere = PolicySets(flaky, there, rooms.clock, new_id, rooms.systems)  # type: ignore[arg-type]
        await sets.apply(FREEZE, ADMINISTRATOR)

        elsewhere.reload(here.compiled.digest)
        await asyncio.sleep(0)
        while_away = there.decide(a_request(an_agent("ai-agent-readonly"), READ))
        await elsewhere.caught_up()

        assert isinstance(while_away, Permit)
        assert flaky.failures == 0
        assert there.compiled == here.compiled

    run(tmp_path, act)


def test_a_reload_that_waits_for_the_database_can_be_given_up(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        policy, sets = a_server(rooms)
        rooms.database.close()

        sets.reload("sha256:another")
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await sets.close()

        assert policy.compiled == starter_policies()

    run(tmp_path, act)


def test_two_sets_applied_at_once_are_applied_one_after_the_other(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        policy, sets = a_server(rooms)

        await asyncio.gather(sets.apply(FREEZE, ADMINISTRATOR), sets.apply({"b.cedar": a_policy("b")}, ADMINISTRATOR))

        last = (await events(rooms))[-1]
        assert policy.compiled.digest == last.policy_set

    run(tmp_path, act)
