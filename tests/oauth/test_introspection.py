"""Token introspection (RFC 7662, RFC 9701)."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import jwt
import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from accredit.agents.client_metadata import ClientMetadata
from accredit.oauth.introspect import ROLE
from accredit.tokens.errors import InvalidToken
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER, Endpoint, with_endpoint
from tests.oauth.tokens import a_family, another, exchanged, introspect, is_active, own, revoke, token_of
from tests.proofs import new_proof_key
from tests.rooms import ADMINISTRATOR

JWT = "application/token-introspection+jwt"


def test_a_client_is_told_of_its_own_token(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))

        answer = await introspect(endpoint, own(endpoint), token)

        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        claims = endpoint.verifier.read(token)
        assert answer.json() == {
            "active": True,
            "scope": "crm:contacts.read",
            "client_id": endpoint.agent.id,
            "token_type": "Bearer",
            "exp": claims.exp,
            "iat": claims.iat,
            "sub": endpoint.agent.id,
            "aud": CRM_RESOURCE,
            "iss": ISSUER,
            "jti": claims.jti,
        }

    with_endpoint(tmp_path, act)


def test_the_chain_of_actors_is_told_and_an_earlier_actor_may_ask(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        worker = await another(endpoint, "worker")
        first = await another(endpoint, "first", may_act=("worker",))
        token = await exchanged(endpoint, worker, await token_of(endpoint, first))

        for asker in (worker, first):
            told = (await introspect(endpoint, asker, token)).json()
            assert (told["sub"], told["client_id"]) == (first.agent.id, worker.agent.id)
            assert told["act"] == {"sub": worker.agent.id}
        assert not await is_active(endpoint, own(endpoint), token)

    with_endpoint(tmp_path, act)


def test_the_key_that_a_token_is_bound_to_is_told(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        key = new_proof_key()
        proof = key.proof("POST", f"{ISSUER}/oauth/token", endpoint.rooms.clock.now)
        form = {"grant_type": "client_credentials", **own(endpoint).form}
        answer = await endpoint.client.post("/oauth/token", data=form, headers={"DPoP": proof})

        told = (await introspect(endpoint, own(endpoint), answer.json()["access_token"])).json()

        assert told["token_type"] == "DPoP"
        assert told["cnf"] == {"jkt": key.thumbprint}

    with_endpoint(tmp_path, act)


def test_an_introspector_sees_the_tokens_of_its_systems_and_no_others(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        of_crm = await token_of(endpoint, own(endpoint))
        of_accredit = await token_of(endpoint, own(endpoint), resource=ISSUER)
        guard = await another(endpoint, "guard", (ROLE,))
        elsewhere = await another(endpoint, "elsewhere", (ROLE,), ())
        plain = await another(endpoint, "plain")

        assert await is_active(endpoint, guard, of_crm)
        assert not await is_active(endpoint, guard, of_accredit)
        assert not await is_active(endpoint, elsewhere, of_crm)
        assert not await is_active(endpoint, plain, of_crm)

    with_endpoint(tmp_path, act)


async def _suspended(endpoint: Endpoint, token: str) -> str:
    await endpoint.rooms.agents.suspend("reader", ADMINISTRATOR)
    return token


async def _revoked(endpoint: Endpoint, token: str) -> str:
    assert (await revoke(endpoint, own(endpoint), token)).status_code == 200
    return token


async def _expired(endpoint: Endpoint, token: str) -> str:
    endpoint.rooms.clock.move(400)
    await endpoint.rooms.feed.poll()
    return token


async def _same(_endpoint: Endpoint, token: str) -> str:
    return token


NOT_ACTIVE: dict[str, tuple[Callable[[Endpoint, str], Awaitable[str]], Callable[[str], str]]] = {
    "of a suspended agent": (_suspended, lambda token: token),
    "revoked": (_revoked, lambda token: token),
    "expired": (_expired, lambda token: token),
    "changed": (_same, lambda token: token[:-4] + "AAAA"),
    "cut": (_same, lambda token: token[:40]),
    "no token": (_same, lambda _: "x"),
    "a refresh token that is none": (_same, lambda _: "art_" + "A" * 80),
    "oversized": (_same, lambda token: token + "A" * 20_000),
    "not ASCII": (_same, lambda token: token + "é"),
}


@pytest.mark.parametrize("name", NOT_ACTIVE)
def test_everything_else_is_not_active_alike(tmp_path: Path, name: str) -> None:
    prepare, change = NOT_ACTIVE[name]

    async def act(endpoint: Endpoint) -> None:
        guard = await another(endpoint, "guard", (ROLE,))
        token = await token_of(endpoint, own(endpoint))
        assert await is_active(endpoint, guard, token)

        answer = await introspect(endpoint, guard, change(await prepare(endpoint, token)))

        assert answer.status_code == 200
        assert answer.content == b'{"active":false}'

    with_endpoint(tmp_path, act)


def test_a_foreign_token_looks_as_an_unknown_one(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        other = await another(endpoint)
        token = await token_of(endpoint, own(endpoint))

        foreign, unknown = await introspect(endpoint, other, token), await introspect(endpoint, other, "x")

        assert (foreign.content, foreign.status_code) == (unknown.content, unknown.status_code)
        assert dict(foreign.headers) == dict(unknown.headers)

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"client_id": "CLIENT"},
        {"client_id": "CLIENT", "client_secret": "wrong"},
        {"client_id": "agt_01JD0000000000000000000000", "client_secret": "wrong"},
    ],
    ids=["nobody", "no proof", "a wrong secret", "an unknown agent"],
)
def test_nobody_is_told_anything_without_authentication(tmp_path: Path, form: dict[str, str]) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))
        sent = {key: endpoint.agent.id if value == "CLIENT" else value for key, value in form.items()}

        answer = await endpoint.client.post("/oauth/introspect", data={**sent, "token": token})

        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["cache-control"] == "no-store"

    with_endpoint(tmp_path, act)


def test_a_public_client_is_told_nothing(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))
        metadata = ClientMetadata(token_endpoint_auth_method="none", redirect_uris=("https://app.example/cb",))
        await endpoint.rooms.agents.set_client("reader", metadata, ADMINISTRATOR)

        answer = await endpoint.client.post("/oauth/introspect", data={"client_id": endpoint.agent.id, "token": token})

        assert answer.status_code == 401

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_a_form_that_is_posted_is_read(tmp_path: Path, method: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        answer = await endpoint.client.request(method, "/oauth/introspect?token=x")

        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"

    with_endpoint(tmp_path, act)


def test_a_request_without_a_token_or_with_two_is_malformed(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        none = await endpoint.client.post("/oauth/introspect", data=own(endpoint).form)
        two = await endpoint.client.post(
            "/oauth/introspect",
            content=b"token=a&token=b",
            headers={"content-type": "application/x-www-form-urlencoded"},
        )

        assert none.json()["error"] == two.json()["error"] == "invalid_request"

    with_endpoint(tmp_path, act)


def test_a_refresh_token_is_told_to_its_client_until_it_is_used_or_ended(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        me, other = own(endpoint), await another(endpoint)
        family = a_family(endpoint, me)
        token = endpoint.oauth.refresh_tokens.seal(family).reveal()

        told = (await introspect(endpoint, me, token)).json()

        assert told == {
            "active": True,
            "scope": "crm:contacts.read",
            "client_id": me.agent.id,
            "exp": int(family.expires_at),
            "sub": "per_1",
            "aud": CRM_RESOURCE,
            "iss": ISSUER,
            "accredit_delegation": family.delegation,
        }
        assert not await is_active(endpoint, other, token)
        await endpoint.rooms.group.use((family.once(),))
        assert not await is_active(endpoint, me, token)
        following = endpoint.oauth.refresh_tokens.seal(family.next()).reveal()
        assert await is_active(endpoint, me, following)
        await endpoint.rooms.transactions.change(
            lambda tx: endpoint.rooms.revocations.end(tx, family.delegation, family.expires_at)
        )
        assert not await is_active(endpoint, me, following)

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize(
    "more", [{"expires_at": 1.0}, {"epoch": 7}, {"agent": "agt_unknown"}], ids=["expired", "old epoch", "unknown agent"]
)
def test_a_refresh_token_that_does_not_hold_is_not_active(tmp_path: Path, more: dict[str, object]) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = endpoint.oauth.refresh_tokens.seal(a_family(endpoint, own(endpoint), **more)).reveal()

        assert not await is_active(endpoint, own(endpoint), token)

    with_endpoint(tmp_path, act)


def test_the_answer_is_signed_for_the_one_who_asks_where_they_want_that(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))

        answer = await introspect(endpoint, own(endpoint), token, Accept=f"application/json;q=0.1, {JWT}")

        assert answer.headers["content-type"] == JWT
        header = jwt.get_unverified_header(answer.text)
        assert (header["typ"], header["alg"]) == ("token-introspection+jwt", "ES256")
        keys = KeySet.import_key_set(endpoint.oauth.keyring.jwks())  # type: ignore[arg-type]
        assert jws.deserialize_compact(answer.text, keys).payload
        claims = jwt.decode(answer.text, options={"verify_signature": False})
        assert (claims["iss"], claims["aud"]) == (ISSUER, endpoint.agent.id)
        assert claims["token_introspection"]["active"] is True
        assert "exp" not in claims
        assert "sub" not in claims

    with_endpoint(tmp_path, act)


def test_the_signed_answer_is_no_access_token(tmp_path: Path) -> None:
    """RFC 9701 §8.1, RFC 8725 §2.8: one kind of JWT does not pass for another."""

    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))
        signed = (await introspect(endpoint, own(endpoint), token, Accept=JWT)).text

        with pytest.raises(InvalidToken):
            await endpoint.verifier.verify(signed, endpoint.agent.id)
        assert not await is_active(endpoint, own(endpoint), signed)

    with_endpoint(tmp_path, act)


def test_the_signed_answer_has_the_algorithm_that_the_client_registered(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        metadata = ClientMetadata(grant_types=("client_credentials",), introspection_signed_response_alg="RS256")
        await endpoint.rooms.agents.set_client("reader", metadata, ADMINISTRATOR)

        answer = await introspect(endpoint, own(endpoint), "x", Accept=JWT)

        assert jwt.get_unverified_header(answer.text)["alg"] == "RS256"
        claims = jwt.decode(answer.text, options={"verify_signature": False})
        assert claims["token_introspection"] == {"active": False}

    with_endpoint(tmp_path, act)


def test_nothing_is_written_when_a_token_is_looked_at(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await token_of(endpoint, own(endpoint))
        before = await endpoint.events()

        await asyncio.gather(*(introspect(endpoint, own(endpoint), token) for _ in range(10)))

        assert await endpoint.events() == before

    with_endpoint(tmp_path, act)


def test_the_endpoint_is_advertised_with_what_it_takes(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        document = (await endpoint.client.get("/.well-known/oauth-authorization-server")).json()

        assert document["introspection_endpoint"] == f"{ISSUER}/oauth/introspect"
        assert document["revocation_endpoint"] == f"{ISSUER}/oauth/revoke"
        assert "none" not in document["introspection_endpoint_auth_methods_supported"]
        assert "client_secret_basic" in document["introspection_endpoint_auth_methods_supported"]
        assert "ES256" in document["dpop_signing_alg_values_supported"]

    with_endpoint(tmp_path, act)
