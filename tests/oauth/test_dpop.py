"""DPoP at the token endpoint (RFC 9449 §5 and §8)."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop

from accredit.agents.client_metadata import ClientMetadata
from accredit.oauth.routes import authorization_server
from accredit.tokens.errors import InvalidToken
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER, Endpoint, Served, oauth_rooms, settings_for, with_endpoint
from tests.proofs import ProofKey, new_proof_key
from tests.rooms import ADMINISTRATOR, open_rooms

URL = f"{ISSUER}/oauth/token"
KEY = new_proof_key()


async def _ask(endpoint: Endpoint, *proofs: str, **headers: str) -> httpx2.Response:
    form = {"grant_type": "client_credentials", "client_id": endpoint.agent.id, "client_secret": endpoint.secret}
    sent = [("DPoP", proof) for proof in proofs] + list(headers.items())
    return await endpoint.client.post("/oauth/token", data=form, headers=sent)


def _proof(endpoint: Endpoint, key: ProofKey = KEY, **claims: Any) -> str:
    return key.proof("POST", URL, endpoint.rooms.clock.now, **claims)


def test_a_proof_binds_the_token_to_its_key(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        answer = await _ask(endpoint, _proof(endpoint))

        assert answer.status_code == 200
        assert answer.json()["token_type"] == "DPoP"
        claims = endpoint.verifier.read(answer.json()["access_token"])
        assert claims.cnf is not None
        assert claims.cnf.jkt == KEY.thumbprint
        assert (await endpoint.events())[-1].sender_constraint == "dpop"
        assert "dpop-nonce" not in answer.headers

    with_endpoint(tmp_path, act)


def test_without_a_proof_the_token_is_a_bearer_token(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        answer = await endpoint.token()

        assert answer.json()["token_type"] == "Bearer"
        assert endpoint.verifier.read(answer.json()["access_token"]).cnf is None

    with_endpoint(tmp_path, act)


def test_a_proof_is_used_once_and_its_second_use_is_on_record(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        proof = _proof(endpoint)
        assert (await _ask(endpoint, proof)).status_code == 200

        again = await _ask(endpoint, proof)

        assert again.status_code == 400
        assert again.json()["error"] == "invalid_dpop_proof"
        assert "access_token" not in again.text
        assert (await endpoint.events())[-1].type == "token.refused"

    with_endpoint(tmp_path, act)


def test_two_requests_at_once_with_one_proof_get_one_token(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        proof = _proof(endpoint)

        answers = await asyncio.gather(*(_ask(endpoint, proof) for _ in range(8)))

        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7

    with_endpoint(tmp_path, act)


def test_a_used_proof_is_refused_by_the_server_that_comes_after_a_restart(tmp_path: Path) -> None:
    proofs: list[str] = []

    async def first(endpoint: Endpoint) -> None:
        proofs.append(_proof(endpoint))
        assert (await _ask(endpoint, proofs[0])).status_code == 200

    async def second() -> None:
        async with open_rooms(tmp_path) as rooms:
            _, secret = await rooms.agents.add_client_secret("reader", ADMINISTRATOR)
            agent = await rooms.agents.named("reader")
            server = Served(authorization_server(oauth_rooms(rooms, settings_for(tmp_path))))
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=server), base_url=ISSUER) as client:
                form = {"grant_type": "client_credentials", "client_id": agent.id, "client_secret": secret.reveal()}
                answer = await client.post("/oauth/token", data=form, headers={"DPoP": proofs[0]})
                fresh = await client.post(
                    "/oauth/token", data=form, headers={"DPoP": KEY.proof("POST", URL, rooms.clock.now)}
                )

        assert answer.json()["error"] == "invalid_dpop_proof"
        assert fresh.status_code == 200

    with_endpoint(tmp_path, first)
    uvloop.run(second())


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("another method", {"htm": "GET"}),
        ("another endpoint", {"htu": f"{ISSUER}/oauth/par"}),
        ("another server", {"htu": "https://evil.example/oauth/token"}),
        ("yesterday", {"iat": 1_700_000_000}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_proof_that_does_not_hold_gets_no_token(tmp_path: Path, name: str, claims: dict[str, Any]) -> None:
    async def act(endpoint: Endpoint) -> None:
        answer = await _ask(endpoint, _proof(endpoint, **claims))

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof"), name
        assert answer.headers["cache-control"] == "no-store"

    with_endpoint(tmp_path, act)


def test_two_proofs_in_one_request_are_refused(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        answer = await _ask(endpoint, _proof(endpoint), _proof(endpoint))

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_dpop_proof")

    with_endpoint(tmp_path, act)


def test_the_host_header_does_not_say_what_a_proof_is_for(tmp_path: Path) -> None:
    """A proof for another server is worth nothing here, though the request names that server."""

    async def act(endpoint: Endpoint) -> None:
        stolen = KEY.proof("POST", "http://evil.example/oauth/token", endpoint.rooms.clock.now)

        assert (await _ask(endpoint, stolen, Host="evil.example")).json()["error"] == "invalid_dpop_proof"
        assert (await _ask(endpoint, _proof(endpoint), Host="evil.example")).status_code == 200

    with_endpoint(tmp_path, act)


def test_with_nonces_on_a_proof_is_asked_to_hold_one_and_then_taken(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        asked = await _ask(endpoint, _proof(endpoint))
        assert (asked.status_code, asked.json()["error"]) == (400, "use_dpop_nonce")
        recorded = len(await endpoint.events())

        answer = await _ask(endpoint, _proof(endpoint, nonce=asked.headers["dpop-nonce"]))

        assert answer.status_code == 200
        assert answer.headers["dpop-nonce"] == asked.headers["dpop-nonce"]
        assert len(await endpoint.events()) == recorded + 1

    with_endpoint(tmp_path, act, dpop_nonces=True)


def test_with_nonces_on_an_old_nonce_is_not_taken(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        nonce = (await _ask(endpoint, _proof(endpoint))).headers["dpop-nonce"]
        endpoint.rooms.clock.move(180)
        await endpoint.rooms.feed.poll()

        answer = await _ask(endpoint, _proof(endpoint, nonce=nonce))

        assert answer.json()["error"] == "use_dpop_nonce"
        assert answer.headers["dpop-nonce"] != nonce

    with_endpoint(tmp_path, act, dpop_nonces=True)


def test_where_tokens_must_be_bound_a_request_without_a_proof_is_refused(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        refused = await endpoint.token()

        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        assert (await _ask(endpoint, _proof(endpoint))).status_code == 200

    with_endpoint(tmp_path, act, sender_constrained=True)


def test_a_client_that_registered_for_bound_tokens_gets_no_other(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        metadata = ClientMetadata(grant_types=("client_credentials",), dpop_bound_access_tokens=True)
        await endpoint.rooms.agents.set_client("reader", metadata, ADMINISTRATOR)

        assert (await endpoint.token()).json()["error"] == "invalid_request"
        assert (await _ask(endpoint, _proof(endpoint))).json()["token_type"] == "DPoP"

    with_endpoint(tmp_path, act)


def test_a_wrong_secret_is_told_before_the_proof_is_looked_at(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        form = {"grant_type": "client_credentials", "client_id": endpoint.agent.id, "client_secret": "wrong"}

        answer = await endpoint.client.post("/oauth/token", data=form, headers={"DPoP": "x"})

        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")

    with_endpoint(tmp_path, act)


def test_a_bound_token_is_worth_nothing_without_its_key(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = (await _ask(endpoint, _proof(endpoint))).json()["access_token"]

        with pytest.raises(InvalidToken):
            await endpoint.verifier.verify(token, CRM_RESOURCE)

    with_endpoint(tmp_path, act)
