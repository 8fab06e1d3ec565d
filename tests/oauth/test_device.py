"""Device authorization (RFC 8628): what a device is answered, until the person has and after."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from sqlalchemy import select

from accredit.delegations.consent import Choice
from accredit.errors import Conflict, InputRefused, NotFound
from accredit.oauth.pending import DEVICE_GRANT
from accredit.storage.schema import pending_authorizations
from accredit.tokens.errors import InvalidToken
from tests.oauth.asking import Asking, with_asking
from tests.oauth.authorizing import READ, WRITE
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER
from tests.proofs import new_proof_key
from tests.rooms import ADMINISTRATOR


def test_the_answer_has_just_what_the_rfc_names(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        answer = await one.send("/oauth/device_authorization", {"resource": CRM_RESOURCE})

        body = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert body.keys() == {
            "device_code",
            "user_code",
            "verification_uri",
            "verification_uri_complete",
            "expires_in",
            "interval",
        }
        assert (body["expires_in"], body["interval"]) == (600, 5)
        assert body["verification_uri"] == f"{ISSUER}/console/device"
        assert body["verification_uri_complete"] == f"{ISSUER}/console/device?user_code={body['user_code']}"
        assert len(body["device_code"]) == 43
        letters = body["user_code"].replace("-", "")
        assert len(letters) == 8
        assert not set(letters) & set("AEIOUY0123456789")
        assert (await one.device())["user_code"] != body["user_code"]

    with_asking(tmp_path, act)


def test_the_code_becomes_a_token_for_the_person_by_the_agent(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device()
        assert (await one.poll_device(asked["device_code"])).json()["error"] == "authorization_pending"
        await one.allow_device(asked)
        one.move(5)

        answer = await one.poll_device(asked["device_code"])

        body = answer.json()
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert body.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
        caller = await one.endpoint.verifier.verify(body["access_token"], CRM_RESOURCE)
        assert (caller.subject, caller.agent.id) == (one.person.id, one.client.id)
        event = (await one.endpoint.events())[int(answer.headers["x-accredit-event"])]
        assert (event.type, event.person, event.session) == ("token.issued", one.person.id, one.session.id)

    with_asking(tmp_path, act)


def test_with_openid_there_is_an_id_token_and_the_client_hears_of_the_sessions_end(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device(scope=f"openid {READ}")
        await one.allow_device(asked)

        body = (await one.poll_device(asked["device_code"])).json()

        claims = one.endpoint.oauth.id_tokens.read(body["id_token"], audience=one.client.client_id)
        assert (claims.sub, claims.sid) == (one.person.id, one.session.id)

    with_asking(tmp_path, act)


@pytest.mark.parametrize("typed", ["{}", " {} ", "{}\n"], ids=["as shown", "spaces", "line end"])
def test_a_code_is_taken_however_it_is_typed(tmp_path: Path, typed: str) -> None:
    async def act(one: Asking) -> None:
        code = (await one.device())["user_code"]

        for spelled in (code, code.lower(), code.replace("-", ""), code.replace("-", " "), f"  {code}  "):
            assert await one.consents.of_user_code(typed.format(spelled)) is not None
        assert await one.consents.of_user_code(code[:-1]) is None
        assert await one.consents.of_user_code(code + "B") is None

    with_asking(tmp_path, act)


def test_who_polls_too_often_is_told_to_slow_down_and_gets_its_token_all_the_same(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device()
        errors = []
        for wait in (0.0, 1.0, 4.0, 5.0):
            one.move(wait)
            errors.append((await one.poll_device(asked["device_code"])).json()["error"])
        assert errors == ["authorization_pending", "slow_down", "slow_down", "authorization_pending"]

        await one.allow_device(asked)
        early = await one.poll_device(asked["device_code"])
        one.move(5)
        late = await one.poll_device(asked["device_code"])

        assert (early.status_code, early.json()["error"]) == (400, "slow_down")
        assert late.status_code == 200

    with_asking(tmp_path, act)


def test_polling_is_no_event_and_spends_the_proof_of_the_client(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        key = new_proof_key()
        asked = await one.device()
        before = await one.event_types()

        proof = key.proof("POST", f"{ISSUER}/oauth/token", one.endpoint.rooms.clock.now)
        first = await one.poll_device(asked["device_code"], DPoP=proof)
        again = await one.poll_device(asked["device_code"], DPoP=proof)

        assert first.json()["error"] == "authorization_pending"
        assert again.json()["error"] == "invalid_dpop_proof"
        assert await one.event_types() == [*before, "token.refused"]

    with_asking(tmp_path, act)


def test_a_device_is_told_no_once_the_person_said_no(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device()
        await one.consents.refuse(await one.reference(asked["user_code"]), one.session)

        answer = await one.poll_device(asked["device_code"])

        assert (answer.status_code, answer.json()["error"]) == (400, "access_denied")
        event = next(each for each in await one.endpoint.events() if each.type == "delegation.refused")
        assert (event.agent, event.person, event.session) == (one.client.id, one.person.id, one.session.id)
        assert await one.delegations() == 0

    with_asking(tmp_path, act)


def test_after_ten_minutes_the_code_is_expired_and_not_before(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked, late = await one.device(), await one.device()
        reference = await one.reference(late["user_code"])
        one.move(599)
        assert (await one.poll_device(asked["device_code"])).json()["error"] == "authorization_pending"
        one.move(1)

        answer = await one.poll_device(asked["device_code"])

        assert (answer.status_code, answer.json()["error"]) == (400, "expired_token")
        with pytest.raises(NotFound):
            await one.allow(reference)
        assert await one.delegations() == 0

    with_asking(tmp_path, act)


def test_what_expired_is_told_of_for_an_hour_and_then_forgotten(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device()
        one.move(600 + 3_600)
        await one.endpoint.oauth.pending.forget()
        assert (await one.poll_device(asked["device_code"])).json()["error"] == "expired_token"
        one.move(1)

        await one.endpoint.oauth.pending.forget()

        assert (await one.poll_device(asked["device_code"])).json()["error"] == "invalid_grant"

    with_asking(tmp_path, act)


@pytest.mark.parametrize("code", ["A" * 43, "x", "A" * 9_000], ids=["made up", "short", "long"])
def test_a_code_that_never_was_is_no_grant(tmp_path: Path, code: str) -> None:
    async def act(one: Asking) -> None:
        answer = await one.poll_device(code)

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")

    with_asking(tmp_path, act)


def test_another_clients_code_and_another_grants_are_as_unknown_as_one_that_never_was(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        thief = await one.other("thief")
        asked, auth_req_id = await one.device(), await one.ask()
        await one.allow_device(asked)

        answers = [
            (await thief.poll_device(asked["device_code"])).json(),
            (await one.poll_device(auth_req_id)).json(),
            (await one.poll(asked["device_code"])).json(),
            (await one.poll_device(asked["user_code"])).json(),
            (await one.poll_device("A" * 43)).json(),
        ]

        for answer in answers:
            answer.pop("event")
        assert all(answer == answers[-1] for answer in answers)
        assert answers[0]["error"] == "invalid_grant"
        # Nothing of it was used up.
        assert (await one.poll_device(asked["device_code"])).status_code == 200

    with_asking(tmp_path, act)


def test_a_code_that_is_used_twice_ends_what_came_of_it(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device()
        await one.allow_device(asked)
        first = (await one.poll_device(asked["device_code"])).json()
        one.move(5)

        again = await one.poll_device(asked["device_code"])

        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
        with pytest.raises(InvalidToken, match="ended"):
            await one.endpoint.verifier.verify(first["access_token"], CRM_RESOURCE)
        refreshed = await one.send(
            "/oauth/token", {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        )
        assert refreshed.json()["error"] == "invalid_grant"
        assert await one.delegations() == 0
        assert "token_family.ended" in await one.event_types()

    with_asking(tmp_path, act)


def test_of_many_polls_at_once_one_gets_the_tokens(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device()
        await one.allow_device(asked)

        answers = await asyncio.gather(*(one.poll_device(asked["device_code"]) for _ in range(6)))

        assert sum(answer.status_code == 200 for answer in answers) <= 1
        assert (await one.event_types()).count("token.issued") == 1

    with_asking(tmp_path, act)


def test_two_people_race_for_a_code_and_one_delegates(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        rooms = one.endpoint.rooms
        asked = await one.device()
        reference = await one.reference(asked["user_code"])
        cleo, _ = await rooms.transactions.change(
            lambda tx: rooms.people.ensure(tx, "cleo@example.com", "Cleo", ("administrator",))
        )
        hers, _ = await one.authorizing.sessions.start(cleo, authentication="passkey")
        choice = Choice(scopes=frozenset({READ}), seconds=3_600)

        outcomes = await asyncio.gather(
            one.consents.approve(reference, one.session, choice),
            one.consents.approve(reference, hers, choice),
            one.consents.refuse(reference, hers),
            return_exceptions=True,
        )

        assert [type(outcome) for outcome in outcomes].count(type(None)) == 1
        assert all(isinstance(outcome, Conflict | NotFound | None) for outcome in outcomes)
        types = await one.event_types()
        assert types.count("delegation.created") + types.count("delegation.refused") == 1
        assert len(await rooms.delegations.of_person(cleo.id)) + await one.delegations() == 1

    with_asking(tmp_path, act)


def test_only_what_was_ticked_is_given_and_nothing_that_was_not_offered(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device(scope=READ)
        reference = await one.reference(asked["user_code"])
        for choice in (
            Choice(scopes=frozenset({WRITE}), seconds=3_600),
            Choice(scopes=frozenset({READ, WRITE}), seconds=3_600),
            Choice(scopes=frozenset(), seconds=3_600),
            Choice(scopes=frozenset({READ}), seconds=3_601),
        ):
            with pytest.raises(InputRefused):
                await one.consents.approve(reference, one.session, choice)

        await one.allow(reference)

        assert (await one.poll_device(asked["device_code"])).json()["scope"] == READ

    with_asking(tmp_path, act)


def test_details_are_carried_to_the_token_and_bound_its_scopes(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        details = [{"type": "accredit_action", "system": "crm", "actions": ["crm.contacts.search"], "purpose": "Look"}]
        asked = await one.device(resource="", authorization_details=json.dumps(details))
        shown = await one.allow(await one.reference(asked["user_code"]))

        body = (await one.poll_device(asked["device_code"])).json()

        assert [each.actions for each in shown.details] == [("crm.contacts.search",)]
        assert body["scope"] == READ
        assert body["authorization_details"] == details
        claims = one.endpoint.verifier.read(body["access_token"])
        assert [each.actions for each in claims.authorization_details] == [("crm.contacts.search",)]

    with_asking(tmp_path, act)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        pytest.param({"resource": "https://evil.example"}, "invalid_target", id="resource of somebody else"),
        pytest.param({"scope": "crm:all"}, "invalid_scope", id="scope that is none"),
        pytest.param({"authorization_details": "[]"}, "invalid_authorization_details", id="no details"),
        pytest.param({"authorization_details": '[{"type":"x"}]'}, "invalid_authorization_details", id="unknown type"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_at_once(tmp_path: Path, form: dict[str, str], error: str) -> None:
    async def act(one: Asking) -> None:
        answer = await one.send("/oauth/device_authorization", form)

        assert (answer.status_code, answer.json()["error"]) == (400, error)
        assert "delegation.requested" not in await one.event_types()

    with_asking(tmp_path, act)


def test_a_request_is_an_event_that_names_who_asks(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        await one.device()

        event = (await one.endpoint.events())[-1]
        assert (event.type, event.agent, event.authentication) == (
            "delegation.requested",
            one.client.id,
            "client_secret_post",
        )
        assert (event.system, event.resource, event.person) == ("crm", CRM_RESOURCE, None)

    with_asking(tmp_path, act)


def test_a_client_that_did_not_register_for_the_grant_may_not_ask(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        other = await one.other("other", grant_types=["client_credentials"])

        answer = await other.send("/oauth/device_authorization", {})
        polled = await other.poll_device("A" * 43)

        assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
        assert polled.json()["error"] == "unauthorized_client"

    with_asking(tmp_path, act)


def test_an_agent_without_metadata_may_ask_with_its_secret(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        plain = Asking(
            authorizing=one.authorizing,
            consents=one.consents,
            client=one.endpoint.agent,
            secret=one.endpoint.secret,
        )
        asked = await plain.device()
        await plain.allow_device(asked)

        body = (await plain.poll_device(asked["device_code"])).json()

        assert body["scope"] == READ
        assert "refresh_token" not in body

    with_asking(tmp_path, act)


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        pytest.param({"client_secret": "acs_wrong"}, 401, "invalid_client", id="wrong secret"),
        pytest.param({"client_secret": ""}, 401, "invalid_client", id="no secret"),
        pytest.param({"client_id": "agt_01JD0000000000000000000000"}, 401, "invalid_client", id="unknown client"),
    ],
)
def test_who_does_not_prove_who_it_is_gets_no_code(
    tmp_path: Path, form: dict[str, str], status: int, error: str
) -> None:
    async def act(one: Asking) -> None:
        answer = await one.send("/oauth/device_authorization", form)

        assert (answer.status_code, answer.json()["error"]) == (status, error)

    with_asking(tmp_path, act)


def test_a_public_clients_refresh_tokens_are_bound_to_the_key_that_it_polled_with(tmp_path: Path) -> None:
    """RFC 9449 §5."""

    async def act(one: Asking) -> None:
        public = await one.other("tv", token_endpoint_auth_method="none")
        key, thief = new_proof_key(), new_proof_key()

        def proof(of: object = key) -> str:
            assert of in (key, thief)
            chosen = key if of is key else thief
            return chosen.proof("POST", f"{ISSUER}/oauth/token", one.endpoint.rooms.clock.now)

        asked = await public.device()
        await public.allow_device(asked)
        body = (await public.poll_device(asked["device_code"], DPoP=proof())).json()
        refresh = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}

        stolen = await public.send("/oauth/token", refresh, DPoP=proof(thief))
        without = await public.send("/oauth/token", refresh)
        own = await public.send("/oauth/token", refresh, DPoP=proof())

        assert body["token_type"] == "DPoP"
        claims = one.endpoint.verifier.read(body["access_token"])
        assert claims.cnf is not None
        assert claims.cnf.jkt == key.thumbprint
        assert [stolen.json()["error"], without.json()["error"]] == ["invalid_grant", "invalid_grant"]
        assert own.status_code == 200

    with_asking(tmp_path, act)


def test_a_public_client_without_a_key_gets_a_bearer_token(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        public = await one.other("tv", token_endpoint_auth_method="none")
        asked = await public.device()
        await public.allow_device(asked)

        assert (await public.poll_device(asked["device_code"])).json()["token_type"] == "Bearer"

    with_asking(tmp_path, act)


def test_who_knows_a_public_clients_name_cannot_fill_the_table(tmp_path: Path) -> None:
    async def act(one: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("accredit.oauth.pending._AT_ONCE", 3)
        public, other = await one.other("tv", token_endpoint_auth_method="none"), await one.other("radio")
        for _ in range(3):
            await public.device()

        full = await public.send("/oauth/device_authorization", {})

        assert (full.status_code, full.json()["error"]) == (503, "temporarily_unavailable")
        assert (await other.send("/oauth/device_authorization", {})).status_code == 200
        one.move(600)
        assert (await public.send("/oauth/device_authorization", {})).status_code == 200

    with pytest.MonkeyPatch.context() as monkeypatch:
        with_asking(tmp_path, lambda one: act(one, monkeypatch))


def test_the_database_holds_no_code_that_could_be_polled_with(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device()

        rows = await one.endpoint.rooms.transactions.read(
            lambda c: list(c.execute(select(pending_authorizations)).mappings())
        )

        [row] = rows
        assert asked["device_code"] not in json.dumps([str(value) for value in row.values()])
        assert row["key"] == hashlib.sha256(f"device\0{asked['device_code']}".encode()).digest()

    with_asking(tmp_path, act)


def test_a_suspension_between_yes_and_token_ends_it(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device()
        await one.allow_device(asked)
        await one.endpoint.rooms.agents.suspend("speaker", ADMINISTRATOR)
        assert (await one.poll_device(asked["device_code"])).json()["error"] == "invalid_client"
        await one.endpoint.rooms.agents.resume("speaker", ADMINISTRATOR)
        one.move(5)

        assert (await one.poll_device(asked["device_code"])).json()["error"] == "invalid_grant"

    with_asking(tmp_path, act)


def test_a_delegation_that_was_ended_gives_no_token(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device()
        await one.allow_device(asked)
        [made] = await one.endpoint.rooms.delegations.of_person(one.person.id)
        await one.endpoint.rooms.delegations.end(one.person.id, made.id, one.session)

        assert (await one.poll_device(asked["device_code"])).json()["error"] == "invalid_grant"

    with_asking(tmp_path, act)


def test_the_metadata_names_the_endpoint_and_the_grant(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        document = (await one.endpoint.client.get("/.well-known/oauth-authorization-server")).json()

        assert document["device_authorization_endpoint"] == f"{ISSUER}/oauth/device_authorization"
        assert DEVICE_GRANT in document["grant_types_supported"]
        assert (await one.endpoint.client.get("/oauth/device_authorization")).status_code == 405

    with_asking(tmp_path, act)
