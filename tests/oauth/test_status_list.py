"""Token status lists (draft-ietf-oauth-status-list)."""

import asyncio
import base64
import zlib
from pathlib import Path
from typing import Any

import jwt
import pytest
from sqlalchemy import func, select

from accredit.errors import Unavailable
from accredit.storage.forget import forget
from accredit.storage.schema import token_statuses
from accredit.tokens.errors import InvalidToken
from accredit.tokens.statuses import LIST_SECONDS, PLACES, Statuses
from tests.oauth.endpoint import ISSUER, Endpoint, with_endpoint
from tests.oauth.tokens import another, exchanged, own, revoke, token_of
from tests.rooms import ADMINISTRATOR
from tests.statements import recorded_statements


def serve(folder: Path, act: Any) -> None:
    async def prepared(endpoint: Endpoint) -> None:
        assert endpoint.oauth.statuses is not None
        await endpoint.oauth.statuses.prepare()
        await act(endpoint)

    with_endpoint(folder, prepared, token_status=True)


def _status(endpoint: Endpoint, token: str) -> tuple[int, str]:
    claims = endpoint.verifier.read(token)
    assert claims.status is not None
    return claims.status.status_list.idx, claims.status.status_list.uri


async def _bit(endpoint: Endpoint, token: str) -> int:
    """A token's status as somebody reads it who has the draft and no code of ours."""
    place, uri = _status(endpoint, token)
    # The list is made anew after a while.
    endpoint.rooms.clock.move(3)
    await endpoint.rooms.feed.poll()
    answer = await endpoint.client.get(uri)
    assert answer.status_code == 200
    keys = jwt.PyJWKSet.from_dict(endpoint.oauth.keyring.jwks())
    header = jwt.get_unverified_header(answer.text)
    assert header["typ"] == "statuslist+jwt"
    signing = next(key for key in keys.keys if key.key_id == header["kid"])
    claims = jwt.decode(answer.text, signing, algorithms=["ES256"], options={"verify_exp": False, "verify_iat": False})
    assert claims["sub"] == uri
    assert claims["exp"] > claims["iat"] + claims["ttl"] > 0
    listed = claims["status_list"]
    assert listed["bits"] == 1
    packed = zlib.decompress(base64.urlsafe_b64decode(listed["lst"] + "=" * (-len(listed["lst"]) % 4)))
    assert len(packed) * 8 == PLACES
    return packed[place // 8] >> (place % 8) & 1


def test_a_token_says_where_its_status_is_and_is_valid_there(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))

        assert _status(endpoint, token)[1] == f"{ISSUER}/oauth/status/0"
        assert await _bit(endpoint, token) == 0

    serve(tmp_path, act)


def test_a_revoked_token_and_what_was_derived_from_it_are_invalid_and_others_are_not(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        worker = await another(endpoint, "worker")
        first = await another(endpoint, "first", may_act=("worker",))
        root, other = await token_of(endpoint, first), await token_of(endpoint, first)
        leaf = await exchanged(endpoint, worker, root)
        assert [await _bit(endpoint, one) for one in (root, other, leaf)] == [0, 0, 0]

        await revoke(endpoint, first, root)

        assert [await _bit(endpoint, one) for one in (root, other, leaf)] == [1, 0, 1]

    serve(tmp_path, act)


def test_everything_of_a_suspended_agent_is_invalid_and_what_comes_after_it_resumes_is_not(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        other = await another(endpoint)
        mine, theirs = await token_of(endpoint, own(endpoint)), await token_of(endpoint, other)

        await endpoint.rooms.agents.suspend("reader", ADMINISTRATOR)

        assert [await _bit(endpoint, one) for one in (mine, theirs)] == [1, 0]
        await endpoint.rooms.agents.resume("reader", ADMINISTRATOR)
        assert await _bit(endpoint, mine) == 1
        assert await _bit(endpoint, await token_of(endpoint, own(endpoint))) == 0

    serve(tmp_path, act)


def test_a_token_ends_with_an_earlier_actor(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        worker = await another(endpoint, "worker")
        first = await another(endpoint, "first", may_act=("worker",))
        leaf = await exchanged(endpoint, worker, await token_of(endpoint, first))
        own_right = await token_of(endpoint, worker)

        await endpoint.rooms.agents.suspend("first", ADMINISTRATOR)

        assert [await _bit(endpoint, one) for one in (leaf, own_right)] == [1, 0]

    serve(tmp_path, act)


def test_places_are_given_once_and_in_no_order_that_tells_of_time(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        tokens = await asyncio.gather(*(token_of(endpoint, own(endpoint)) for _ in range(40)))

        places = [_status(endpoint, token)[0] for token in tokens]
        assert len(set(places)) == 40
        assert places != sorted(places)
        assert max(places) - min(places) > 1_000
        count = select(func.count()).select_from(token_statuses).where(token_statuses.c.place >= 0)
        assert await endpoint.rooms.transactions.read(lambda c: c.execute(count).scalar_one()) == 40

    serve(tmp_path, act)


def test_two_processes_have_lists_of_their_own(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        elsewhere = Statuses(endpoint.rooms.transactions, endpoint.rooms.clock, ISSUER, 300)
        await elsewhere.prepare()
        claims = endpoint.verifier.read(await token_of(endpoint, own(endpoint)))

        assert elsewhere.give(claims).status_list.uri == f"{ISSUER}/oauth/status/1"

    serve(tmp_path, act)


def test_a_list_that_is_old_gives_no_place_and_the_next_does(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        statuses = endpoint.oauth.statuses
        assert statuses is not None
        claims = endpoint.verifier.read(await token_of(endpoint, own(endpoint)))
        endpoint.rooms.clock.move(LIST_SECONDS + 1)
        await endpoint.rooms.feed.poll()

        with pytest.raises(Unavailable):
            statuses.give(claims)
        await statuses.prepare()
        assert statuses.give(claims).status_list.uri == f"{ISSUER}/oauth/status/1"

    serve(tmp_path, act)


def test_without_a_place_no_token_leaves(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        answer = await endpoint.token()

        assert answer.status_code == 503
        assert "access_token" not in answer.text

    with_endpoint(tmp_path, act, token_status=True)


def test_the_place_is_written_in_the_commit_of_the_tokens_event(tmp_path: Path) -> None:
    with recorded_statements() as statements:

        async def act(endpoint: Endpoint) -> None:
            await token_of(endpoint, own(endpoint))
            statements.clear()

            for _ in range(5):
                await token_of(endpoint, own(endpoint))

            written = [one.split(" (")[0] for one in statements if "FROM changes" not in one]
            group = ["BEGIN IMMEDIATE", "UPDATE head", "INSERT INTO events", "INSERT INTO token_statuses", "COMMIT"]
            assert [one if "UPDATE" not in one else "UPDATE head" for one in written] == group * 5

        serve(tmp_path, act)


def test_expired_rows_are_forgotten(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))
        endpoint.rooms.clock.move(400)
        await endpoint.rooms.feed.poll()

        await forget(endpoint.rooms.transactions, endpoint.rooms.clock)

        count = select(func.count()).select_from(token_statuses).where(token_statuses.c.place >= 0)
        assert await endpoint.rooms.transactions.read(lambda c: c.execute(count).scalar_one()) == 0
        assert (await endpoint.client.get(_status(endpoint, token)[1])).status_code == 200
        endpoint.rooms.clock.move(2 * LIST_SECONDS)
        await endpoint.rooms.feed.poll()
        await forget(endpoint.rooms.transactions, endpoint.rooms.clock)
        assert (await endpoint.client.get(_status(endpoint, token)[1])).status_code == 404

    serve(tmp_path, act)


@pytest.mark.parametrize("number", ["1", "00", "-1", "x", "0x0", "9" * 20, "0/"])
def test_another_number_is_not_found(tmp_path: Path, number: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        answer = await endpoint.client.get(f"/oauth/status/{number}", follow_redirects=False)

        assert answer.status_code in (404, 307)

    serve(tmp_path, act)


def test_a_list_may_be_cached_for_as_long_as_it_says_and_names_nobody(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))

        answer = await endpoint.client.get(_status(endpoint, token)[1])

        assert answer.headers["content-type"] == "application/statuslist+jwt"
        assert answer.headers["cache-control"] == "public, max-age=10"
        assert answer.headers["access-control-allow-origin"] == "*"
        claims = jwt.decode(answer.text, options={"verify_signature": False})
        assert set(claims) == {"sub", "iat", "exp", "ttl", "status_list"}
        with pytest.raises(InvalidToken):
            await endpoint.verifier.verify(answer.text, _status(endpoint, token)[1])

    serve(tmp_path, act)


def test_without_the_setting_tokens_have_no_status_and_there_is_no_list(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        assert endpoint.verifier.read(await token_of(endpoint, own(endpoint))).status is None
        assert (await endpoint.client.get("/oauth/status/0")).status_code == 404

    with_endpoint(tmp_path, act)
