"""Token revocation (RFC 7009), and what ends with a token."""

from pathlib import Path

import pytest

from accredit.agents.client_metadata import ClientMetadata
from accredit.tokens.errors import InvalidToken
from tests.oauth.endpoint import CRM_RESOURCE, Endpoint, with_endpoint
from tests.oauth.tokens import Client, a_family, another, exchanged, is_active, own, revoke, token_of
from tests.rooms import ADMINISTRATOR


async def _is_taken(endpoint: Endpoint, token: str) -> bool:
    try:
        await endpoint.verifier.verify(token, CRM_RESOURCE)
    except InvalidToken:
        return False
    return True


def test_a_client_ends_its_own_token_at_once_and_it_is_on_record(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token, other = await token_of(endpoint, own(endpoint)), await token_of(endpoint, own(endpoint))
        assert await _is_taken(endpoint, token)

        answer = await revoke(endpoint, own(endpoint), token)

        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["cache-control"] == "no-store"
        assert not await _is_taken(endpoint, token)
        assert await _is_taken(endpoint, other)
        event = (await endpoint.events())[-1]
        assert (event.type, event.agent, event.outcome) == ("token.revoked", endpoint.agent.id, "ok")
        assert event.token_id == endpoint.verifier.read(token).jti
        assert token not in str(event)

    with_endpoint(tmp_path, act)


def test_a_second_revocation_is_answered_alike_and_is_no_second_event(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))
        await revoke(endpoint, own(endpoint), token)
        before = await endpoint.events()

        assert (await revoke(endpoint, own(endpoint), token)).status_code == 200
        assert await endpoint.events() == before

    with_endpoint(tmp_path, act)


def test_what_was_derived_ends_with_the_token_that_it_came_of(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        last = await another(endpoint, "last")
        worker = await another(endpoint, "worker", may_act=("last",))
        first = await another(endpoint, "first", may_act=("worker", "last"))
        root = await token_of(endpoint, first)
        middle = await exchanged(endpoint, worker, root)
        leaf = await exchanged(endpoint, last, middle)
        assert await _is_taken(endpoint, leaf)

        await revoke(endpoint, worker, middle)
        assert [await _is_taken(endpoint, one) for one in (root, middle, leaf)] == [True, False, False]
        await revoke(endpoint, first, root)
        assert not await _is_taken(endpoint, root)

    with_endpoint(tmp_path, act)


def test_another_clients_token_is_left_alone_and_the_answer_does_not_say_so(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        other = await another(endpoint)
        token = await token_of(endpoint, own(endpoint))
        family = a_family(endpoint, own(endpoint))
        refresh = endpoint.oauth.refresh_tokens.seal(family).reveal()
        before = await endpoint.events()

        answers = [await revoke(endpoint, other, one) for one in (token, refresh, "x", "art_x", token[:-3] + "AAA")]

        assert {(one.status_code, one.content) for one in answers} == {(200, b"")}
        assert await _is_taken(endpoint, token)
        assert await is_active(endpoint, own(endpoint), refresh)
        assert await endpoint.events() == before

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "id_token", "nonsense"])
def test_a_hint_that_is_wrong_or_unknown_changes_nothing(tmp_path: Path, hint: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))

        assert (await revoke(endpoint, own(endpoint), token, token_type_hint=hint)).status_code == 200
        assert not await _is_taken(endpoint, token)

    with_endpoint(tmp_path, act)


def test_a_refresh_token_of_any_generation_ends_its_family(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        me = own(endpoint)
        family = a_family(endpoint, me)
        seal = endpoint.oauth.refresh_tokens.seal
        first, second = seal(family).reveal(), seal(family.next()).reveal()

        assert (await revoke(endpoint, me, first)).status_code == 200

        assert not await is_active(endpoint, me, second)
        assert endpoint.rooms.revocations.is_known_ended((family.id,))
        assert not endpoint.rooms.revocations.is_known_ended((family.delegation,))
        event = (await endpoint.events())[-1]
        assert (event.type, event.resource, event.person) == ("token.revoked", family.id, "per_1")

    with_endpoint(tmp_path, act)


def test_a_public_client_ends_its_own_tokens(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        metadata = ClientMetadata(token_endpoint_auth_method="none", redirect_uris=("https://app.example/cb",))
        public = await another(endpoint, "public")
        await endpoint.rooms.agents.set_client("public", metadata, ADMINISTRATOR)
        family = a_family(endpoint, Client(public.agent, ""))
        token = endpoint.oauth.refresh_tokens.seal(family).reveal()

        answer = await endpoint.client.post("/oauth/revoke", data={"client_id": public.agent.id, "token": token})

        assert answer.status_code == 200
        assert endpoint.rooms.revocations.is_known_ended((family.id,))

    with_endpoint(tmp_path, act)


def test_nothing_is_ended_without_authentication(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))

        for form in ({}, {"client_id": endpoint.agent.id}, {"client_id": endpoint.agent.id, "client_secret": "x"}):
            answer = await endpoint.client.post("/oauth/revoke", data={**form, "token": token})
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert await _is_taken(endpoint, token)

    with_endpoint(tmp_path, act)


def test_a_request_without_a_token_is_malformed(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        answer = await endpoint.client.post("/oauth/revoke", data=own(endpoint).form)

        assert answer.json()["error"] == "invalid_request"
        assert (await endpoint.client.get("/oauth/revoke")).status_code == 405

    with_endpoint(tmp_path, act)


def test_an_expired_token_is_ended_already(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))
        endpoint.rooms.clock.move(400)
        await endpoint.rooms.feed.poll()
        before = await endpoint.events()

        assert (await revoke(endpoint, own(endpoint), token)).status_code == 200
        assert await endpoint.events() == before

    with_endpoint(tmp_path, act)
