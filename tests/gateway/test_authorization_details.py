"""A token with `authorization_details` (RFC 9396) calls what they name, and nothing else reaches the system."""

from pathlib import Path

from accredit.agents.new_agent import NewAgent
from accredit.delegations.model import ActionDetails
from tests.gateway.served import Served, with_scripted
from tests.gateway.upstreams import Upstream, answering_well
from tests.rooms import ADMINISTRATOR

SEARCH = (ActionDetails(type="accredit_action", system="crm", actions=("crm.contacts.search",), limits={"limit": 10}),)


def test_a_token_for_one_action_calls_it_within_its_limit_and_nothing_else(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        new = NewAgent(name="reader", owner="ana@example.com", roles=("ai-agent-readonly",), systems=("crm",))
        reader = await served.token_for(await served.rooms.agents.create(new, ADMINISTRATOR), details=SEARCH)

        within = await served.call(reader, "search_contacts", {"query": "a", "limit": 10})
        beyond = await served.call(reader, "search_contacts", {"query": "a", "limit": 11})
        other = await served.call(reader, "get_contact", {"id": "1"})

        assert not within.json()["result"].get("isError")
        for refused in (beyond, other):
            result = refused.json()["result"]
            assert result["isError"]
            assert result["_meta"]["accredit/policies"] == ["authorization-details"]
        assert len(upstream.received) == 1
        decided = [one for one in await served.events() if one.type == "call.decided"]
        assert [one.decision for one in decided] == ["permit", "deny", "deny"]

    with_scripted(tmp_path, answering_well, act)
