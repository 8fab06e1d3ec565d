"""What was ended stays so for as long as anything of it is taken, the allowance for clocks included."""

from pathlib import Path

import pytest

from accredit.tokens.errors import InvalidToken
from tests.oauth.authorizing import Authorizing, with_authorizing
from tests.oauth.endpoint import CRM_RESOURCE


def test_a_token_of_an_ended_delegation_does_not_come_back_in_the_seconds_after_its_end(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        rooms, hour = one.endpoint.rooms, 3_600
        tokens = (await one.redeem(await one.code())).json()
        rooms.clock.move(hour - 10)
        token = (await one.refresh(tokens["refresh_token"])).json()["access_token"]
        [given] = await rooms.delegations.of_person(one.person.id)
        await one.endpoint.verifier.verify(token, CRM_RESOURCE)

        await rooms.delegations.end(one.person.id, given.id, one.session)
        for _ in range(4):
            with pytest.raises(InvalidToken, match="was ended"):
                await one.endpoint.verifier.verify(token, CRM_RESOURCE)
            rooms.clock.move(3.5)
            await rooms.revocations.forget()

    with_authorizing(tmp_path, act)
