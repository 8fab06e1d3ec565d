"""Token exchange (RFC 8693): who may exchange what for what, and what becomes of it when something ends."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped,unused-ignore]

from accredit.agents.client_metadata import ClientMetadata
from accredit.agents.model import Agent
from accredit.delegations.model import ActionDetails, Delegation
from accredit.oauth.client_auth import AuthenticatedClient
from accredit.oauth.grant import TokenRequest
from accredit.oauth.routes import authorization_server
from accredit.policy.request import EarlierActor
from accredit.storage.writer import Tx
from accredit.tokens.model import Confirmation
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER, Endpoint, Served, with_endpoint
from tests.oauth.exchanging import (
    BOTH,
    OPERATOR,
    chain,
    claims_of,
    end,
    exchange,
    exchange_grant,
    is_good,
    person_token,
    token_of,
)
from tests.oauth.trusting import ACCESS_TOKEN, EXCHANGE, new_agent, new_person
from tests.rooms import ADMINISTRATOR


def test_an_agent_narrows_its_own_token(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        ((one, secret),) = await chain(endpoint, "one")
        wide = await token_of(endpoint, one, secret)

        answer = await exchange(endpoint, one, secret, wide, scope="crm:contacts.read")

        body = answer.json()
        assert (body["scope"], body["token_type"]) == ("crm:contacts.read", "Bearer")
        assert body["issued_token_type"] == ACCESS_TOKEN
        assert answer.headers["cache-control"] == "no-store"
        narrow = claims_of(body["access_token"])
        assert narrow["sub"] == narrow["client_id"] == one.id
        assert "act" not in narrow
        assert narrow["accredit_lineage"] == [claims_of(wide)["jti"]]

    with_endpoint(tmp_path, act)


def test_an_agent_that_may_act_stands_before_the_one_that_handed_over(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, secret), (two, other_secret), (three, third_secret) = await chain(endpoint, "one", "two", "three")
        first = await token_of(endpoint, one, secret)

        second = (await exchange(endpoint, two, other_secret, first)).json()["access_token"]
        third = (await exchange(endpoint, three, third_secret, second)).json()["access_token"]

        claims = claims_of(third)
        assert (claims["sub"], claims["client_id"]) == (one.id, three.id)
        assert claims["act"] == {"sub": three.id, "act": {"sub": two.id}}
        assert claims["accredit_actors"] == {two.id: 1, one.id: 1}
        caller = await endpoint.verifier.verify(third, CRM_RESOURCE)
        assert caller.evidence.actors == (EarlierActor(two.id, 1), EarlierActor(one.id, 1))
        event = (await endpoint.events())[-1]
        assert (event.type, event.agent, event.actors) == ("token.issued", three.id, (two.id, one.id))

    with_endpoint(tmp_path, act)


def test_a_chain_for_a_person_keeps_the_person_and_the_delegation(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, _), (two, secret) = await chain(endpoint, "one", "two")
        bo = await new_person(endpoint, "bo@example.com")
        first, made = await person_token(endpoint, one, bo.id, acr="phr", auth_time=1_799_999_000)

        body = (await exchange(endpoint, two, secret, first)).json()

        claims = claims_of(body["access_token"])
        assert (claims["sub"], claims["act"]) == (bo.id, {"sub": two.id, "act": {"sub": one.id}})
        assert (claims["acr"], claims["auth_time"]) == ("phr", 1_799_999_000)
        assert claims["accredit_delegation"] == made.id
        assert made.id in claims["accredit_lineage"]
        assert body["scope"] == BOTH

    with_endpoint(tmp_path, act)


def test_what_is_handed_on_is_no_more_than_the_one_who_acts_is_entitled_to(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        two, secret = await new_agent(endpoint, "two")
        one, first_secret = await new_agent(endpoint, "one", may_act=(two.id,), **OPERATOR)
        wide = await token_of(endpoint, one, first_secret)
        assert claims_of(wide)["scope"] == BOTH

        all_open = await exchange(endpoint, two, secret, wide)
        refused = await exchange(endpoint, two, secret, wide, scope="crm:contacts.write")

        assert all_open.json()["scope"] == "crm:contacts.read"
        assert refused.json()["error"] == "invalid_scope"

    with_endpoint(tmp_path, act)


def test_rights_that_the_person_has_lost_are_not_handed_on(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, _), (two, secret) = await chain(endpoint, "one", "two")
        bo = await new_person(endpoint, "bo@example.com")
        first, _ = await person_token(endpoint, one, bo.id)
        await new_person(endpoint, "bo@example.com", roles="[]")

        answer = await exchange(endpoint, two, secret, first, scope="crm:contacts.read")

        assert answer.json()["error"] == "invalid_scope"

    with_endpoint(tmp_path, act)


def test_a_token_does_not_outlive_the_one_that_it_comes_of(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, secret), (two, other_secret) = await chain(endpoint, "one", "two")
        first = await token_of(endpoint, one, secret)
        endpoint.rooms.clock.move(200)
        await endpoint.rooms.feed.poll()

        body = (await exchange(endpoint, two, other_secret, first)).json()

        assert body["expires_in"] == 100
        assert claims_of(body["access_token"])["exp"] == claims_of(first)["exp"]

    with_endpoint(tmp_path, act)


def test_an_actor_token_of_the_clients_own_bounds_and_ends_the_new_token_too(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, secret), (two, other_secret) = await chain(endpoint, "one", "two")
        own = await token_of(endpoint, two, other_secret)
        endpoint.rooms.clock.move(100)
        await endpoint.rooms.feed.poll()
        first = await token_of(endpoint, one, secret)

        actor = {"actor_token": own, "actor_token_type": ACCESS_TOKEN}
        body = (await exchange(endpoint, two, other_secret, first, **actor)).json()

        assert claims_of(body["access_token"])["exp"] == claims_of(own)["exp"]
        await end(endpoint, claims_of(own)["jti"])
        assert not await is_good(endpoint, body["access_token"])
        assert await is_good(endpoint, first)

    with_endpoint(tmp_path, act)


DETAILS = ActionDetails(
    type="accredit_action", system="crm", actions=("crm.contacts.search", "crm.contacts.create"), limits={"count": 10}
)


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        (None, True),
        ({"actions": ["crm.contacts.search"], "limits": {"count": 10}}, True),
        ({"actions": ["crm.contacts.search"], "limits": {"count": 3}}, True),
        ({"actions": ["crm.contacts.search"], "limits": {"count": 3, "pages": 1}}, True),
        ({"actions": ["crm.contacts.search"], "limits": {"count": 11}}, False),
        ({"actions": ["crm.contacts.search"], "limits": {}}, False),
        ({"actions": ["crm.contacts.search"], "limits": {"pages": 1}}, False),
    ],
    ids=["none", "fewer actions", "a lower limit", "another limit too", "a higher limit", "no limit", "only another"],
)
def test_authorization_details_only_get_narrower(tmp_path: Path, asked: dict[str, Any] | None, holds: bool) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, _), (two, secret) = await chain(endpoint, "one", "two")
        bo = await new_person(endpoint, "bo@example.com")
        first, _ = await person_token(endpoint, one, bo.id, details=(DETAILS,))
        details = [{"type": "accredit_action", "system": "crm", **(asked or {})}]
        more = {} if asked is None else {"authorization_details": json.dumps(details)}

        answer = await exchange(endpoint, two, secret, first, **more)

        if holds:
            expected = details if asked else json.loads(msgspec.json.encode((DETAILS,)))
            assert claims_of(answer.json()["access_token"])["authorization_details"] == expected
            assert answer.json()["authorization_details"] == expected
        else:
            assert answer.json()["error"] == "invalid_authorization_details"

    with_endpoint(tmp_path, act)


async def end_delegation(endpoint: Endpoint, made: Delegation) -> None:
    def write(tx: Tx) -> None:
        endpoint.rooms.delegations.end_in(tx, made, None, "test")

    await endpoint.rooms.transactions.change(write)


Ending = Callable[[Endpoint, str, Delegation], Awaitable[object]]
ENDINGS: dict[str, Ending] = {
    "the first token": lambda endpoint, token, _: end(endpoint, claims_of(token)["accredit_lineage"][-2]),
    "the parent": lambda endpoint, token, _: end(endpoint, claims_of(token)["accredit_lineage"][0]),
    "the token itself": lambda endpoint, token, _: end(endpoint, claims_of(token)["jti"]),
    "the delegation": lambda endpoint, _, made: end_delegation(endpoint, made),
    "the first agent": lambda endpoint, *_: endpoint.rooms.agents.suspend("one", ADMINISTRATOR),
    "the agent between": lambda endpoint, *_: endpoint.rooms.agents.suspend("two", ADMINISTRATOR),
    "the agent itself": lambda endpoint, *_: endpoint.rooms.agents.retire("three", ADMINISTRATOR),
}


@pytest.mark.parametrize("what", ENDINGS)
def test_the_end_of_anything_behind_a_token_ends_it(tmp_path: Path, what: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, _), (two, second_secret), (three, third_secret) = await chain(endpoint, "one", "two", "three")
        bo = await new_person(endpoint, "bo@example.com")
        first, made = await person_token(endpoint, one, bo.id)
        second = (await exchange(endpoint, two, second_secret, first)).json()["access_token"]
        third = (await exchange(endpoint, three, third_secret, second)).json()["access_token"]
        assert await is_good(endpoint, third)

        await ENDINGS[what](endpoint, third, made)

        assert not await is_good(endpoint, third)
        # Nor can more come of it.
        again = await exchange(endpoint, three, third_secret, third)
        assert again.json()["error"] == ("invalid_client" if what == "the agent itself" else "invalid_request")

    with_endpoint(tmp_path, act)


def test_a_suspension_that_is_over_does_not_bring_a_chain_back(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, secret), (two, other_secret) = await chain(endpoint, "one", "two")
        first = await token_of(endpoint, one, secret)
        second = (await exchange(endpoint, two, other_secret, first)).json()["access_token"]

        await endpoint.rooms.agents.suspend("one", ADMINISTRATOR)
        await endpoint.rooms.agents.resume("one", ADMINISTRATOR)

        assert not await is_good(endpoint, second)

    with_endpoint(tmp_path, act)


def test_a_bound_token_of_ones_own_is_exchanged_with_its_key_only(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, _), (two, secret) = await chain(endpoint, "one", "two")
        key = Confirmation(jkt="0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
        client = AuthenticatedClient(agent=one, method="test")
        request = TokenRequest(client=client, parameters={}, confirmation=key)
        issuance, system = endpoint.oauth.issuance, endpoint.rooms.systems.get("crm")
        assert system is not None
        token, permit = await issuance.issue(request, system, ("crm:contacts.read",), issuance.evidence(request))
        await endpoint.settlement.settle(permit)
        grant = exchange_grant(endpoint)
        parameters = {"subject_token": token.token.reveal(), "subject_token_type": ACCESS_TOKEN}

        with_key = await grant.handle(TokenRequest(client=client, parameters=parameters, confirmation=key))
        await endpoint.settlement.settle(with_key.permit)
        # Whoever may act has no way to prove another agent's key, and is named by it.
        by_another = await exchange(endpoint, two, secret, token.token.reveal())
        without = TokenRequest(client=client, parameters=parameters)
        another_key = TokenRequest(client=client, parameters=parameters, confirmation=Confirmation(jkt="x"))

        assert claims_of(with_key.token.token.reveal())["cnf"] == {"jkt": key.jkt}
        assert by_another.status_code == 200
        for refused in (without, another_key):
            with pytest.raises(Exception, match="its key was not proved"):
                await grant.handle(refused)

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize(
    "more",
    [
        {"subject_token_type": ""},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token_type": ACCESS_TOKEN},
        {"actor_token": "x"},
        {"actor_token": "x", "actor_token_type": ACCESS_TOKEN},
        {"subject_token": "x"},
        {"subject_token": ""},
    ],
    ids=lambda more: "-".join(f"{name}={value[-8:]}" for name, value in more.items()),
)
def test_a_request_that_is_not_of_the_form_is_refused(tmp_path: Path, more: dict[str, str]) -> None:
    async def act(endpoint: Endpoint) -> None:
        ((one, secret),) = await chain(endpoint, "one")
        subject = await token_of(endpoint, one, secret)

        answer = await exchange(endpoint, one, secret, subject, **more)

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

    with_endpoint(tmp_path, act)


def test_the_types_jwt_and_access_token_both_name_our_token(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        ((one, secret),) = await chain(endpoint, "one")
        subject = await token_of(endpoint, one, secret)
        jwt = "urn:ietf:params:oauth:token-type:jwt"

        answer = await exchange(
            endpoint, one, secret, subject, subject_token_type=jwt, requested_token_type=jwt, audience=CRM_RESOURCE
        )

        assert answer.status_code == 200, answer.text

    with_endpoint(tmp_path, act)


def test_a_token_for_accredit_itself_stays_one(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        ((one, secret),) = await chain(endpoint, "one")
        own = await token_of(endpoint, one, secret, resource=ISSUER)

        kept = await exchange(endpoint, one, secret, own, scope="agent:read")
        widened = await exchange(endpoint, one, secret, own, resource=CRM_RESOURCE)

        assert claims_of(kept.json()["access_token"])["aud"] == ISSUER
        assert widened.json()["error"] == "invalid_target"

    with_endpoint(tmp_path, act)


def test_an_agent_can_narrow_its_token_only_so_often(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        ((one, secret),) = await chain(endpoint, "one")
        token = await token_of(endpoint, one, secret)

        for _ in range(40):
            answer = await exchange(endpoint, one, secret, token)
            if answer.status_code != 200:
                break
            token = answer.json()["access_token"]
            assert len(token) < 4_096

        assert answer.json()["error"] == "invalid_request"

    with_endpoint(tmp_path, act)


def test_a_public_client_exchanges_nothing(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, secret), (two, _) = await chain(endpoint, "one", "two")
        public = ClientMetadata(
            redirect_uris=("http://127.0.0.1/callback",),
            grant_types=("authorization_code", EXCHANGE),
            token_endpoint_auth_method="none",
        )
        await endpoint.rooms.agents.set_client("two", public, ADMINISTRATOR)
        first = await token_of(endpoint, one, secret)

        answer = await exchange(endpoint, two, "", first)

        assert answer.json()["error"] in ("unauthorized_client", "invalid_client")

    with_endpoint(tmp_path, act)


def test_authlib_exchanges_a_token(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        (one, secret), (two, other_secret) = await chain(endpoint, "one", "two")
        transport = httpx2.ASGITransport(app=Served(authorization_server(endpoint.oauth)))

        def client(agent: Agent, own: str) -> AsyncOAuth2Client:
            return AsyncOAuth2Client(agent.id, own, transport=transport, base_url=ISSUER)

        async with client(one, secret) as first, client(two, other_secret) as second:
            url = f"{ISSUER}/oauth/token"
            given = await first.fetch_token(url, grant_type="client_credentials", scope=BOTH)
            exchanged = await second.fetch_token(
                url,
                grant_type=EXCHANGE,
                subject_token=given["access_token"],
                subject_token_type=ACCESS_TOKEN,
                scope="crm:contacts.read",
            )

        assert exchanged["issued_token_type"] == ACCESS_TOKEN
        assert claims_of(exchanged["access_token"])["act"] == {"sub": two.id}

    with_endpoint(tmp_path, act)
