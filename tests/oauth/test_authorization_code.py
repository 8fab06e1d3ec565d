"""The authorization code grant: what a code is changed into, and what it takes to change it."""

from pathlib import Path

import pytest
from joserfc import jwt

from accredit.agents.new_agent import NewAgent
from accredit.delegations.consent import Answered, Choice
from accredit.oauth.codes import CODE_SECONDS
from accredit.tokens.errors import InvalidToken
from tests.oauth.authorizing import (
    READ,
    REDIRECT,
    WRITE,
    Authorizing,
    answer_of,
    metadata,
    with_authorizing,
)
from tests.oauth.counting import counted_reads
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER
from tests.rooms import ADMINISTRATOR, SIGNER


def claims_of(token: str) -> dict[str, object]:
    return dict(jwt.decode(token, SIGNER.jwk, algorithms=["ES256"]).claims)


def test_a_code_is_changed_into_a_token_for_the_person_by_the_agent(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.redeem(await one.code())

        body = response.json()
        claims = claims_of(body["access_token"])
        [made] = await one.endpoint.rooms.delegations.of_person(one.person.id)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        assert body.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
        assert body["scope"] == f"{READ} {WRITE}"
        assert (claims["sub"], claims["act"], claims["client_id"]) == (
            one.person.id,
            {"sub": one.desk.id},
            one.desk.id,
        )
        assert (claims["aud"], claims["accredit_delegation"]) == (CRM_RESOURCE, made.id)
        assert claims["auth_time"] == int(one.session.auth_time)
        caller = await one.endpoint.verifier.verify(body["access_token"], CRM_RESOURCE)
        assert (caller.subject, caller.agent.id) == (one.person.id, one.desk.id)

    with_authorizing(tmp_path, act)


def test_the_event_names_person_delegation_and_session(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.redeem(await one.code())

        event = (await one.endpoint.events())[int(response.headers["x-accredit-event"])]
        [made] = await one.endpoint.rooms.delegations.of_person(one.person.id)
        assert (event.type, event.authentication) == ("token.issued", "none")
        assert (event.person, event.delegation, event.session) == (one.person.id, made.id, one.session.id)

    with_authorizing(tmp_path, act)


def test_the_verifier_of_the_rfc_is_taken(tmp_path: Path) -> None:
    """RFC 7636 appendix B."""

    async def act(one: Authorizing) -> None:
        code = await one.code(code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")

        response = await one.redeem(code, code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")

        assert response.status_code == 200

    with_authorizing(tmp_path, act)


def test_only_what_was_ticked_is_given(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        code = answer_of(await one.allow(scopes=(READ,)))["code"]

        assert (await one.redeem(code)).json()["scope"] == READ

    with_authorizing(tmp_path, act)


def test_a_right_that_was_lost_between_consent_and_token_is_not_given(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        code = await one.code()
        await one.set_roles()

        response = await one.redeem(code)

        assert (response.status_code, response.json()["error"]) == (400, "invalid_scope")

    with_authorizing(tmp_path, act)


def test_no_token_outlives_the_delegation(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        code = answer_of(await one.allow(seconds=60))["code"]
        one.endpoint.rooms.clock.move(50)

        assert (await one.redeem(code)).json()["expires_in"] == 10

    with_authorizing(tmp_path, act, delegation_seconds=60)


def test_a_client_without_the_grant_gets_no_refresh_token(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        await one.client("other", grant_types=["authorization_code"])
        one.desk = await one.endpoint.rooms.agents.named("other")

        assert "refresh_token" not in (await one.redeem(await one.code())).json()

    with_authorizing(tmp_path, act)


def test_with_openid_there_is_an_id_token(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        code = await one.code(scope=f"openid {READ}", nonce="n-0S6_WzA2Mj")

        body = (await one.redeem(code)).json()

        claims = claims_of(body["id_token"])
        assert body["scope"] == f"{READ} openid"
        assert (claims["iss"], claims["sub"], claims["aud"]) == (ISSUER, one.person.id, one.desk.id)
        assert (claims["nonce"], claims["sid"]) == ("n-0S6_WzA2Mj", one.session.id)
        assert claims["auth_time"] == int(one.session.auth_time)

    with_authorizing(tmp_path, act)


def test_who_only_wants_to_know_the_person_gets_a_token_for_userinfo(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        code = await one.code(scope="openid email", resource=None)

        body = (await one.redeem(code)).json()

        assert claims_of(body["access_token"])["aud"] == ISSUER
        assert body["scope"] == "openid email"

    with_authorizing(tmp_path, act)


def test_openid_cannot_be_unticked(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        code = answer_of(await one.allow(scopes=(READ,), scope=f"openid email {READ}"))["code"]

        assert (await one.redeem(code)).json()["scope"] == f"{READ} openid"

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        pytest.param({"code_verifier": ""}, "invalid_request", id="no verifier"),
        pytest.param({"code": ""}, "invalid_request", id="no code"),
        pytest.param({"code": "aac_" + "A" * 80}, "invalid_grant", id="not ours"),
        pytest.param({"code_verifier": "w" * 43}, "invalid_grant", id="another verifier"),
        pytest.param({"code_verifier": "v" * 42}, "invalid_grant", id="short verifier"),
        pytest.param({"redirect_uri": f"{REDIRECT}/"}, "invalid_grant", id="a slash more"),
        pytest.param({"resource": ISSUER}, "invalid_target", id="another resource"),
    ],
)
def test_a_code_is_not_changed_for_less_than_all_that_belongs_to_it(
    tmp_path: Path, more: dict[str, str], error: str
) -> None:
    async def act(one: Authorizing) -> None:
        code = await one.code()

        refused = await one.redeem(code, **more)  # type: ignore[arg-type]  # none of them is `headers`
        # What was refused for a mistake is not used up: the client itself can still have it.
        taken = await one.redeem(code, resource=CRM_RESOURCE)

        assert (refused.status_code, refused.json()["error"]) == (400, error)
        assert taken.status_code == 200

    with_authorizing(tmp_path, act)


def test_a_client_of_oauth_2_1_leaves_the_redirect_uri_out(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        answer = await one.redeem(await one.code(), redirect_uri="")

        assert answer.status_code == 200

    with_authorizing(tmp_path, act)


def test_a_code_is_too_old_after_a_minute(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        code = await one.code()
        one.endpoint.rooms.clock.move(CODE_SECONDS)

        assert (await one.redeem(code)).json()["error"] == "invalid_grant"

    with_authorizing(tmp_path, act)


def test_an_ended_delegation_ends_its_code_and_its_tokens(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        used, waiting = await one.code(), await one.code()
        token = (await one.redeem(used)).json()["access_token"]
        for made in await one.endpoint.rooms.delegations.of_person(one.person.id):
            await one.endpoint.rooms.delegations.end(one.person.id, made.id, one.session)

        refused = await one.redeem(waiting)

        assert refused.json()["error"] == "invalid_grant"
        with pytest.raises(InvalidToken, match="ended"):
            await one.endpoint.verifier.verify(token, CRM_RESOURCE)

    with_authorizing(tmp_path, act)


def test_a_suspension_ends_what_waits(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        code = await one.code()
        await one.endpoint.rooms.agents.suspend("desk", ADMINISTRATOR)
        await one.endpoint.rooms.agents.resume("desk", ADMINISTRATOR)

        assert (await one.redeem(code)).json()["error"] == "invalid_grant"

    with_authorizing(tmp_path, act)


def test_a_client_with_a_secret_has_to_show_it(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        await one.client("web", token_endpoint_auth_method="client_secret_post")
        one.desk = await one.endpoint.rooms.agents.named("web")
        _, secret = await one.endpoint.rooms.agents.add_client_secret("web", ADMINISTRATOR)
        code = await one.code()

        without = await one.redeem(code)
        wrong = await one.redeem(code, client_secret="acs_wrong")
        right = await one.redeem(code, client_secret=secret.reveal())

        assert [without.json()["error"], wrong.json()["error"]] == ["invalid_client", "invalid_client"]
        assert right.status_code == 200

    with_authorizing(tmp_path, act)


def test_an_unknown_public_client_and_one_with_a_secret_are_answered_alike_after_the_same_work(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        code = await one.code()
        answers = []
        for client_id in (one.endpoint.agent.id, "agt_01JD0000000000000000000000", "https://none.example/client"):
            with counted_reads(one.endpoint.rooms.database) as reads:
                response = await one.redeem(code, client_id=client_id)
            body = response.json()
            body.pop("event")
            answers.append((response.status_code, body, reads.count))

        assert answers[0] == answers[1] == answers[2]
        assert (answers[0][0], answers[0][2]) == (401, 1)

    with_authorizing(tmp_path, act)


def test_the_code_of_a_client_that_was_grown_by_no_consent_stays_in_its_systems(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        await one.endpoint.rooms.agents.create(
            NewAgent(name="outsider", owner="ana@example.com", roles=("ai-agent-admin",), client=metadata()),
            ADMINISTRATOR,
        )
        one.desk = await one.endpoint.rooms.agents.named("outsider")

        sealed = await one.sealed()
        answered = await one.consents.approve(sealed, one.session, Choice(scopes=frozenset({READ}), seconds=3_600))

        assert isinstance(answered, Answered)
        assert answer_of(answered.url)["error"] == "invalid_scope"

    with_authorizing(tmp_path, act)
