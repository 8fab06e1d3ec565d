"""The register of agents: what is accepted, what each act changes, and what memory may answer."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from accredit.agents.client_metadata import ClientMetadata
from accredit.agents.model import AgentStatus
from accredit.agents.new_agent import NewAgent
from accredit.agents.registry import CACHE_LIMIT, Agents
from accredit.audit.event import AuditEvent
from accredit.errors import Conflict, Error, InputRefused, NotFound, Unavailable
from accredit.storage.schema import events
from tests.rooms import ADMINISTRATOR, CRM, Rooms, with_rooms

OWNER = "ana@example.com"


async def recorded(rooms: Rooms) -> list[AuditEvent]:
    query = select(events.c.body).order_by(events.c.seq)
    bodies = await rooms.transactions.read(lambda c: list(c.execute(query).scalars()))
    return [msgspec.json.decode(body, type=AuditEvent) for body in bodies]


def test_an_agent_is_registered_with_its_owner_and_an_event(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        agent = await rooms.agents.create(NewAgent(name="scout", owner="Ana@Example.com"), ADMINISTRATOR)

        owner = await rooms.people.by_email("ana@example.com")
        event = (await recorded(rooms))[-1]
        assert owner is not None and agent.owner == owner.id
        assert (agent.roles, agent.systems, agent.capability_level, agent.epoch) == ((), (), 2, 1)
        assert (event.type, event.agent, event.agent_name) == ("agent.created", agent.id, "scout")
        assert (event.person, event.authentication) == (ADMINISTRATOR.person, ADMINISTRATOR.authentication)

    with_rooms(tmp_path, act)


def test_two_agents_never_have_one_name_even_when_they_are_made_at_once(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        new = NewAgent(name="scout", owner=OWNER)

        results = await asyncio.gather(
            *(rooms.agents.create(new, ADMINISTRATOR) for _ in range(5)), return_exceptions=True
        )

        assert sorted(type(one).__name__ for one in results) == ["Agent", *["Conflict"] * 4]
        assert len([one for one in await recorded(rooms) if one.type == "agent.created"]) == 1

    with_rooms(tmp_path, act)


@pytest.mark.parametrize(
    "new",
    [
        NewAgent(name="", owner=OWNER),
        NewAgent(name=" x", owner=OWNER),
        NewAgent(name="a/b", owner=OWNER),
        NewAgent(name="..", owner=OWNER),
        NewAgent(name="agt_01", owner=OWNER),
        NewAgent(name="a\nb", owner=OWNER),
        NewAgent(name="rea\u202eder", owner=OWNER),
        NewAgent(name="rea\u200bder", owner=OWNER),
        NewAgent(name="x" * 65, owner=OWNER),
        NewAgent(name="x", owner="nobody"),
        NewAgent(name="x", owner=OWNER, type="Über"),
        NewAgent(name="x", owner=OWNER, capability_level=5),
        NewAgent(name="x", owner=OWNER, capability_level=-1),
        NewAgent(name="x", owner=OWNER, systems=("erp",)),
        NewAgent(name="x", owner=OWNER, type="person"),
        NewAgent(name="x", owner=OWNER, may_act=("nobody",)),
        NewAgent(name="x", owner=OWNER, may_act=("x",) * 33),
        NewAgent(name="x", owner=OWNER, max_session_seconds=0),
    ],
    ids=repr,
)
def test_what_is_not_an_agent_is_refused_and_leaves_nothing(tmp_path: Path, new: NewAgent) -> None:
    async def act(rooms: Rooms) -> None:
        with pytest.raises((InputRefused, NotFound)):
            await rooms.agents.create(new, ADMINISTRATOR)

        assert await rooms.agents.list("", 10) == []
        assert await recorded(rooms) == []

    with_rooms(tmp_path, act)


TRANSITIONS = {
    ("active", "suspend"): ("suspended", 1),
    ("active", "retire"): ("retired", 1),
    ("suspended", "resume"): ("active", 0),
    ("suspended", "retire"): ("retired", 1),
}


@settings(max_examples=25, deadline=None)
@given(acts=st.lists(st.sampled_from(["suspend", "resume", "retire"]), max_size=8))
def test_the_life_of_an_agent_follows_the_table_and_its_epoch_never_goes_back(
    acts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def act(rooms: Rooms) -> None:
        agent = await rooms.agents.create(NewAgent(name="scout", owner=OWNER), ADMINISTRATOR)
        status, epoch = "active", 1
        for name in acts:
            step = TRANSITIONS.get((status, name))
            if step is None:
                with pytest.raises(Conflict):
                    await getattr(rooms.agents, name)("scout", ADMINISTRATOR)
            else:
                await getattr(rooms.agents, name)("scout", ADMINISTRATOR)
                status, epoch = step[0], epoch + step[1]
            now = await rooms.agents.get(agent.id)
            assert now is not None
            assert (now.status, now.epoch) == (AgentStatus(status), epoch)

    with_rooms(tmp_path_factory.mktemp("life"), act)


CLIENT = ClientMetadata(redirect_uris=("https://client.example/callback",), client_name="Scout")


def test_an_agent_becomes_a_client_and_every_process_hears_of_it(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        agent = await rooms.agents.create(NewAgent(name="scout", owner=OWNER), ADMINISTRATOR)
        await rooms.agents.get(agent.id)

        await rooms.agents.set_client("scout", CLIENT, ADMINISTRATOR)

        now = await rooms.agents.get(agent.id)
        event = (await recorded(rooms))[-1]
        assert now is not None and (now.client, now.version, now.epoch) == (CLIENT, 2, 1)
        assert (event.type, event.agent, event.person) == ("client.changed", agent.id, ADMINISTRATOR.person)

    with_rooms(tmp_path, act)


def test_a_retired_agent_becomes_no_client(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        agent = await rooms.agents.create(NewAgent(name="scout", owner=OWNER), ADMINISTRATOR)
        await rooms.agents.retire("scout", ADMINISTRATOR)

        with pytest.raises(Conflict):
            await rooms.agents.set_client("scout", CLIENT, ADMINISTRATOR)

        assert (await rooms.agents.named(agent.id)).client is None

    with_rooms(tmp_path, act)


def test_one_url_is_the_client_id_of_one_agent(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        url = "https://client.example/client.json"
        agent = await rooms.agents.create(
            NewAgent(name="scout", owner=OWNER, client=CLIENT, client_url=url), ADMINISTRATOR
        )

        with pytest.raises(Conflict):
            await rooms.agents.create(NewAgent(name="other", owner=OWNER, client=CLIENT, client_url=url), ADMINISTRATOR)

        found = await rooms.agents.of_client(url)
        assert found is not None and (found.id, found.client_id) == (agent.id, url)
        assert await rooms.agents.of_client(url + "/") is None

    with_rooms(tmp_path, act)


def test_who_may_act_is_kept_by_id_and_a_session_is_bounded(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        actor = await rooms.agents.create(NewAgent(name="actor", owner=OWNER), ADMINISTRATOR)
        new = NewAgent(name="scout", owner=OWNER, may_act=("actor", actor.id), max_session_seconds=60)

        await rooms.agents.create(new, ADMINISTRATOR)

        agent = await rooms.agents.named("scout")
        assert (agent.may_act, agent.max_session_seconds) == ((actor.id,), 60)
        assert actor.max_session_seconds == 28_800

    with_rooms(tmp_path, act)


def test_a_retired_agent_gets_no_credential(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        await rooms.agents.create(NewAgent(name="scout", owner=OWNER), ADMINISTRATOR)
        await rooms.agents.retire("scout", ADMINISTRATOR)

        with pytest.raises(Conflict):
            await rooms.agents.add_client_secret("scout", ADMINISTRATOR)

    with_rooms(tmp_path, act)


def test_a_credential_of_another_agent_cannot_be_revoked(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        for name in ("one", "two"):
            await rooms.agents.create(NewAgent(name=name, owner=OWNER), ADMINISTRATOR)
        credential, _ = await rooms.agents.add_client_secret("one", ADMINISTRATOR)

        with pytest.raises(NotFound):
            await rooms.agents.revoke_credential("two", credential.id, ADMINISTRATOR)

        held = (await rooms.agents.named("one")).credentials
        assert held[0].revoked_at is None

    with_rooms(tmp_path, act)


def test_memory_holds_a_bounded_number_of_agents(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        agent = await rooms.agents.create(NewAgent(name="scout", owner=OWNER), ADMINISTRATOR)
        for number in range(CACHE_LIMIT + 10):
            rooms.agents._cache[f"agt_{number}"] = agent

        await rooms.agents.get(agent.id)

        assert len(rooms.agents._cache) == CACHE_LIMIT
        assert rooms.agents.peek(agent.id) is not None

    with_rooms(tmp_path, act)


def test_when_neither_the_feed_nor_the_database_answers_nobody_is_known(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        agent = await rooms.agents.create(NewAgent(name="scout", owner=OWNER), ADMINISTRATOR)
        await rooms.agents.get(agent.id)
        rooms.clock.move(2)
        rooms.database.close()

        assert rooms.agents.peek(agent.id) is None
        with pytest.raises(Unavailable):
            await rooms.agents.get(agent.id)

    with_rooms(tmp_path, act)


def test_another_process_forgets_an_agent_when_the_feed_names_it(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        from accredit.ids import new_id
        from accredit.storage.feed import Feed

        feed = Feed(rooms.database, rooms.clock)
        await feed.start()
        other = Agents(rooms.transactions, feed, rooms.people, rooms.clock, new_id, str.encode, lambda _tx, _name: True)
        agent = await rooms.agents.create(NewAgent(name="scout", owner=OWNER), ADMINISTRATOR)
        await feed.poll()
        assert (await other.get(agent.id)) is not None

        await rooms.agents.suspend("scout", ADMINISTRATOR)
        before = other.peek(agent.id)
        await feed.poll()
        after = await other.get(agent.id)

        assert before is not None and before.status is AgentStatus.ACTIVE
        assert after is not None and after.status is AgentStatus.SUSPENDED

    with_rooms(tmp_path, act)


def test_agents_are_listed_by_name_page_by_page(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        for name in ("delta", "alpha", "charlie", "bravo"):
            await rooms.agents.create(NewAgent(name=name, owner=OWNER), ADMINISTRATOR)

        first = await rooms.agents.list("", 3)
        second = await rooms.agents.list(first[-1].name, 3)

        assert [one.name for one in first + second] == ["alpha", "bravo", "charlie", "delta"]

    with_rooms(tmp_path, act)


def test_a_system_is_registered_once_and_its_actions_belong_to_it_alone(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        await rooms.systems.add(CRM, "crm.toml", ADMINISTRATOR)

        for manifest in (CRM, CRM.replace('name = "crm"', 'name = "crm2"')):
            with pytest.raises(Error):
                await rooms.systems.add(manifest, "crm.toml", ADMINISTRATOR)
        replaced = await rooms.systems.replace(CRM.replace("Customer", "Client"), "crm.toml", ADMINISTRATOR)

        found = rooms.systems.get("crm")
        assert found == replaced
        assert (replaced.version, replaced.title) == (2, "Client relations")
        assert [one.type for one in await recorded(rooms)] == ["system.added", "system.changed"]

    with_rooms(tmp_path, act)
