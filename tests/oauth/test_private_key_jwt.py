"""private_key_jwt (RFC 7523): what proves an agent, and every way in which an assertion fails to."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import uvloop
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from accredit.agents.new_agent import NewAgent
from accredit.canonical import base64url
from accredit.errors import InputRefused
from accredit.keys.algorithms import make_signature
from accredit.oauth.routes import authorization_server
from tests.oauth.counting import counted_reads
from tests.oauth.endpoint import ISSUER, Endpoint, Served, oauth_rooms, settings_for, with_endpoint
from tests.rooms import ADMINISTRATOR, open_rooms

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEY = ECKey.generate_key("P-256", {"kid": "k1"})


def sign(
    endpoint: Endpoint, *, key: Any = KEY, header: dict[str, Any] | None = None, alg: str = "ES256", **claims: Any
) -> str:
    now = endpoint.rooms.clock.seconds()
    payload = {
        "iss": endpoint.agent.id,
        "sub": endpoint.agent.id,
        "aud": ISSUER,
        "jti": "j-1",
        "iat": now,
        "exp": now + 60,
        **claims,
    }
    payload = {name: value for name, value in payload.items() if value is not None}
    members = {"alg": alg, "kid": "k1", **(header or {})}
    members = {name: value for name, value in members.items() if value is not None}
    return jws.serialize_compact(members, msgspec.json.encode(payload), key, algorithms=[alg])


async def register(endpoint: Endpoint, *keys: Any) -> None:
    jwks = {"keys": [key.as_dict(private=False) for key in keys or (KEY,)]}
    await endpoint.rooms.agents.add_public_key("reader", msgspec.json.encode(jwks).decode(), ADMINISTRATOR)


async def ask(endpoint: Endpoint, assertion: str, **more: str) -> tuple[int, dict[str, Any]]:
    form = {"client_secret": "", "client_id": "", "client_assertion_type": TYPE, "client_assertion": assertion, **more}
    response = await endpoint.token(form)
    return response.status_code, response.json()


def test_an_assertion_of_the_agents_key_is_accepted_once(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await register(endpoint)
        assertion = sign(endpoint)

        first, body = await ask(endpoint, assertion)
        again, replay = await ask(endpoint, assertion)

        assert first == 200
        assert body["scope"] == "crm:contacts.read"
        assert (again, replay["error"]) == (401, "invalid_client")
        events = await endpoint.events()
        assert [one.type for one in events[-2:]] == ["token.issued", "token.refused"]
        assert events[-2].authentication == events[-1].authentication == "private_key_jwt"

    with_endpoint(tmp_path, act)


def test_of_many_requests_at_once_with_one_assertion_just_one_gets_a_token(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await register(endpoint)
        assertion = sign(endpoint)

        answers = await asyncio.gather(*(ask(endpoint, assertion) for _ in range(12)))

        assert sorted(status for status, _ in answers) == [200, *[401] * 11]

    with_endpoint(tmp_path, act)


def test_an_assertion_that_was_used_is_refused_by_the_server_that_comes_after_a_restart(tmp_path: Path) -> None:
    forms: list[dict[str, str]] = []

    async def first(endpoint: Endpoint) -> None:
        await register(endpoint)
        for jti in ("j-1", "j-2"):
            assertion = sign(endpoint, jti=jti)
            forms.append({"client_assertion_type": TYPE, "client_assertion": assertion})
        status, _ = await ask(endpoint, forms[0]["client_assertion"])
        assert status == 200

    async def second() -> None:
        async with open_rooms(tmp_path) as rooms:
            server = Served(authorization_server(oauth_rooms(rooms, settings_for(tmp_path))))
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=server), base_url=ISSUER) as client:
                used, fresh = [
                    await client.post("/oauth/token", data={"grant_type": "client_credentials", **form})
                    for form in forms
                ]

        assert (used.status_code, used.json()["error"]) == (401, "invalid_client")
        assert fresh.status_code == 200

    with_endpoint(tmp_path, first)
    uvloop.run(second())


def test_an_unknown_agent_and_another_key_are_answered_alike_after_the_same_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ECKey.generate_key("P-256", {"kid": "k1"})

    async def act(endpoint: Endpoint) -> None:
        await register(endpoint)
        await endpoint.token()
        verified = 0
        algorithm = JWSRegistry.algorithms["ES256"]
        verify = algorithm.verify

        def verifying(*arguments: Any) -> bool:
            nonlocal verified
            verified += 1
            return verify(*arguments)

        monkeypatch.setattr(algorithm, "verify", verifying)
        stranger, reader = "agt_01JD0000000000000000000000", endpoint.agent.id
        answers = []
        for name, kid in ((reader, "k1"), (reader, "k9"), (stranger, "k1")):
            before, assertion = verified, sign(endpoint, key=other, header={"kid": kid}, iss=name, sub=name)
            with counted_reads(endpoint.rooms.database) as reads:
                status, body = await ask(endpoint, assertion)
            body.pop("event")
            answers.append((status, body, reads.count, verified - before))

        assert answers[0] == answers[1] == answers[2]
        assert answers[0][2:] == (1, 1)

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (RSAKey.generate_key(2048, {"kid": "k1"}), "PS256"),
        (RSAKey.generate_key(2048, {"kid": "k1"}), "RS256"),
        (ECKey.generate_key("P-384", {"kid": "k1"}), "ES384"),
        (OKPKey.generate_key("Ed25519", {"kid": "k1"}), "Ed25519"),
    ],
    ids=["PS256", "RS256", "ES384", "Ed25519"],
)
def test_the_other_listed_algorithms_are_accepted(tmp_path: Path, key: Any, alg: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        await register(endpoint, key)

        status, _ = await ask(endpoint, sign(endpoint, key=key, alg=alg))

        assert status == 200

    with_endpoint(tmp_path, act)


def test_the_token_endpoint_is_accepted_as_audience_and_client_id_may_stand_beside(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await register(endpoint)

        status, _ = await ask(endpoint, sign(endpoint, aud=f"{ISSUER}/oauth/token"), client_id=endpoint.agent.id)

        assert status == 200

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example"},
        {"aud": [ISSUER, "https://other.example"]},
        {"aud": f"{ISSUER}/"},
        {"aud": None},
        {"iss": "agt_other"},
        {"sub": "agt_other", "iss": "agt_other"},
        {"exp": None},
        {"exp": 1_800_000_000 - 60},
        {"exp": 1_800_000_000 + 3600 + 11},
        {"exp": "soon"},
        {"iat": 1_800_000_000 + 3600},
        {"nbf": 1_800_000_000 + 3600},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 300},
        {"jti": 7},
    ],
    ids=str,
)
def test_an_assertion_with_a_claim_that_does_not_hold_is_refused(tmp_path: Path, claims: dict[str, Any]) -> None:
    async def act(endpoint: Endpoint) -> None:
        await register(endpoint)

        status, body = await ask(endpoint, sign(endpoint, **claims))

        assert (status, body["error"]) == (401, "invalid_client")

    with_endpoint(tmp_path, act)


def _none(endpoint: Endpoint) -> str:
    head, payload, _ = sign(endpoint).split(".")
    del head
    return f"eyJhbGciOiJub25lIn0.{payload}."


def _hmac_with_the_public_key(endpoint: Endpoint) -> str:
    public = msgspec.json.encode(KEY.as_dict(private=False))
    return sign(endpoint, key=OctKey.import_key(public), alg="HS256")


def _changed_payload(endpoint: Endpoint) -> str:
    head, _, signature = sign(endpoint).split(".")
    return f"{head}.{sign(endpoint, jti='other').split('.')[1]}.{signature}"


def _with_header(endpoint: Endpoint, header: bytes) -> str:
    """Signed by the right key, with a header that is as it stands here."""
    signed = base64url(header) + "." + sign(endpoint).split(".")[1]
    key = KEY.get_op_key("sign")
    assert isinstance(key, EllipticCurvePrivateKey)
    return f"{signed}.{base64url(make_signature(key, signed.encode()))}"


ATTACKS: dict[str, Callable[[Endpoint], str]] = {
    "alg none": _none,
    "alg confusion": _hmac_with_the_public_key,
    "another key": lambda e: sign(e, key=ECKey.generate_key("P-256", {"kid": "k1"})),
    "unknown kid": lambda e: sign(e, header={"kid": "../../k1"}),
    "key in the header": lambda e: sign(e, header={"jwk": KEY.as_dict(private=False)}),
    "key address in the header": lambda e: sign(e, header={"jku": "http://127.0.0.1:1/keys"}),
    "certificate address in the header": lambda e: sign(e, header={"x5u": "http://127.0.0.1:1/keys"}),
    "critical member": lambda e: sign(e, header={"typ": "at+jwt"}),
    "changed payload": _changed_payload,
    "no type": lambda e: _with_header(e, b'{"alg":"ES256","kid":"k1","typ":null}'),
    "unknown member": lambda e: _with_header(e, b'{"alg":"ES256","kid":"k1","x":1}'),
    "key of another curve": lambda e: sign(e, key=ECKey.generate_key("P-384", {"kid": "k1"}), alg="ES384"),
    "padded": lambda e: sign(e) + "=",
    "another spelling of the signature": lambda e: sign(e)[:-1] + chr(ord(sign(e)[-1]) + 1),
    "two parts": lambda e: sign(e).rpartition(".")[0],
    "four parts": lambda e: sign(e) + ".x",
    "oversized": lambda e: sign(e, pad="x" * 9000),
    "not a token": lambda _: "x",
    "no JSON": lambda _: jws.serialize_compact({"alg": "ES256", "kid": "k1"}, b"[[[[", KEY, algorithms=["ES256"]),
    "deeply nested": lambda _: jws.serialize_compact(
        {"alg": "ES256", "kid": "k1"}, b'{"a":' * 900 + b"1" + b"}" * 900, KEY, algorithms=["ES256"]
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_forged_assertion_is_refused(tmp_path: Path, attack: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        await register(endpoint)

        status, body = await ask(endpoint, ATTACKS[attack](endpoint))

        assert (status, body["error"]) == (401, "invalid_client")

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize(
    "members", [{"use": "enc"}, {"key_ops": ["sign"]}, {"alg": "ES384"}], ids=["use", "key_ops", "alg"]
)
def test_a_key_that_is_for_something_else_proves_nothing(tmp_path: Path, members: dict[str, Any]) -> None:
    async def act(endpoint: Endpoint) -> None:
        jwks = {"keys": [{**KEY.as_dict(private=False), **members}]}
        await endpoint.rooms.agents.add_public_key("reader", msgspec.json.encode(jwks).decode(), ADMINISTRATOR)

        status, body = await ask(endpoint, sign(endpoint))

        assert (status, body["error"]) == (401, "invalid_client")

    with_endpoint(tmp_path, act)


def test_without_a_kid_the_only_key_of_the_right_kind_is_meant(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await register(endpoint, KEY, OKPKey.generate_key("Ed25519", {"kid": "k2"}))

        status, _ = await ask(endpoint, sign(endpoint, header={"kid": None}))
        await register(endpoint, ECKey.generate_key("P-256", {"kid": "k3"}))
        among_two, _ = await ask(endpoint, sign(endpoint, header={"kid": None}, jti="j-2"))

        assert (status, among_two) == (200, 401)

    with_endpoint(tmp_path, act)


def test_a_key_of_one_agent_does_not_prove_another(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        other = await endpoint.rooms.agents.create(NewAgent(name="other", owner="ana@example.com"), ADMINISTRATOR)
        await register(endpoint)

        status, _ = await ask(endpoint, sign(endpoint, iss=other.id, sub=other.id))

        assert status == 401

    with_endpoint(tmp_path, act)


def test_a_secret_and_an_assertion_together_are_refused(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await register(endpoint)

        status, body = await ask(endpoint, sign(endpoint), client_secret=endpoint.secret)

        assert (status, body["error"]) == (400, "invalid_request")

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize(
    "jwks",
    [
        {"keys": []},
        {"keys": [KEY.as_dict(private=True)]},
        {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]},
        {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]},
        {"keys": [{"kty": "RSA", "e": "AQAB", "n": "q" * 170}]},
        {"keys": "x"},
        ["x"],
        {"keys": [{"kty": "RSA", "pad": "x" * 20_000}]},
    ],
    ids=range(8),
)
def test_a_key_set_that_is_private_weak_or_malformed_is_not_registered(tmp_path: Path, jwks: object) -> None:
    async def act(endpoint: Endpoint) -> None:
        with pytest.raises(InputRefused):
            await endpoint.rooms.agents.add_public_key("reader", msgspec.json.encode(jwks).decode(), ADMINISTRATOR)

    with_endpoint(tmp_path, act)
