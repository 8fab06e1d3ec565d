"""Attacks on assertions of other issuers: workloads' tokens, and what a header or a claim could talk us into.

RFC 8725 (JWT best current practices), RFC 7523 §3.
"""

import base64
import hmac
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop
from joserfc.jwk import ECKey, RSAKey

from accredit.oauth.routes import authorization_server
from tests.federation.foreign import KEYS
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER, Served, oauth_rooms, settings_for
from tests.oauth.trusting import JWT_BEARER, Trusting, open_trusting, with_trusting
from tests.rooms import ADMINISTRATOR, open_rooms

SUBJECT = "build-7"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _jwt(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    return f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(claims).encode())}.{_b64(signature)}"


async def _trusted(it: Trusting, **keys: str) -> None:
    await it.trust("generic", **keys)
    await it.is_workload(SUBJECT)


async def _refused(it: Trusting, token: str) -> bool:
    answer = await it.as_workload(token)
    return bool(answer.status_code == 400 and answer.json()["error"] == "invalid_grant")


def test_alg_none_and_symmetric_algorithms_are_refused(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await _trusted(it)
        claims = it.foreign.generic()
        public = RSAKey.import_key(it.foreign.published[0])
        secrets = [public.as_pem(private=False), json.dumps(it.foreign.published[0]).encode(), b""]

        for alg in ("none", "None", "nOnE", ""):
            assert await _refused(it, _jwt({"alg": alg}, claims))
        for alg, digest in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")):
            for secret in secrets:
                head = _jwt({"alg": alg, "kid": "rsa-1"}, claims).rpartition(".")[0]
                assert await _refused(it, f"{head}.{_b64(hmac.digest(secret, head.encode(), digest))}")
        assert not await _refused(it, it.foreign.sign(claims))

    with_trusting(tmp_path, act)


def test_an_algorithm_that_the_key_is_not_for_or_that_was_not_allowed_is_refused(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        it.foreign.published = [
            {**key, "alg": "RS256" if key["kty"] == "RSA" else "ES256"} for key in it.foreign.published
        ]
        await it.trust("generic", 'algorithms = ["RS256", "PS256"]\n')
        await it.is_workload(SUBJECT)

        assert await _refused(it, it.foreign.sign(it.foreign.generic(), alg="ES256"))
        assert await _refused(it, it.foreign.sign(it.foreign.generic(), alg="PS256", key=KEYS["RS256"]))
        assert not await _refused(it, it.foreign.sign(it.foreign.generic()))

    with_trusting(tmp_path, act)


@pytest.mark.parametrize(
    "member",
    [
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/x5u"},
        {"x5c": ["MIIB"]},
        {"cty": "JWT"},
        {"crit": ["exp"]},
        {"zip": "DEF"},
        {"b64": False, "crit": ["b64"]},
        {"kid": "rsa-2"},
        {"kid": "../../etc/passwd"},
        {"kid": "' OR 1=1 --"},
        {"kid": "https://evil.example/jwks"},
        {"kid": 7},
        {"kid": ""},
        {"kid": "x" * 600},
    ],
    ids=lambda member: "-".join(f"{k}={str(v)[:12]}" for k, v in member.items()),
)
def test_nothing_in_a_header_brings_or_chooses_a_key(tmp_path: Path, member: dict[str, Any]) -> None:
    async def act(it: Trusting) -> None:
        await _trusted(it)
        evil = RSAKey.generate_key(2048, {"kid": "evil"})

        token = it.foreign.sign_raw({"alg": "RS256", "kid": "rsa-1", **member}, it.foreign.generic())
        own_key = it.foreign.sign(it.foreign.generic(), key=evil, header={"jwk": evil.as_dict(private=False)})

        assert await _refused(it, token)
        assert await _refused(it, own_key)
        assert all(path == "/jwks" for path in it.foreign.requests)

    with_trusting(tmp_path, act)


def test_where_several_keys_fit_a_token_has_to_name_one(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await _trusted(it)
        token = it.foreign.sign(it.foreign.generic(), header={"kid": None})
        assert not await _refused(it, token)

        second = RSAKey.generate_key(2048, {"kid": "rsa-2"}).as_dict(private=False)
        it.foreign.published = [*it.foreign.published, second]
        it.foreign.clock.move(700)
        await it.endpoint.rooms.feed.poll()

        assert await _refused(it, it.foreign.sign(it.foreign.generic(jti="2"), header={"kid": None}))
        assert not await _refused(it, it.foreign.sign(it.foreign.generic(jti="3")))

    with_trusting(tmp_path, act)


def test_keys_of_one_issuer_sign_nothing_for_another(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await _trusted(it)
        other = ECKey.generate_key("P-256", {"kid": "other-1"})
        jwks = json.dumps({"keys": [other.as_dict(private=False)]})
        text = f"name = 'other'\nissuer = 'https://other.example'\nkind = 'generic'\njwks = '{jwks}'\n"
        await it.endpoint.oauth.trust.issuers.add(text, "other.toml", ADMINISTRATOR)

        by_other = it.foreign.sign(it.foreign.generic(), alg="ES256", key=other)
        as_other = it.foreign.sign(it.foreign.generic(iss="https://other.example"))

        assert await _refused(it, by_other)
        assert await _refused(it, as_other)

    with_trusting(tmp_path, act)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1_799_999_989},
        {"exp": 1_700_000_000},
        {"nbf": 1_800_000_011},
        {"iat": 1_800_000_011},
        {"iat": 1_700_000_000},
        {"exp": 1_800_003_611},
        {"exp": "1800000300"},
        {"exp": None},
        {"exp": True},
        {"exp": 1e300},
        {"iat": -1},
        {"aud": "https://other.example"},
        {"aud": [ISSUER, "https://other.example"]},
        {"aud": []},
        {"aud": None},
        {"aud": f"{ISSUER}/"},
        {"aud": CRM_RESOURCE},
        {"aud": {"a": ISSUER}},
        {"iss": None},
        {"iss": f"{ISSUER}"},
        {"sub": None},
        {"sub": ["build-7"]},
        {"sub": "build-7\n"},
        {"jti": "j" * 300},
        {"jti": 1},
    ],
    ids=lambda claims: "-".join(f"{k}={str(v)[:26]}" for k, v in claims.items()),
)
def test_an_assertion_whose_claims_do_not_hold_is_refused(tmp_path: Path, claims: dict[str, Any]) -> None:
    async def act(it: Trusting) -> None:
        await _trusted(it)

        assert await _refused(it, it.foreign.sign(it.foreign.generic(**claims)))

    with_trusting(tmp_path, act)


def test_a_clock_that_is_a_few_seconds_off_is_borne(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await _trusted(it)
        now = int(it.foreign.clock.seconds())

        ahead = it.foreign.generic(iat=now + 9, nbf=now + 9, jti="1")
        behind = it.foreign.generic(exp=now - 9, iat=now - 300, nbf=None, jti="2")

        assert not await _refused(it, it.foreign.sign(ahead))
        assert not await _refused(it, it.foreign.sign(behind))

    with_trusting(tmp_path, act)


def test_oversized_nested_and_broken_assertions_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await _trusted(it)
        deep: dict[str, Any] = {}
        for _ in range(900):
            deep = {"a": deep}
        good = it.foreign.sign(it.foreign.generic())
        broken = [
            it.foreign.sign(it.foreign.generic(more="x" * 8_192)),
            it.foreign.sign({"a": 1}, header={"cty": "JWT"}),
            _jwt({"alg": "RS256", "kid": "rsa-1"}, deep),
            good + "é",
            good.replace(".", ""),
            good + ".x",
            good.rpartition(".")[0],
            "..",
            "a.b.c",
            f"{_b64(b'[]')}.{_b64(b'{}')}.x",
            f"{_b64(b'{}')}.{_b64(b'[]')}.x",
            "x",
        ]

        for token in broken:
            assert await _refused(it, token), token[:80]
        assert it.foreign.requests == []

    with_trusting(tmp_path, act)


def test_an_assertion_that_was_used_is_refused_after_a_restart_too(tmp_path: Path) -> None:
    async def first() -> tuple[str, str]:
        async with open_trusting(tmp_path) as it:
            jwks = json.dumps({"keys": it.foreign.published})
            await it.trust("generic", f"jwks = '{jwks}'\n", jwks_uri="")
            await it.is_workload(SUBJECT)
            token = it.foreign.sign(it.foreign.generic())
            assert not await _refused(it, token)
            return token, it.foreign.sign(it.foreign.generic(jti="unused"))

    async def second(used: str, unused: str) -> None:
        async with open_rooms(tmp_path) as rooms:
            oauth = oauth_rooms(rooms, settings_for(tmp_path))
            transport = httpx2.ASGITransport(app=Served(authorization_server(oauth)))
            async with httpx2.AsyncClient(transport=transport, base_url=ISSUER) as client:
                answers = [
                    await client.post("/oauth/token", data={"grant_type": JWT_BEARER, "assertion": token})
                    for token in (used, unused)
                ]
            assert answers[0].status_code in (400, 401)
            assert "access_token" not in answers[0].json()
            assert answers[1].status_code == 200

    uvloop.run(second(*uvloop.run(first())))


def test_tokens_with_made_up_kids_do_not_make_us_ask_without_end(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await _trusted(it)

        for number in range(50):
            assert await _refused(it, it.foreign.sign(it.foreign.generic(), header={"kid": f"made-up-{number}"}))

        assert len(it.foreign.requests) == 1
        it.foreign.clock.move(31)
        await it.endpoint.rooms.feed.poll()
        for number in range(50):
            await it.as_workload(it.foreign.sign(it.foreign.generic(), header={"kid": f"again-{number}"}))
        assert len(it.foreign.requests) == 2

    with_trusting(tmp_path, act)


def test_an_issuer_that_nobody_trusts_is_never_asked(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.is_workload(SUBJECT, issuer=it.foreign.url)

        for _ in range(5):
            assert await _refused(it, it.foreign.sign(it.foreign.generic()))

        assert it.foreign.requests == []

    with_trusting(tmp_path, act)


def test_while_an_issuer_does_not_answer_its_tokens_are_neither_taken_nor_called_wrong(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await _trusted(it)
        it.foreign.answers = False
        token = it.foreign.sign(it.foreign.generic())

        away = await it.as_workload(token)
        it.foreign.answers = True
        it.foreign.clock.move(6)
        await it.endpoint.rooms.feed.poll()

        assert (away.status_code, away.json()["error"]) == (503, "temporarily_unavailable")
        assert not await _refused(it, token)

    with_trusting(tmp_path, act)


def test_a_refusal_tells_a_stranger_nothing_and_the_log_why(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await _trusted(it)
        answers = [
            (await it.as_workload(it.foreign.sign(claims))).json()
            for claims in (
                it.foreign.generic(sub="build-8"),
                it.foreign.generic(aud="https://other.example"),
                it.foreign.generic(iss="https://other.example"),
            )
        ]
        answers.append((await it.as_workload(it.foreign.sign(it.foreign.generic())[:-8])).json())

        assert len({(one["error"], one["error_description"], one["next_step"]) for one in answers}) == 1
        reasons = {one.reason for one in (await it.endpoint.events())[-4:]}
        assert len(reasons) == 4

    with_trusting(tmp_path, act)


def test_the_hash_of_a_used_assertion_is_of_its_issuer_too(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await _trusted(it)
        other = ECKey.generate_key("P-256", {"kid": "other-1"})
        jwks = json.dumps({"keys": [other.as_dict(private=False)]})
        text = f"name = 'other'\nissuer = 'https://other.example'\nkind = 'generic'\njwks = '{jwks}'\n"
        await it.endpoint.oauth.trust.issuers.add(text, "other.toml", ADMINISTRATOR)
        await it.is_workload(SUBJECT, issuer="https://other.example")

        # Another issuer that uses the same `jti` up keeps nobody out.
        theirs = it.foreign.sign(it.foreign.generic(iss="https://other.example"), alg="ES256", key=other)
        assert not await _refused(it, theirs)
        assert not await _refused(it, it.foreign.sign(it.foreign.generic()))

    with_trusting(tmp_path, act)
