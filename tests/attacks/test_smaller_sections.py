"""Attacks of RFC 9700 that have one answer each, by its sections."""

from pathlib import Path

import pytest

from accredit.tokens.errors import InvalidToken
from tests.conformance.peers import claims_of
from tests.oauth.authorizing import READ, Authorizing, answer_of, with_authorizing
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER, Endpoint, with_endpoint


def test_4_2_the_address_of_the_page_tells_nothing_that_the_client_sent(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        asked = await one.authorize(state="af0ifjsldkj-of-the-client", login_hint="ben@example.com")

        location = asked.headers["location"]
        assert location.startswith("/console/consent?request=")
        assert not any(part in location for part in ("af0ifjsldkj", "ben", "desk.example", READ))
        assert asked.headers["cache-control"] == "no-store"

    with_authorizing(tmp_path, act)


def test_4_3_credentials_in_an_address_are_not_looked_at(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        credentials = {"client_id": endpoint.agent.id, "client_secret": endpoint.secret}
        form = {"grant_type": "client_credentials"}

        answer = await endpoint.client.post("/oauth/token", params=credentials, data=form)

        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert (await endpoint.client.post("/oauth/token", data={**form, **credentials})).status_code == 200

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/gateway/mail/mcp", f"{CRM_RESOURCE}/", CRM_RESOURCE.upper()])
def test_4_10_a_token_that_one_system_saw_is_worth_nothing_at_another(tmp_path: Path, audience: str) -> None:
    async def act(one: Authorizing) -> None:
        token = (await one.redeem(await one.code(scope=f"openid {READ}"))).json()["access_token"]

        with pytest.raises(InvalidToken, match="another audience"):
            await one.endpoint.verifier.verify(token, audience)

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("more", [{}, {"scope": "none"}], ids=["to the page", "to the client with an error"])
def test_4_12_no_redirect_has_the_browser_send_a_form_again(tmp_path: Path, method: str, more: dict[str, str]) -> None:
    async def act(one: Authorizing) -> None:
        sent, client = one.parameters(**more), one.endpoint.client
        if method == "GET":
            answer = await client.get("/oauth/authorize", params=sent)
        else:
            answer = await client.post("/oauth/authorize", data=sent)

        assert answer.status_code == 303

    with_authorizing(tmp_path, act)


def test_4_15_an_agent_that_acts_as_itself_cannot_be_taken_for_a_person(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        as_itself = claims_of((await one.endpoint.token()).json()["access_token"])
        for_a_person = claims_of((await one.redeem(answer_of(await one.allow())["code"])).json()["access_token"])

        assert as_itself["sub"] == as_itself["client_id"] == one.endpoint.agent.id
        assert "act" not in as_itself
        assert for_a_person["sub"] == one.person.id
        # Ids are made here, and what they name stands before them: no client chooses its own.
        assert (as_itself["sub"][:4], for_a_person["sub"][:4]) == ("agt_", "per_")
        assert for_a_person["act"] == {"sub": one.desk.id}

    with_authorizing(tmp_path, act)
