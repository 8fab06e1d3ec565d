"""A forwarded call asks the database nothing but the group commit."""

from pathlib import Path

from tests.examples.conftest import RunningCrm
from tests.gateway.served import Served, with_gateway
from tests.statements import assert_only_group_commits, recorded_statements


def test_calls_permitted_and_refused_ask_the_database_nothing_but_the_group_commit(
    tmp_path: Path, crm: RunningCrm
) -> None:
    with recorded_statements() as statements:

        async def act(served: Served) -> None:
            reader = await served.agent()
            assert (await served.call(reader, "get_contact", {"id": 1})).status_code == 200
            await served.outcomes(1)
            statements.clear()

            for number in range(10):
                permitted = await served.call(reader, "get_contact", {"id": number + 1})
                refused = await served.call(reader, "delete_contact", {"id": 1})
                assert not permitted.json()["result"]["isError"]
                assert refused.json()["result"]["isError"]
            assert_only_group_commits(statements)

        with_gateway(tmp_path, crm.url, act)
