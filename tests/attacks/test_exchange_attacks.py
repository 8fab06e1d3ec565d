"""Attacks on what changes one token into another: token exchange, jwt-bearer, and workloads' assertions.

RFC 8693 §5 and §7, RFC 8725 (JWT best current practices), RFC 9700 §2.3 and §4.10.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from accredit.ids import PersonId
from accredit.oauth.client_auth import AuthenticatedClient
from accredit.oauth.errors import OAuthError
from accredit.oauth.grant import TokenRequest
from accredit.oauth.grants import make_grants
from accredit.storage.schema import agents
from accredit.storage.writer import Tx
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER, Endpoint, with_endpoint
from tests.oauth.exchanging import (
    BOTH,
    chain,
    claims_of,
    end,
    exchange,
    is_good,
    person_token,
    token_of,
)
from tests.oauth.trusting import (
    ACCESS_TOKEN,
    EXCHANGE,
    new_agent,
    new_person,
)
from tests.rooms import ADMINISTRATOR

SUBJECT = "build-7"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _jwt(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    return f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}.{_b64(signature)}"


# --- privilege gain by exchange (RFC 8693 §2.1, RFC 9700 §2.3) ---


def test_a_stolen_token_is_worth_nothing_to_a_client_that_it_does_not_name(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        ((one, secret),) = await chain(endpoint, "one")
        thief, thiefs_secret = await new_agent(endpoint, "thief", roles=("ai-agent-admin",))
        stolen = await token_of(endpoint, one, secret)

        answer = await exchange(endpoint, thief, thiefs_secret, stolen)

        assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")

    with_endpoint(tmp_path, act)


def test_a_powerful_agent_gains_nothing_from_a_weak_subject_nor_a_weak_one_from_a_powerful(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        strong, strong_secret = await new_agent(endpoint, "strong", roles=("ai-agent-admin",))
        weak, weak_secret = await new_agent(endpoint, "weak", may_act=(strong.id,))
        weak_token = await token_of(endpoint, weak, weak_secret)

        by_strong = await exchange(endpoint, strong, strong_secret, weak_token, scope=BOTH)

        assert by_strong.json()["scope"] == "crm:contacts.read"

        strong_two, secret_two = await new_agent(endpoint, "strong-two", roles=("ai-agent-admin",), may_act=(weak.id,))
        strong_token = await token_of(endpoint, strong_two, secret_two)
        by_weak = await exchange(endpoint, weak, weak_secret, strong_token, scope=BOTH)

        assert claims_of(strong_token)["scope"] == BOTH
        assert by_weak.json()["scope"] == "crm:contacts.read"

    with_endpoint(tmp_path, act)


def test_scopes_that_were_given_away_do_not_come_back_by_another_exchange(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        ((one, secret),) = await chain(endpoint, "one")
        wide = await token_of(endpoint, one, secret)
        narrow = (await exchange(endpoint, one, secret, wide, scope="crm:contacts.read")).json()["access_token"]

        again = await exchange(endpoint, one, secret, narrow, scope=BOTH)
        only_more = await exchange(endpoint, one, secret, narrow, scope="crm:contacts.write")

        assert again.json()["scope"] == "crm:contacts.read"
        assert only_more.json()["error"] == "invalid_scope"

    with_endpoint(tmp_path, act)


def test_an_agent_without_the_system_gains_it_by_no_token(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        outside, outside_secret = await new_agent(endpoint, "outside", systems=())
        inside, secret = await new_agent(endpoint, "inside", may_act=(outside.id,))
        token = await token_of(endpoint, inside, secret)

        answer = await exchange(endpoint, outside, outside_secret, token)

        assert answer.json()["error"] == "unauthorized_client"

    with_endpoint(tmp_path, act)


def test_permission_to_act_that_was_taken_back_holds_no_more_for_tokens_that_name_it(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, secret), (two, other_secret) = await chain(endpoint, "one", "two")
        token = await token_of(endpoint, one, secret)
        assert claims_of(token)["may_act"] == {"sub": two.id}

        def take_back(tx: Tx) -> None:
            tx.connection.execute(update(agents).where(agents.c.id == one.id).values(may_act="[]"))
            tx.changed("agent", one.id)

        await endpoint.rooms.transactions.change(take_back)

        assert (await exchange(endpoint, two, other_secret, token)).json()["error"] == "unauthorized_client"

    with_endpoint(tmp_path, act)


def test_a_longer_life_is_not_had_by_exchanging_at_the_last_moment(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        ((one, secret),) = await chain(endpoint, "one")
        token = await token_of(endpoint, one, secret)
        expires_at = claims_of(token)["exp"]
        endpoint.rooms.clock.move(299)
        await endpoint.rooms.feed.poll()

        kept = (await exchange(endpoint, one, secret, token)).json()

        assert (kept["expires_in"], claims_of(kept["access_token"])["exp"]) == (1, expires_at)
        endpoint.rooms.clock.move(10)
        await endpoint.rooms.feed.poll()
        assert (await exchange(endpoint, one, secret, kept["access_token"])).json()["error"] == "invalid_request"

    with_endpoint(tmp_path, act)


# --- the act chain (RFC 8693 §4.1, §4.4) ---


def test_a_chain_has_no_circle_and_no_more_agents_than_the_setting_allows(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        one, one_secret = await new_agent(endpoint, "one")
        two, two_secret = await new_agent(endpoint, "two", may_act=(one.id,))

        def name(tx: Tx) -> None:
            tx.connection.execute(update(agents).where(agents.c.id == one.id).values(may_act=json.dumps([two.id])))
            tx.changed("agent", one.id)

        await endpoint.rooms.transactions.change(name)
        first = await token_of(endpoint, one, one_secret)
        second = (await exchange(endpoint, two, two_secret, first)).json()["access_token"]

        circle = await exchange(endpoint, one, one_secret, second)

        assert circle.json()["error"] == "invalid_request"
        made = await chain(endpoint, "a", "b", "c")
        token = await token_of(endpoint, *made[0])
        for number, (agent, secret) in enumerate(made[1:], start=2):
            answer = await exchange(endpoint, agent, secret, token)
            if number <= 2:
                token = answer.json()["access_token"]
        assert answer.json()["error"] == "invalid_request"
        assert "more than 2 agents" in answer.json()["error_description"]

    with_endpoint(tmp_path, act, delegation_depth=2)


@pytest.mark.parametrize("name", ["actor_token", "subject_token"])
def test_an_act_chain_that_was_written_by_hand_is_refused(tmp_path: Path, name: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, secret), (two, other_secret) = await chain(endpoint, "one", "two")
        token = await token_of(endpoint, one, secret)
        forged_claims = {**claims_of(token), "act": {"sub": two.id}, "sub": "per_boss", "may_act": {"sub": two.id}}
        head, _, signature = token.split(".")
        forged = [
            f"{head}.{_b64(json.dumps(forged_claims).encode())}.{signature}",
            _jwt({"alg": "none", "typ": "at+jwt"}, forged_claims),
        ]

        for text in forged:
            given = {"subject_token": token, name: text}
            if name == "actor_token":
                given["actor_token_type"] = ACCESS_TOKEN
            answer = await exchange(endpoint, two, other_secret, given.pop("subject_token"), **given)
            assert answer.json()["error"] == "invalid_request"

    with_endpoint(tmp_path, act)


def test_an_actor_token_of_another_client_does_not_let_one_act_as_it(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, secret), (two, other_secret) = await chain(endpoint, "one", "two")
        third, third_secret = await new_agent(endpoint, "third", may_act=(two.id,))
        bo = await new_person(endpoint, "bo@example.com")
        subject = await token_of(endpoint, one, secret)
        others = [
            await token_of(endpoint, one, secret),
            await token_of(endpoint, third, third_secret),
            # The client's own, but for a person, and with a chain: it says more than who the client is.
            (await person_token(endpoint, two, bo.id))[0],
            (await exchange(endpoint, two, other_secret, subject)).json()["access_token"],
        ]

        for actor in others:
            answer = await exchange(
                endpoint, two, other_secret, subject, actor_token=actor, actor_token_type=ACCESS_TOKEN
            )
            assert answer.json()["error"] == "invalid_request"

    with_endpoint(tmp_path, act)


def test_an_actor_token_does_not_make_up_for_a_missing_permission_to_act(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        ((one, secret),) = await chain(endpoint, "one")
        thief, thiefs_secret = await new_agent(endpoint, "thief")
        subject, own = await token_of(endpoint, one, secret), await token_of(endpoint, thief, thiefs_secret)

        answer = await exchange(endpoint, thief, thiefs_secret, subject, actor_token=own, actor_token_type=ACCESS_TOKEN)

        assert answer.json()["error"] == "unauthorized_client"

    with_endpoint(tmp_path, act)


# --- audience confusion (RFC 9700 §4.10) ---


@pytest.mark.parametrize("name", ["resource", "audience"])
@pytest.mark.parametrize("where", [ISSUER, f"{CRM_RESOURCE}/", "https://other.example", f"{ISSUER}/gateway/erp"])
def test_a_token_is_exchanged_for_no_other_audience(tmp_path: Path, name: str, where: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        ((one, secret),) = await chain(endpoint, "one")
        token = await token_of(endpoint, one, secret)

        answer = await exchange(endpoint, one, secret, token, **{name: where})

        assert answer.json()["error"] == "invalid_target"

    with_endpoint(tmp_path, act)


# --- what was ended ---


def test_a_parent_that_was_revoked_gives_nothing_and_takes_its_children_along(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, secret), (two, other_secret) = await chain(endpoint, "one", "two")
        parent = await token_of(endpoint, one, secret)
        child = (await exchange(endpoint, two, other_secret, parent)).json()["access_token"]
        grandchild = (await exchange(endpoint, two, other_secret, child)).json()["access_token"]

        await end(endpoint, claims_of(parent)["jti"])

        assert (await exchange(endpoint, two, other_secret, parent)).json()["error"] == "invalid_request"
        assert (await exchange(endpoint, two, other_secret, child)).json()["error"] == "invalid_request"
        assert not await is_good(endpoint, child)
        assert not await is_good(endpoint, grandchild)

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize("what", ["the token", "the agent behind it"])
def test_what_ends_while_the_request_waits_ends_it(tmp_path: Path, what: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, _), (two, _) = await chain(endpoint, "one", "two")
        bo = await new_person(endpoint, "bo@example.com")
        token, _ = await person_token(endpoint, one, bo.id)
        ended = False

        class Waiting:
            """The directory of people, in which the look-up takes just as long as ending the token."""

            async def get(self, person: PersonId) -> object:
                nonlocal ended
                if not ended:
                    ended = True
                    if what == "the token":
                        await end(endpoint, claims_of(token)["jti"])
                    else:
                        await endpoint.rooms.agents.suspend("one", ADMINISTRATOR)
                return await endpoint.rooms.people.get(person)

        grant = make_grants(endpoint.oauth)[EXCHANGE]
        vars(grant)["_people"] = Waiting()
        parameters = {"subject_token": token, "subject_token_type": ACCESS_TOKEN}
        request = TokenRequest(client=AuthenticatedClient(agent=two, method="test"), parameters=parameters)

        with pytest.raises(OAuthError, match="ended"):
            await grant.handle(request)

        assert ended

    with_endpoint(tmp_path, act)
