"""Userinfo (OpenID Connect Core §5.3): what a token tells, and which tokens tell nothing."""

from pathlib import Path

import httpx2
import pytest

from tests.oauth.asking import Asking, with_asking
from tests.oauth.authorizing import EMAIL, READ
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER
from tests.proofs import new_proof_key
from tests.rooms import ADMINISTRATOR

PATH = "/oauth/userinfo"
URL = ISSUER + PATH
METADATA = f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource"'


async def token_for(one: Asking, scope: str, resource: str = ISSUER, **headers: str) -> str:
    asked = await one.device(scope=scope, resource=resource)
    await one.allow_device(asked)
    answer = await one.poll_device(asked["device_code"], None, **headers)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


async def ask(one: Asking, token: str, scheme: str = "Bearer", method: str = "GET", **headers: str) -> httpx2.Response:
    sent = {"Authorization": f"{scheme} {token}", **headers}
    return await one.endpoint.client.request(method, PATH, headers=sent)


@pytest.mark.parametrize(
    ("scope", "more"),
    [
        pytest.param("openid", {}, id="openid"),
        pytest.param("openid profile", {"name": "Ben Okafor"}, id="profile"),
        pytest.param("openid email", {"email": EMAIL}, id="email"),
        pytest.param("openid profile email", {"name": "Ben Okafor", "email": EMAIL}, id="all"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_token_tells_what_the_person_gave(tmp_path: Path, method: str, scope: str, more: dict[str, str]) -> None:
    async def act(one: Asking) -> None:
        answer = await ask(one, await token_for(one, scope), method=method)

        assert answer.status_code == 200
        assert answer.json() == {"sub": one.person.id, **more}
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"

    with_asking(tmp_path, act)


def test_without_a_token_the_challenge_names_no_error(tmp_path: Path) -> None:
    """RFC 6750 §3.1."""

    async def act(one: Asking) -> None:
        answer = await one.endpoint.client.get(PATH)

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == f"Bearer {METADATA}"
        assert answer.content == b""

    with_asking(tmp_path, act)


def test_a_token_for_a_system_tells_nothing_here(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        answer = await ask(one, await token_for(one, f"openid email {READ}", CRM_RESOURCE))

        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert EMAIL not in answer.text

    with_asking(tmp_path, act)


def test_a_token_without_openid_lacks_a_scope(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        answer = await ask(one, await token_for(one, "email"))

        assert answer.status_code == 403
        assert 'error="insufficient_scope", scope="openid"' in answer.headers["www-authenticate"]
        assert EMAIL not in answer.text

    with_asking(tmp_path, act)


def test_an_agent_as_itself_is_nobody_to_tell_of(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        token = (await one.endpoint.token(resource=ISSUER)).json()["access_token"]

        answer = await ask(one, token)

        assert answer.status_code == 403
        assert answer.content == b""

    with_asking(tmp_path, act)


def test_a_bound_token_needs_a_proof_of_its_key_and_a_proof_is_used_once(tmp_path: Path) -> None:
    """RFC 9449 §7."""

    async def act(one: Asking) -> None:
        key, thief = new_proof_key(), new_proof_key()
        now = one.endpoint.rooms.clock.now
        token = await token_for(one, "openid", DPoP=key.proof("POST", f"{ISSUER}/oauth/token", now))
        proof = key.proof("GET", URL, now, token=token)

        taken = await ask(one, token, "DPoP", DPoP=proof)
        refused = [
            await ask(one, token),
            await ask(one, token, "DPoP"),
            await ask(one, token, "DPoP", DPoP=proof),
            await ask(one, token, "DPoP", DPoP=thief.proof("GET", URL, now, token=token)),
            await ask(one, token, "DPoP", DPoP=key.proof("POST", URL, now, token=token)),
            await ask(one, token, "DPoP", DPoP=key.proof("GET", f"{ISSUER}/gateway/crm/mcp", now, token=token)),
            await ask(one, token, "DPoP", DPoP=key.proof("GET", URL, now)),
        ]

        assert taken.status_code == 200
        assert [answer.status_code for answer in refused] == [401] * len(refused)
        assert all(answer.headers["www-authenticate"].startswith("DPoP ") for answer in refused)
        assert 'error="invalid_dpop_proof"' in refused[2].headers["www-authenticate"]

    with_asking(tmp_path, act)


def test_a_bound_token_that_lacks_the_scope_is_told_so_in_its_own_scheme(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        key = new_proof_key()
        now = one.endpoint.rooms.clock.now
        token = await token_for(one, "email", DPoP=key.proof("POST", f"{ISSUER}/oauth/token", now))

        answer = await ask(one, token, "DPoP", DPoP=key.proof("GET", URL, now, token=token))

        assert answer.status_code == 403
        assert answer.headers["www-authenticate"].startswith('DPoP error="insufficient_scope"')

    with_asking(tmp_path, act)


def test_where_nonces_are_demanded_each_answer_brings_one(tmp_path: Path) -> None:
    """RFC 9449 §9."""

    async def act(one: Asking) -> None:
        key, now = new_proof_key(), one.endpoint.rooms.clock.now
        asked = await one.device(scope="openid", resource=ISSUER)
        await one.allow_device(asked)
        token_url = f"{ISSUER}/oauth/token"
        first = await one.poll_device(asked["device_code"], DPoP=key.proof("POST", token_url, now))
        assert first.json()["error"] == "use_dpop_nonce"
        nonce = first.headers["dpop-nonce"]
        given = await one.poll_device(asked["device_code"], DPoP=key.proof("POST", token_url, now, nonce=nonce))
        token = given.json()["access_token"]

        without = await ask(one, token, "DPoP", DPoP=key.proof("GET", URL, now, token=token))
        fresh = without.headers["dpop-nonce"]
        taken = await ask(one, token, "DPoP", DPoP=key.proof("GET", URL, now, token=token, nonce=fresh))

        assert without.status_code == 401
        assert 'error="use_dpop_nonce"' in without.headers["www-authenticate"]
        assert taken.status_code == 200
        assert taken.headers["dpop-nonce"]

    with_asking(tmp_path, act, dpop_nonces=True)


def test_where_tokens_must_be_bound_a_stranger_is_told_both_schemes(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        answer = await one.endpoint.client.get(PATH)

        schemes = [value.split(" ")[0] for value in answer.headers.get_list("www-authenticate")]
        assert schemes == ["Bearer", "DPoP"]

    with_asking(tmp_path, act, sender_constrained=True)


def test_a_token_that_was_ended_or_is_too_old_tells_nothing(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        ended, suspended, old = [await token_for(one, "openid") for _ in range(3)]
        for made in (await one.endpoint.rooms.delegations.of_person(one.person.id))[-1:]:
            await one.endpoint.rooms.delegations.end(one.person.id, made.id, one.session)
        statuses = sorted([(await ask(one, token)).status_code for token in (ended, suspended, old)])
        assert statuses == [200, 200, 401]
        await one.endpoint.rooms.agents.suspend("speaker", ADMINISTRATOR)
        assert (await ask(one, suspended)).status_code == 401
        await one.endpoint.rooms.agents.resume("speaker", ADMINISTRATOR)
        fresh = await token_for(one, "openid")
        assert (await ask(one, fresh)).status_code == 200
        one.move(305)

        assert (await ask(one, fresh)).status_code == 401

    with_asking(tmp_path, act)


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", ""], ids=["text", "three parts", "not ascii", "empty"])
def test_what_is_no_token_is_refused(tmp_path: Path, token: str) -> None:
    async def act(one: Asking) -> None:
        headers = [(b"authorization", b"Bearer " + token.encode())]
        answer = await one.endpoint.client.get(PATH, headers=headers)

        assert answer.status_code == 401

    with_asking(tmp_path, act)


def test_a_token_in_the_address_or_the_form_is_not_looked_at(tmp_path: Path) -> None:
    """RFC 9700 §4.3.2."""

    async def act(one: Asking) -> None:
        token = await token_for(one, "openid")

        in_query = await one.endpoint.client.get(PATH, params={"access_token": token})
        in_form = await one.endpoint.client.post(PATH, data={"access_token": token})

        assert [in_query.status_code, in_form.status_code] == [401, 401]

    with_asking(tmp_path, act)


def test_two_authorization_headers_are_one_too_many(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        token = await token_for(one, "openid")
        headers = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]

        assert (await one.endpoint.client.get(PATH, headers=headers)).status_code == 401

    with_asking(tmp_path, act)


def test_an_id_token_is_no_access_token(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        asked = await one.device(scope="openid", resource=ISSUER)
        await one.allow_device(asked)
        id_token = (await one.poll_device(asked["device_code"])).json()["id_token"]

        assert (await ask(one, id_token)).status_code == 401

    with_asking(tmp_path, act)
