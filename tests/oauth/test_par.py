"""Pushed authorization requests (RFC 9126): authenticated, checked, used once, of one client, for 90 seconds."""

from pathlib import Path

import pytest

from accredit.delegations.consent import Asked, Choice
from accredit.errors import Conflict, InputRefused
from accredit.oauth.codes import REQUEST_SECONDS
from accredit.oauth.pushed import PUSHED_SECONDS
from tests.oauth.authorizing import READ, REDIRECT, WRITE, Authorizing, answer_of, sealed_of, with_authorizing
from tests.oauth.endpoint import ISSUER
from tests.oauth.test_details import details
from tests.proofs import ProofKey, new_proof_key
from tests.rooms import ADMINISTRATOR


async def push(one: Authorizing, **more: str | None) -> str:
    response = await one.endpoint.client.post("/oauth/par", data=one.parameters(**more))
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.json().keys() == {"request_uri", "expires_in"}
    assert response.json()["expires_in"] == PUSHED_SECONDS
    uri: str = response.json()["request_uri"]
    assert uri.startswith("urn:ietf:params:oauth:request_uri:")
    return uri


async def bring(one: Authorizing, uri: str, **more: str) -> object:
    """Bring a request_uri to the authorization endpoint, with nothing else that counts."""
    params = {"client_id": one.desk.client_id, "request_uri": uri, **more}
    return await one.endpoint.client.get("/oauth/authorize", params=params)


def test_a_pushed_request_is_asked_as_it_was_pushed(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        uri = await push(one, scope=READ)

        response = await bring(one, uri, scope="crm:contacts.write", redirect_uri="https://evil.example/", state="x")

        asked = await one.consents.begin(sealed_of(response), one.session)  # type: ignore[arg-type]
        assert isinstance(asked, Asked)
        assert [item.scope for item in asked.scopes] == [READ]
        assert asked.redirect_uri == REDIRECT

    with_authorizing(tmp_path, act)


def test_a_request_uri_is_used_once(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        uri = await push(one)

        first, second = await bring(one, uri), await bring(one, uri)

        assert (first.status_code, second.status_code) == (303, 400)  # type: ignore[attr-defined]
        assert "location" not in second.headers  # type: ignore[attr-defined]

    with_authorizing(tmp_path, act)


def test_a_request_uri_is_too_old_after_ninety_seconds(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        uri = await push(one)
        one.endpoint.rooms.clock.move(PUSHED_SECONDS)

        assert (await bring(one, uri)).status_code == 400  # type: ignore[attr-defined]

    with_authorizing(tmp_path, act)


def test_a_request_uri_is_of_one_client_and_another_does_not_use_it_up(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        uri = await push(one)
        other = await one.client("other")

        stolen = await bring(one, uri, client_id=other.id)
        own = await bring(one, uri)

        assert (stolen.status_code, own.status_code) == (400, 303)  # type: ignore[attr-defined]

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        pytest.param({"redirect_uri": "https://evil.example/"}, "invalid_request", id="another redirect uri"),
        pytest.param({"response_type": "token"}, "unsupported_response_type", id="implicit"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain"),
        pytest.param({"code_challenge": None}, "invalid_request", id="no challenge"),
        pytest.param({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request", id="request uri"),
        pytest.param({"request": "e30.e30."}, "request_not_supported", id="request object"),
        pytest.param({"scope": "erp:all"}, "invalid_scope", id="unknown scope"),
        pytest.param({"resource": f"{ISSUER}/gateway/erp"}, "invalid_target", id="unknown resource"),
        pytest.param({"authorization_details": "{}"}, "invalid_authorization_details", id="details"),
        pytest.param({"client_id": "agt_none"}, "invalid_client", id="unknown client"),
    ],
)
def test_a_push_is_checked_as_a_request_is(tmp_path: Path, more: dict[str, str | None], error: str) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.endpoint.client.post("/oauth/par", data=one.parameters(**more))

        assert response.json()["error"] == error
        assert response.status_code == (401 if error == "invalid_client" else 400)
        assert "request_uri" not in response.json()

    with_authorizing(tmp_path, act)


def test_a_client_with_a_secret_pushes_with_it(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        await one.client("web", token_endpoint_auth_method="client_secret_basic")
        one.desk = await one.endpoint.rooms.agents.named("web")
        _, secret = await one.endpoint.rooms.agents.add_client_secret("web", ADMINISTRATOR)
        form = one.parameters()

        without = await one.endpoint.client.post("/oauth/par", data=form)
        wrong = await one.endpoint.client.post("/oauth/par", data=form, auth=(one.desk.id, "acs_wrong"))
        right = await one.endpoint.client.post("/oauth/par", data=form, auth=(one.desk.id, secret.reveal()))
        another = await one.endpoint.client.post(
            "/oauth/par", data={**form, "client_id": one.endpoint.agent.id}, auth=(one.desk.id, secret.reveal())
        )

        assert [without.status_code, wrong.status_code, right.status_code] == [401, 401, 201]
        assert another.status_code in (400, 401)
        stored = await one.endpoint.rooms.transactions.read(
            lambda c: c.exec_driver_sql("SELECT request FROM pending_authorizations").scalars().all()
        )
        assert len(stored) == 1
        assert secret.reveal() not in stored[0]

    with_authorizing(tmp_path, act)


def test_where_requests_must_be_pushed_others_are_refused(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        document = (await one.endpoint.client.get("/.well-known/oauth-authorization-server")).json()

        plain = await one.authorize()
        pushed = await bring(one, await push(one))

        assert document["require_pushed_authorization_requests"] is True
        assert answer_of(plain.headers["location"])["error"] == "invalid_request"
        assert sealed_of(pushed)  # type: ignore[arg-type]

    with_authorizing(tmp_path, act, pushed_requests=True)


def test_a_client_can_ask_that_its_requests_must_be_pushed(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        await one.client("careful", require_pushed_authorization_requests=True)
        one.desk = await one.endpoint.rooms.agents.named("careful")

        plain = await one.authorize()
        pushed = await bring(one, await push(one))

        assert answer_of(plain.headers["location"])["error"] == "invalid_request"
        # Through the page of consent as well, where the request comes back sealed.
        assert isinstance(await one.consents.begin(sealed_of(pushed), one.session), Asked)  # type: ignore[arg-type]

    with_authorizing(tmp_path, act)


def test_so_many_requests_of_one_client_wait_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accredit.oauth.pushed._AT_ONCE", 3)

    async def act(one: Authorizing) -> None:
        for _ in range(3):
            await push(one)

        full = await one.endpoint.client.post("/oauth/par", data=one.parameters())
        one.endpoint.rooms.clock.move(PUSHED_SECONDS)

        assert (full.status_code, full.json()["error"]) == (503, "temporarily_unavailable")
        await push(one)

    with_authorizing(tmp_path, act)


def test_no_other_method_than_post_is_answered(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        assert (await one.endpoint.client.get("/oauth/par", params=one.parameters())).status_code == 405

    with_authorizing(tmp_path, act)


def test_the_key_of_a_proof_at_the_push_is_the_key_of_the_code(tmp_path: Path) -> None:
    """RFC 9449 §10.1."""
    own, other = new_proof_key(), new_proof_key()

    async def act(one: Authorizing) -> None:
        def proof(key: ProofKey, path: str = "/oauth/par") -> dict[str, str]:
            return {"DPoP": key.proof("POST", ISSUER + path, one.endpoint.rooms.clock.now)}

        headers = proof(own)
        form = one.parameters()
        pushed = await one.endpoint.client.post("/oauth/par", data=form, headers=headers)
        replayed = await one.endpoint.client.post("/oauth/par", data=form, headers=headers)
        elsewhere = await one.endpoint.client.post("/oauth/par", data=form, headers=proof(own, "/oauth/token"))
        mixed = await one.endpoint.client.post(
            "/oauth/par", data=one.parameters(dpop_jkt=other.thumbprint), headers=proof(own)
        )
        sealed = sealed_of(await bring(one, pushed.json()["request_uri"]))  # type: ignore[arg-type]
        answered = await one.consents.approve(sealed, one.session, Choice(scopes=frozenset({READ}), seconds=3_600))
        code = answer_of(answered.url)["code"]  # type: ignore[union-attr]
        stolen = await one.redeem(code, headers=proof(other, "/oauth/token"))
        redeemed = await one.redeem(code, headers=proof(own, "/oauth/token"))

        assert pushed.status_code == 201
        assert replayed.json()["error"] == "invalid_dpop_proof"
        assert elsewhere.json()["error"] == "invalid_dpop_proof"
        assert mixed.json()["error"] == "invalid_request"
        assert stolen.json()["error"] == "invalid_grant"
        assert redeemed.status_code == 200

    with_authorizing(tmp_path, act)


def test_a_pushed_request_may_be_longer_than_a_url(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        long = details(purpose="p" * 290, limits={f"argument_{n}_{'x' * 100}": n for n in range(16)})
        many = "[" + ",".join([long[1:-1]] * 3) + "]"

        plain = await one.authorize(authorization_details=many)
        brought = await bring(one, await push(one, authorization_details=many))

        reference = sealed_of(brought)  # type: ignore[arg-type]
        assert answer_of(plain.headers["location"])["error"] == "invalid_request"
        assert reference.startswith("ref_")
        assert len(reference) < 64
        for _ in range(2):
            asked = await one.consents.begin(reference, one.session)
            assert isinstance(asked, Asked)
            assert len(asked.details) == 3
        choice = Choice(scopes=frozenset({WRITE}), seconds=3_600)
        answered = await one.consents.approve(reference, one.session, choice)
        assert answer_of(answered.url)["code"]  # type: ignore[union-attr]
        with pytest.raises(Conflict, match="answered before"):
            await one.consents.approve(reference, one.session, choice)
        one.endpoint.rooms.clock.move(REQUEST_SECONDS)
        with pytest.raises(InputRefused, match="ten minutes"):
            await one.consents.begin(reference, one.session)
        with pytest.raises(InputRefused, match="not one of ours"):
            await one.consents.begin("ref_unknown", one.session)

    with_authorizing(tmp_path, act)


def test_a_request_uri_is_no_reference_to_a_page(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        uri = await push(one)

        with pytest.raises(InputRefused, match="not one of ours"):
            await one.consents.begin("ref_" + uri.rpartition(":")[2], one.session)

    with_authorizing(tmp_path, act)
