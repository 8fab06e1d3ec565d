"""Attacks on proofs of possession: RFC 9449 §11, RFC 8705 §6, and one kind of JWT for another (RFC 8725 §2.8)."""

import base64
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import jwt
import msgspec
import pytest
from sqlalchemy import func, select

from accredit.canonical import base64url
from accredit.policy.permit import Permit
from accredit.policy.request import AccessRequest, Evidence
from accredit.storage.schema import used_once
from accredit.tokens.dpop import Nonces
from accredit.tokens.errors import InvalidToken
from accredit.tokens.model import Presented
from accredit.tokens.statuses import StatusLists
from accredit.tokens.transaction import TransactionTokens
from tests.certificates import self_signed
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER, Endpoint, with_endpoint
from tests.oauth.tokens import another, introspect, own, token_of
from tests.proofs import new_proof_key
from tests.rooms import ADMINISTRATOR, TestClock

URL = f"{ISSUER}/oauth/token"
KEY = new_proof_key()
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def _ask(endpoint: Endpoint, proof: str, form: dict[str, str] | None = None) -> httpx2.Response:
    sent = {"grant_type": "client_credentials", **(own(endpoint).form if form is None else form)}
    return await endpoint.client.post("/oauth/token", data=sent, headers={"DPoP": proof})


async def _bound(endpoint: Endpoint) -> str:
    answer = await _ask(endpoint, KEY.proof("POST", URL, endpoint.rooms.clock.now))
    token: str = answer.json()["access_token"]
    return token


async def _introspection_jwt(endpoint: Endpoint) -> str:
    token = await token_of(endpoint, own(endpoint))
    accept = "application/token-introspection+jwt"
    return (await introspect(endpoint, own(endpoint), token, Accept=accept)).text


async def _transaction_token(endpoint: Endpoint) -> str:
    system = endpoint.rooms.systems.get("crm")
    assert system is not None
    operation = system.operations[0]
    request = AccessRequest(
        agent=endpoint.agent,
        action=operation.action,
        system=system,
        operation=operation,
        arguments={},
        evidence=Evidence(token_id="tok_1"),
    )
    permit = endpoint.policy.decide(request)
    assert isinstance(permit, Permit)
    return await TransactionTokens(ISSUER, "", endpoint.rooms.keyring, endpoint.rooms.clock).issue(permit, b"{}")


async def _status_list(endpoint: Endpoint) -> str:
    assert endpoint.oauth.statuses is not None
    lists = StatusLists(endpoint.rooms.transactions, endpoint.rooms.keyring, endpoint.rooms.clock, ISSUER)
    token = await lists.token(0)
    assert token is not None
    return token


async def _proof(endpoint: Endpoint) -> str:
    return KEY.proof("POST", URL, endpoint.rooms.clock.now)


async def _assertion(endpoint: Endpoint) -> str:
    return await _signed_assertion(endpoint)


async def _signed_assertion(endpoint: Endpoint, header: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(endpoint.rooms.clock.now)
    made = {"iss": endpoint.agent.id, "sub": endpoint.agent.id, "aud": ISSUER, "jti": "j", "iat": now, "exp": now + 60}
    return jwt.encode({**made, **claims}, KEY.private, algorithm="ES256", headers=header)


async def _access_token(endpoint: Endpoint) -> str:
    return await token_of(endpoint, own(endpoint))


KINDS: dict[str, Callable[[Endpoint], Awaitable[str]]] = {
    "an access token": _access_token,
    "an introspection response": _introspection_jwt,
    "a transaction token": _transaction_token,
    "a status list": _status_list,
    "a DPoP proof": _proof,
    "a client assertion": _assertion,
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_of_jwt_passes_for_no_other(tmp_path: Path, kind: str) -> None:
    """RFC 9449 §11.5, RFC 9701 §8.1, RFC 8725 §2.8: each is shown wherever another is expected."""

    async def act(endpoint: Endpoint) -> None:
        assert endpoint.oauth.statuses is not None
        await endpoint.oauth.statuses.prepare()
        jwk = msgspec.json.encode(KEY.jwk).decode()
        await endpoint.rooms.agents.add_public_key("reader", jwk, ADMINISTRATOR)
        text = await KINDS[kind](endpoint)

        if kind != "an access token":
            for audience in (CRM_RESOURCE, ISSUER, endpoint.agent.id):
                with pytest.raises(InvalidToken):
                    await endpoint.verifier.verify(text, audience)
            assert (await introspect(endpoint, own(endpoint), text)).content == b'{"active":false}'
        if kind != "a DPoP proof":
            assert (await _ask(endpoint, text)).json()["error"] == "invalid_dpop_proof"
        if kind != "a client assertion":
            form = {"client_assertion_type": ASSERTION, "client_assertion": text}
            answer = await endpoint.client.post("/oauth/token", data={"grant_type": "client_credentials", **form})
            assert answer.json()["error"] == "invalid_client"

    with_endpoint(tmp_path, act, token_status=True)


def test_9449_11_5_a_proof_that_holds_the_claims_of_an_assertion_authenticates_nobody(tmp_path: Path) -> None:
    """A client whose key is its proofs' key too: what it shows to a resource is no credential."""

    async def act(endpoint: Endpoint) -> None:
        jwk = msgspec.json.encode(KEY.jwk).decode()
        await endpoint.rooms.agents.add_public_key("reader", jwk, ADMINISTRATOR)
        header = {"typ": "dpop+jwt", "jwk": KEY.jwk}
        both = await _signed_assertion(endpoint, header, htm="POST", htu=URL)

        form = {"client_assertion_type": ASSERTION, "client_assertion": both}
        as_assertion = await endpoint.client.post("/oauth/token", data={"grant_type": "client_credentials", **form})
        plain = {"client_assertion_type": ASSERTION, "client_assertion": await _signed_assertion(endpoint)}
        control = await endpoint.client.post("/oauth/token", data={"grant_type": "client_credentials", **plain})

        assert as_assertion.json()["error"] == "invalid_client"
        assert control.status_code == 200

    with_endpoint(tmp_path, act)


def test_9449_11_6_the_public_key_is_no_secret_to_sign_with(tmp_path: Path) -> None:
    """`alg` confusion: HMAC with what everybody knows."""

    async def act(endpoint: Endpoint) -> None:
        now = int(endpoint.rooms.clock.now)
        header = base64url(msgspec.json.encode({"typ": "dpop+jwt", "alg": "HS256", "jwk": KEY.jwk}))
        payload = base64url(msgspec.json.encode({"jti": "a" * 16, "htm": "POST", "htu": URL, "iat": now}))
        signing_input = f"{header}.{payload}"
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
            signing_input.encode(), msgspec.json.encode(KEY.jwk)
        )

        answer = await _ask(endpoint, f"{signing_input}.{base64url(signature)}")

        assert answer.json()["error"] == "invalid_dpop_proof"

    with_endpoint(tmp_path, act)


def test_9449_11_1_strangers_cannot_fill_the_store_of_used_proofs(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        for _ in range(20):
            proof = KEY.proof("POST", URL, endpoint.rooms.clock.now)
            answer = await _ask(endpoint, proof, {"client_id": endpoint.agent.id, "client_secret": "wrong"})
            assert answer.json()["error"] == "invalid_client"

        count = select(func.count()).select_from(used_once)
        assert await endpoint.rooms.transactions.read(lambda c: c.execute(count).scalar_one()) == 0

    with_endpoint(tmp_path, act)


def test_9449_11_1_another_key_cannot_use_up_a_clients_jti(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        now, thief = endpoint.rooms.clock.now, new_proof_key()
        other = await another(endpoint)
        assert (await _ask(endpoint, thief.proof("POST", URL, now, jti="known"), other.form)).status_code == 200

        assert (await _ask(endpoint, KEY.proof("POST", URL, now, jti="known"))).status_code == 200

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize("key", [b"\x03" * 31 + b"\x04", b""], ids=["another installation's", "no key"])
def test_9449_11_3_a_nonce_that_was_not_made_here_is_none(tmp_path: Path, key: bytes) -> None:
    async def act(endpoint: Endpoint) -> None:
        clock = TestClock(endpoint.rooms.clock.now)
        foreign = Nonces(key, clock).new()

        answer = await _ask(endpoint, KEY.proof("POST", URL, clock.now, nonce=foreign))

        assert answer.json()["error"] == "use_dpop_nonce"

    with_endpoint(tmp_path, act, dpop_nonces=True)


def test_9449_11_2_a_proof_made_for_later_is_of_no_use_when_later_comes(tmp_path: Path) -> None:
    """Code that runs in the client for a moment makes proofs for tomorrow: with nonces on, they are worth nothing."""

    async def act(endpoint: Endpoint) -> None:
        later = endpoint.rooms.clock.now + 3_600
        nonce = (await _ask(endpoint, await _proof(endpoint))).headers["dpop-nonce"]
        hoarded = KEY.proof("POST", URL, later, nonce=nonce)
        assert (await _ask(endpoint, hoarded)).json()["error"] == "invalid_dpop_proof"
        endpoint.rooms.clock.move(3_600)
        await endpoint.rooms.feed.poll()

        assert (await _ask(endpoint, hoarded)).json()["error"] == "use_dpop_nonce"

    with_endpoint(tmp_path, act, dpop_nonces=True)


def test_9449_7_1_a_token_is_not_freed_of_its_key_by_leaving_the_proof_out(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await _bound(endpoint)

        for presented in (Presented(), Presented(scheme="dpop"), Presented(scheme="bearer", proof="x")):
            with pytest.raises(InvalidToken):
                await endpoint.verifier.verify(token, CRM_RESOURCE, presented)

    with_endpoint(tmp_path, act)


NAMES = ["client_cert", "x-client-cert", "client-cert-chain", "x-forwarded-client-cert", "x-ssl-client-cert"]


@pytest.mark.parametrize("name", NAMES)
def test_8705_6_5_a_header_of_another_name_brings_no_certificate(tmp_path: Path, name: str) -> None:
    """What a proxy does not overwrite must not be read: only the one header that was named."""
    pair = self_signed()

    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_certificate("reader", pair.pem, ADMINISTRATOR)
        form = {"grant_type": "client_credentials", "client_id": endpoint.agent.id}
        for value in (quote(pair.pem), ":" + base64.b64encode(pair.der).decode() + ":"):
            answer = await endpoint.client.post("/oauth/token", data=form, headers={name: value})
            assert answer.json()["error"] == "invalid_client"
            control = await endpoint.client.post("/oauth/token", data=form, headers={"client-cert": value})
            assert control.status_code == 200

    with_endpoint(tmp_path, act, client_certificate_header="client-cert", trusted_proxies=("127.0.0.1",))


def test_hostile_proofs_and_headers_take_linear_work(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        texts = ["." * 4_000, "[" * 4_000, "A" * 4_000 + "." * 90, base64url(b"{" * 2_900) + "..", "%41" * 1_300 + ".."]
        began = time.perf_counter()

        for text in texts * 20:
            assert (await _ask(endpoint, text)).json()["error"] == "invalid_dpop_proof"

        assert time.perf_counter() - began < 20

    with_endpoint(tmp_path, act)
