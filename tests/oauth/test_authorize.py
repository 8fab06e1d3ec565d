"""The authorization endpoint: what it takes, what it refuses, and whom it tells."""

from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from accredit.delegations.consent import Asked, Choice
from accredit.errors import Conflict, InputRefused
from accredit.oauth.codes import REQUEST_SECONDS
from tests.oauth.authorizing import (
    READ,
    REDIRECT,
    STATE,
    WRITE,
    Authorizing,
    answer_of,
    sealed_of,
    with_authorizing,
)
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER
from tests.rooms import ADMINISTRATOR


def test_a_request_is_carried_to_the_page_of_consent_and_nothing_is_written(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        before = len(await one.endpoint.events())

        response = await one.authorize()

        assert sealed_of(response)
        assert response.headers["cache-control"] == "no-store"
        assert len(await one.endpoint.events()) == before

    with_authorizing(tmp_path, act)


def test_a_request_by_post_is_the_same(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.endpoint.client.post("/oauth/authorize", data=one.parameters())

        assert isinstance(await one.consents.begin(sealed_of(response), one.session), Asked)

    with_authorizing(tmp_path, act)


def test_what_a_person_is_asked_is_cut_to_what_they_and_the_agent_may_do(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        both = await one.begin()
        await one.set_roles()
        one.session = await one.sign_in()
        neither = await one.begin()

        assert isinstance(both, Asked)
        assert isinstance(neither, Asked)
        assert [item.scope for item in both.scopes] == [READ, WRITE]
        assert [item.operations[0].action for item in both.scopes] == ["crm.contacts.search", "crm.contacts.create"]
        assert (both.name, both.owner, both.host) == ("desk", "ana@example.com", None)
        assert (both.system.name, both.redirect_uri) == ("crm", REDIRECT)
        assert neither.scopes == ()

    with_authorizing(tmp_path, act)


def test_an_answer_carries_code_state_and_issuer(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        url = await one.allow()

        answer = answer_of(url)
        assert url.startswith(f"{REDIRECT}?code=aac_")
        assert answer.keys() == {"code", "state", "iss"}
        assert (answer["state"], answer["iss"]) == (STATE, ISSUER)

    with_authorizing(tmp_path, act)


def test_a_redirect_uri_with_a_query_keeps_it(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        uri = f"{REDIRECT}?tenant=a%26b"
        await one.client("other", redirect_uris=[uri])
        one.desk = await one.endpoint.rooms.agents.named("other")

        url = await one.allow(redirect_uri=uri)

        assert url.startswith(f"{uri}&code=")
        assert answer_of(url)["tenant"] == "a&b"

    with_authorizing(tmp_path, act)


def test_a_yes_makes_a_delegation_with_its_event(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        await one.allow(scopes=(READ,), seconds=86_400)

        [made] = await one.endpoint.rooms.delegations.of_person(one.person.id)
        event = (await one.endpoint.events())[-1]
        assert (made.agent, made.system, made.audience, made.scopes) == (one.desk.id, "crm", CRM_RESOURCE, (READ,))
        assert made.expires_at - made.created_at == 86_400
        assert (event.type, event.delegation, event.person) == ("delegation.created", made.id, one.person.id)
        assert (event.agent_name, event.authentication, event.session) == ("desk", "passkey", one.session.id)

    with_authorizing(tmp_path, act)


def test_a_no_goes_back_to_the_client_and_is_recorded(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        answered = await one.consents.refuse(await one.sealed(), one.session)

        answer = answer_of(answered.url)
        event = (await one.endpoint.events())[-1]
        assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", STATE, ISSUER)
        assert (event.type, event.outcome, event.person) == ("delegation.refused", "refused", one.person.id)
        assert await one.endpoint.rooms.delegations.of_person(one.person.id) == []

    with_authorizing(tmp_path, act)


def test_a_request_is_answered_once(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        sealed = await one.sealed()
        choice = Choice(scopes=frozenset({READ}), seconds=3_600)
        await one.consents.approve(sealed, one.session, choice)

        with pytest.raises(Conflict, match="answered before"):
            await one.consents.approve(sealed, one.session, choice)
        with pytest.raises(Conflict, match="answered before"):
            await one.consents.refuse(sealed, one.session)

        assert len(await one.endpoint.rooms.delegations.of_person(one.person.id)) == 1

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        pytest.param(Choice(scopes=frozenset(), seconds=3_600), "nothing was ticked", id="nothing"),
        pytest.param(Choice(scopes=frozenset({"crm:all"}), seconds=3_600), "no longer", id="more than was offered"),
        pytest.param(Choice(scopes=frozenset({READ}), seconds=3_601), "not offered", id="another time"),
        pytest.param(Choice(scopes=frozenset({READ}), seconds=7_776_000), "not offered", id="longer than is allowed"),
    ],
)
def test_a_choice_that_was_not_offered_is_refused(tmp_path: Path, choice: Choice, words: str) -> None:
    async def act(one: Authorizing) -> None:
        with pytest.raises(InputRefused, match=words):
            await one.consents.approve(await one.sealed(), one.session, choice)

        assert await one.endpoint.rooms.delegations.of_person(one.person.id) == []

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        pytest.param({"response_type": "token"}, "unsupported_response_type", id="implicit"),
        pytest.param({"response_type": "code id_token"}, "unsupported_response_type", id="hybrid"),
        pytest.param({"response_type": None}, "invalid_request", id="no response type"),
        pytest.param({"response_mode": "fragment"}, "invalid_request", id="fragment"),
        pytest.param({"response_mode": "form_post"}, "invalid_request", id="form post"),
        pytest.param({"scope": "erp:all"}, "invalid_scope", id="no scope of the system"),
        pytest.param({"resource": f"{ISSUER}/gateway/erp"}, "invalid_target", id="unknown resource"),
        pytest.param({"prompt": "none login"}, "invalid_request", id="none and login"),
        pytest.param({"prompt": "always"}, "invalid_request", id="unknown prompt"),
        pytest.param({"max_age": "-1"}, "invalid_request", id="negative age"),
        pytest.param({"max_age": "²"}, "invalid_request", id="superscript age"),
        pytest.param({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported", id="request object"),
        pytest.param({"dpop_jkt": "short"}, "invalid_request", id="no thumbprint"),
        pytest.param({"nonce": "n" * 513}, "invalid_request", id="long nonce"),
        pytest.param({"authorization_details": "[]"}, "invalid_authorization_details", id="no details"),
    ],
)
def test_a_client_is_told_what_is_wrong_once_it_is_known(
    tmp_path: Path, more: dict[str, str | None], error: str
) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.authorize(**more)

        answer = answer_of(response.headers["location"])
        assert response.status_code == 303
        assert response.headers["location"].startswith(f"{REDIRECT}?error=")
        assert (answer["error"], answer["state"], answer["iss"]) == (error, STATE, ISSUER)
        assert answer["error_description"].isascii()

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"client_id": None}, id="no client"),
        pytest.param({"client_id": "agt_01JD0000000000000000000000"}, id="unknown client"),
        pytest.param({"client_id": "READER"}, id="client without metadata"),
        pytest.param({"redirect_uri": None}, id="no redirect uri"),
        pytest.param({"redirect_uri": "https://evil.example/back"}, id="another redirect uri"),
        pytest.param({"request_uri": "urn:ietf:params:oauth:request_uri:none"}, id="unknown pushed request"),
        pytest.param({"request_uri": "https://desk.example/request"}, id="request by reference"),
    ],
)
def test_until_client_and_redirect_uri_are_proved_the_error_is_shown_here(
    tmp_path: Path, more: dict[str, str | None]
) -> None:
    async def act(one: Authorizing) -> None:
        given = {k: one.endpoint.agent.id if v == "READER" else v for k, v in more.items()}

        response = await one.authorize(**given)

        assert response.status_code == 400
        assert "location" not in response.headers
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "href" not in response.text

    with_authorizing(tmp_path, act)


def test_a_parameter_that_is_given_twice_is_refused_here(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        twice = urlencode([*one.parameters().items(), ("redirect_uri", "https://evil.example/")])

        response = await one.endpoint.client.get(f"/oauth/authorize?{twice}")

        assert (response.status_code, "location" in response.headers) == (400, False)

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize("status", ["suspend", "retire"])
def test_a_client_that_was_ended_since_is_not_answered(tmp_path: Path, status: str) -> None:
    async def act(one: Authorizing) -> None:
        sealed = await one.sealed()
        await getattr(one.endpoint.rooms.agents, status)("desk", ADMINISTRATOR)

        with pytest.raises(InputRefused, match="client_id"):
            await one.consents.begin(sealed, one.session)
        with pytest.raises(InputRefused, match="client_id"):
            await one.consents.approve(sealed, one.session, Choice(scopes=frozenset({READ}), seconds=3_600))

    with_authorizing(tmp_path, act)


def test_a_sealed_request_is_too_old_after_ten_minutes(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        sealed = await one.sealed()
        one.endpoint.rooms.clock.move(REQUEST_SECONDS)

        with pytest.raises(InputRefused, match="more than ten minutes"):
            await one.consents.begin(sealed, one.session)

    with_authorizing(tmp_path, act)


def test_a_request_that_no_url_carries_is_refused(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.authorize(state="s" * 2_000, scope=READ + " " + "x" * 4_000)

        assert answer_of(response.headers["location"])["error"] == "invalid_request"

    with_authorizing(tmp_path, act)


def test_only_parameters_that_are_declared_travel_on(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        plain = await one.sealed()
        more = await one.sealed(ui_locales="x" * 500, colour="x" * 500)

        assert abs(len(plain) - len(more)) < 8

    with_authorizing(tmp_path, act)


def test_the_metadata_says_what_there_is(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        documents = [
            (await one.endpoint.client.get(f"/.well-known/{name}")).json()
            for name in ("oauth-authorization-server", "openid-configuration")
        ]

        document = documents[0]
        assert documents[1] == document
        assert document["authorization_endpoint"] == f"{ISSUER}/oauth/authorize"
        assert document["pushed_authorization_request_endpoint"] == f"{ISSUER}/oauth/par"
        assert document["response_types_supported"] == ["code"]
        assert document["code_challenge_methods_supported"] == ["S256"]
        assert document["authorization_response_iss_parameter_supported"] is True
        assert document["client_id_metadata_document_supported"] is True
        assert {"authorization_code", "refresh_token"} <= set(document["grant_types_supported"])
        assert "none" in document["token_endpoint_auth_methods_supported"]
        assert document["authorization_details_types_supported"] == ["accredit_action"]
        assert (document["request_parameter_supported"], document["request_uri_parameter_supported"]) == (False, False)
        for name, url in document.items():
            if name.endswith("_endpoint"):
                probe = await one.endpoint.client.request("PROPFIND", urlsplit(url).path)
                assert probe.status_code == 405, name

    with_authorizing(tmp_path, act)


def test_no_document_clients_are_advertised_where_none_are_taken(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        document = (await one.endpoint.client.get("/.well-known/oauth-authorization-server")).json()

        assert document["client_id_metadata_document_supported"] is False

    with_authorizing(tmp_path, act, client_metadata_hosts=())
