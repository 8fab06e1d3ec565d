"""Attacks on the authorization endpoint, the page of consent and what comes of them, by RFC 9700's sections."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from accredit.canonical import base64url, from_base64url
from accredit.delegations.consent import Choice
from accredit.errors import Error, InputRefused
from accredit.keys.seal import Sealer
from accredit.oauth.codes import SealedRequest, Seals
from accredit.tokens.errors import InvalidToken
from tests.oauth.authorizing import (
    CHALLENGE,
    READ,
    Authorizing,
    answer_of,
    sealed_of,
    with_authorizing,
)
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER

YES = Choice(scopes=frozenset({READ}), seconds=3_600)


def test_4_1_a_sealed_request_cannot_be_changed(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        sealed = await one.sealed()
        raw = from_base64url(sealed)

        for place in range(0, len(raw), 7):
            changed = base64url(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            with pytest.raises(InputRefused, match="not one of ours"):
                await one.consents.begin(changed, one.session)
        for text in ("", "A", sealed[:-1], sealed + "A", sealed + "=", "é", "A" * 20_000):
            with pytest.raises(InputRefused, match="not one of ours"):
                await one.consents.begin(text, one.session)

    with_authorizing(tmp_path, act)


def test_4_1_a_sealed_text_of_another_purpose_or_installation_is_no_request(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        code = (await one.code()).removeprefix("aac_")
        tokens = (await one.redeem(await one.code())).json()
        foreign = Seals(Sealer(bytes(31) + b"x"), one.endpoint.rooms.clock).seal_request(
            SealedRequest(id="req_x", made_at=one.endpoint.rooms.clock.now, parameters=one.parameters())
        )

        for text in (code, tokens["refresh_token"].removeprefix("art_"), foreign):
            with pytest.raises(InputRefused, match="not one of ours"):
                await one.consents.begin(text, one.session)
        # And the other way round: a request is no code.
        assert (await one.redeem("aac_" + await one.sealed())).json()["error"] == "invalid_grant"

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize("leg", ["success", "no", "error"])
def test_4_4_every_answer_says_whose_it_is(tmp_path: Path, leg: str) -> None:
    """Mix-up: the client compares `iss` with the server that it asked (RFC 9207)."""

    async def act(one: Authorizing) -> None:
        if leg == "success":
            url = await one.allow()
        elif leg == "no":
            url = (await one.consents.refuse(await one.sealed(), one.session)).url
        else:
            url = (await one.authorize(scope="none")).headers["location"]

        assert answer_of(url)["iss"] == ISSUER

    with_authorizing(tmp_path, act)


def test_4_4_a_parameter_cannot_put_another_iss_into_the_answer(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        url = await one.allow(iss="https://evil.example", state="x&iss=https://evil.example&code=stolen")

        answer = answer_of(url)
        assert (answer["iss"], answer["state"]) == (ISSUER, "x&iss=https://evil.example&code=stolen")
        assert answer["code"].startswith("aac_")

    with_authorizing(tmp_path, act)


def test_4_5_a_stolen_code_is_worth_nothing_without_its_verifier(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        stolen = await one.code()

        injected = await one.redeem(stolen, code_verifier="a" * 43)

        assert injected.json()["error"] == "invalid_grant"
        # It did not end the honest client's own use.
        assert (await one.redeem(stolen)).status_code == 200

    with_authorizing(tmp_path, act)


def test_4_5_a_code_of_one_client_is_not_changed_for_another(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        other = await one.client("other")
        code = await one.code()

        stolen = await one.redeem(code, client_id=other.id)

        assert stolen.json()["error"] == "invalid_grant"
        assert (await one.redeem(code)).status_code == 200

    with_authorizing(tmp_path, act)


def test_4_5_a_code_that_is_used_twice_ends_what_came_of_it(tmp_path: Path) -> None:
    """RFC 6749 §4.1.2."""

    async def act(one: Authorizing) -> None:
        code = await one.code()
        first = (await one.redeem(code)).json()

        second = await one.redeem(code)
        refreshed = await one.refresh(first["refresh_token"])

        types = [event.type for event in await one.endpoint.events()]
        assert (second.json()["error"], refreshed.json()["error"]) == ("invalid_grant", "invalid_grant")
        with pytest.raises(InvalidToken, match="ended"):
            await one.endpoint.verifier.verify(first["access_token"], CRM_RESOURCE)
        assert {"token_family.ended", "delegation.ended"} <= set(types)
        assert await one.endpoint.rooms.delegations.of_person(one.person.id) == []

    with_authorizing(tmp_path, act)


def test_4_5_the_replay_of_a_code_out_of_a_remembered_delegation_ends_only_what_came_of_it(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        await one.allow(remember=True)
        given = await one.begin()
        code = answer_of(given.url)["code"]  # type: ignore[attr-defined]
        first = (await one.redeem(code)).json()

        await one.redeem(code)

        assert (await one.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"
        assert len(await one.endpoint.rooms.delegations.of_person(one.person.id)) == 1

    with_authorizing(tmp_path, act)


def test_4_5_two_who_change_a_code_at_once_get_one_answer_that_lives_shortly(tmp_path: Path) -> None:
    import asyncio

    async def act(one: Authorizing) -> None:
        code = await one.code()

        answers = await asyncio.gather(*(one.redeem(code) for _ in range(8)))

        taken = [answer for answer in answers if answer.status_code == 200]
        assert len(taken) <= 1
        for answer in taken:
            with pytest.raises(InvalidToken, match="ended"):
                await one.endpoint.verifier.verify(answer.json()["access_token"], CRM_RESOURCE)

    with_authorizing(tmp_path, act)


def test_4_7_an_answer_is_bound_to_the_state_that_was_sent(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        odd = "a b+c%2f&=é'\"<>"

        assert answer_of(await one.allow(state=odd))["state"] == odd
        assert "state" not in answer_of(await one.allow(state=None))

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"code_challenge": None, "code_challenge_method": None}, id="missing"),
        pytest.param({"code_challenge_method": None}, id="method missing"),
        pytest.param({"code_challenge_method": "plain"}, id="plain"),
        pytest.param({"code_challenge_method": "s256"}, id="another case"),
        pytest.param({"code_challenge_method": "S512"}, id="unknown"),
        pytest.param({"code_challenge": CHALLENGE + "="}, id="padded"),
        pytest.param({"code_challenge": CHALLENGE[:-1]}, id="short"),
        pytest.param({"code_challenge": CHALLENGE.replace(CHALLENGE[0], "+", 1)}, id="another alphabet"),
    ],
)
def test_4_8_pkce_cannot_be_left_out_or_weakened(tmp_path: Path, more: dict[str, str | None]) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.authorize(**more)

        assert answer_of(response.headers["location"])["error"] == "invalid_request"

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    "verifier",
    [
        pytest.param("", id="none"),
        pytest.param(CHALLENGE, id="the challenge itself, as with plain"),
        pytest.param("v" * 42, id="a character less"),
        pytest.param("v" * 44, id="a character more"),
        pytest.param("V" * 43, id="another case"),
        pytest.param("v" * 129, id="too long"),
        pytest.param("é" * 43, id="no ASCII"),
    ],
)
def test_4_8_no_other_verifier_fits(tmp_path: Path, verifier: str) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.redeem(await one.code(), code_verifier=verifier)

        assert response.json()["error"] in ("invalid_grant", "invalid_request")

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"redirect_uri": "https://evil.example/"}, id="redirect uri"),
        pytest.param({"redirect_uri": "https://evil.example/", "client_id": "agt_none"}, id="client"),
        pytest.param({"redirect_uri": "https://evil.example/", "prompt": "none"}, id="silent"),
        pytest.param({"redirect_uri": "https://evil.example/", "response_type": "x"}, id="response type"),
        pytest.param({"redirect_uri": "https://evil.example/", "request": "x"}, id="request object"),
        pytest.param({"request_uri": "https://evil.example/"}, id="request uri"),
        pytest.param({"client_id": "https://evil.example/client"}, id="document client that cannot be had"),
    ],
)
def test_4_11_no_error_leads_to_a_page_that_was_not_proved(tmp_path: Path, more: dict[str, str]) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.authorize(**more)

        assert response.status_code >= 400
        assert "location" not in response.headers
        assert "refresh" not in response.headers
        assert "http-equiv" not in response.text

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state", "scope"])
def test_4_11_nothing_of_the_request_becomes_markup(tmp_path: Path, name: str) -> None:
    async def act(one: Authorizing) -> None:
        more = {"redirect_uri": "https://evil.example/", name: '"><script>alert(1)</script>'}

        response = await one.authorize(**more)

        assert "<script" not in response.text.lower()

    with_authorizing(tmp_path, act)


def test_4_14_a_refresh_token_of_one_client_is_not_taken_from_another(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        other = await one.client("other")
        held = (await one.redeem(await one.code())).json()

        stolen = await one.refresh(held["refresh_token"], client_id=other.id)

        assert stolen.json()["error"] == "invalid_grant"
        assert (await one.refresh(held["refresh_token"])).status_code == 200

    with_authorizing(tmp_path, act)


def test_4_14_of_a_thief_and_the_client_neither_keeps_anything(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        held = (await one.redeem(await one.code())).json()

        thief = (await one.refresh(held["refresh_token"])).json()
        client = await one.refresh(held["refresh_token"])
        thief_again = await one.refresh(thief["refresh_token"])

        assert (client.json()["error"], thief_again.json()["error"]) == ("invalid_grant", "invalid_grant")
        with pytest.raises(InvalidToken, match="ended"):
            await one.endpoint.verifier.verify(thief["access_token"], CRM_RESOURCE)

    with_authorizing(tmp_path, act)


def test_4_14_a_changed_refresh_token_is_not_ours(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        held = (await one.redeem(await one.code())).json()["refresh_token"]
        raw = from_base64url(held.removeprefix("art_"))

        for place in range(0, len(raw), 23):
            changed = base64url(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            assert (await one.refresh("art_" + changed)).json()["error"] == "invalid_grant"

        assert (await one.refresh(held)).status_code == 200

    with_authorizing(tmp_path, act)


def test_4_16_the_page_of_an_error_cannot_be_framed(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.authorize(client_id=None)

        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-frame-options"] == "DENY"
        # §4.2: nothing of the request leaves by the Referer header.
        assert response.headers["referrer-policy"] == "no-referrer"

    with_authorizing(tmp_path, act)


def test_a_refused_answer_never_holds_a_code_or_a_secret(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        code = await one.code()
        refused = await one.redeem(code, code_verifier="x" * 43)
        events = await one.endpoint.events()

        assert code not in refused.text
        assert all(code not in str(event) for event in events)

    with_authorizing(tmp_path, act)


def test_a_person_cannot_give_more_than_their_own_rights(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        await one.set_roles()
        one.session = await one.sign_in()
        sealed = await one.sealed(scope=f"openid {READ}")

        with pytest.raises(Error):
            await one.consents.approve(sealed, one.session, YES)

        assert await one.endpoint.rooms.delegations.of_person(one.person.id) == []

    with_authorizing(tmp_path, act)


def test_a_key_of_somebody_else_does_not_redeem_a_code_that_names_one(tmp_path: Path) -> None:
    """RFC 9449 §10: the code is bound to the key that the request named."""

    async def act(one: Authorizing) -> None:
        key = ECKey.import_key(ec.generate_private_key(ec.SECP256R1()))
        code = await one.code(dpop_jkt=key.thumbprint())

        assert (await one.redeem(code)).json()["error"] == "invalid_grant"

    with_authorizing(tmp_path, act)


def test_a_pushed_request_does_not_answer_in_another_clients_name(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        other = await one.client("other")
        pushed = await one.endpoint.client.post("/oauth/par", data=one.parameters(client_id=other.id))
        params = {"client_id": one.desk.id, "request_uri": pushed.json()["request_uri"]}

        response = await one.endpoint.client.get("/oauth/authorize", params=params)

        assert response.status_code == 400
        with pytest.raises(AssertionError):
            sealed_of(response)

    with_authorizing(tmp_path, act)
