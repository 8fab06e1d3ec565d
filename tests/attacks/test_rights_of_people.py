"""An agent that acts for a person does nothing that the person may not do: at each call, whatever its token says."""

from dataclasses import replace
from pathlib import Path

from accredit.agents.new_agent import NewAgent
from accredit.ids import PersonId
from accredit.people.model import Person
from accredit.people.store import update_from_provider
from accredit.storage.writer import Tx
from tests.gateway.served import AgentWithToken, Served, with_scripted
from tests.gateway.upstreams import Upstream, answering_well
from tests.rooms import ADMINISTRATOR


async def a_person(served: Served, *roles: str) -> Person:
    rooms = served.rooms

    def write(tx: Tx) -> Person:
        person = rooms.people.ensure(tx, "ben@example.com", "Ben")
        update_from_provider(tx, replace(person, mapped_roles=roles))
        return person

    person, _ = await rooms.transactions.change(write)
    found = await rooms.people.get(person.id)
    assert found is not None
    return found


async def an_agent_for(served: Served, person: Person) -> AgentWithToken:
    new = NewAgent(name="mighty", owner="ana@example.com", roles=("ai-agent-admin",), systems=("crm",))
    return await served.token_for(await served.rooms.agents.create(new, ADMINISTRATOR), person=person.id)


def test_a_scope_of_more_than_the_person_may_do_gives_the_agent_no_more(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        agent = await an_agent_for(served, await a_person(served, "delegator"))

        read = await served.call(agent, "search_contacts", {"query": "a"})
        deleted = await served.call(agent, "delete_contact", {"id": "1"})

        assert not read.json()["result"].get("isError")
        result = deleted.json()["result"]
        assert result["isError"]
        assert result["_meta"]["accredit/policies"] == ["person-rights"]
        assert len(upstream.received) == 1

    with_scripted(tmp_path, answering_well, act)


def test_a_person_who_lost_their_role_takes_the_agents_calls_along_at_once(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        agent = await an_agent_for(served, await a_person(served, "delegator"))
        before = await served.call(agent, "search_contacts", {"query": "a"})

        await a_person(served)
        after = await served.call(agent, "search_contacts", {"query": "a"})

        assert not before.json()["result"].get("isError")
        assert after.json()["result"]["_meta"]["accredit/policies"] == ["person-rights"]
        assert len(upstream.received) == 1

    with_scripted(tmp_path, answering_well, act)


def test_a_token_for_somebody_who_is_not_here_calls_nothing(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        somebody = await a_person(served, "administrator")
        agent = await an_agent_for(served, replace(somebody, id=PersonId("per_nobody")))

        answer = await served.call(agent, "search_contacts", {"query": "a"})

        assert answer.json()["result"]["_meta"]["accredit/policies"] == ["person-rights"]
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)
