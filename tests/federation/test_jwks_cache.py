"""An issuer's documents are asked for seldom, whoever asks, and kept for a while when it is away."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from accredit.errors import Unavailable
from accredit.federation.errors import ProviderFailed
from accredit.federation.jwks_cache import (
    FRESH_SECONDS,
    KEPT_SECONDS,
    REFETCH_SECONDS,
    RETRY_SECONDS,
    JwksCache,
    parse_jwks,
    parse_metadata,
)
from tests.federation.lying import EC_KEY, ISSUER, METADATA, RSA_KEY
from tests.rooms import TestClock

KEYS = "https://keys.example.net/jwks"


class Issuer:
    """What is asked, and an issuer that can be away."""

    def __init__(self) -> None:
        self.clock = TestClock()
        self.keys: list[Any] = [EC_KEY.as_dict(private=False)]
        self.asked: list[str] = []
        self.away = False
        self.cache = JwksCache(self.fetch, self.clock)

    async def fetch(self, url: str, issuer: str, most_bytes: int) -> bytes:
        self.asked.append(url)
        await asyncio.sleep(0)
        if self.away:
            raise ProviderFailed("away")
        return json.dumps({"keys": self.keys} if url == KEYS else dict(METADATA)).encode()

    async def kids(self, kid: str | None = "ec") -> list[str | None]:
        return [key.kid for key in await self.cache.keys(KEYS, ISSUER, kid)]


def run(act: Callable[[Issuer], Awaitable[None]]) -> None:
    async def started() -> None:
        await act(Issuer())

    asyncio.run(started())


def test_keys_are_asked_for_once_while_they_are_fresh() -> None:
    async def act(issuer: Issuer) -> None:
        assert await asyncio.gather(*(issuer.kids() for _ in range(20))) == [["ec"]] * 20
        issuer.clock.move(FRESH_SECONDS - 1)
        await issuer.kids()
        assert issuer.asked == [KEYS]

        issuer.clock.move(1)
        await issuer.kids()
        assert issuer.asked == [KEYS] * 2

    run(act)


def test_an_unknown_kid_has_the_keys_asked_for_again_but_not_more_often_than_every_half_minute() -> None:
    async def act(issuer: Issuer) -> None:
        await issuer.kids()
        for n in range(50):
            assert await issuer.kids(f"unknown-{n}") == ["ec"]
        assert len(issuer.asked) == 1

        issuer.clock.move(REFETCH_SECONDS)
        issuer.keys.append(ECKey.generate_key("P-256", {"kid": "next"}).as_dict(private=False))
        found = await asyncio.gather(*(issuer.kids("next") for _ in range(20)))
        assert found == [["ec", "next"]] * 20
        assert len(issuer.asked) == 2
        await asyncio.gather(*(issuer.kids(f"other-{n}") for n in range(50)))
        assert len(issuer.asked) == 2

    run(act)


def test_a_key_that_was_taken_back_is_not_used_longer_than_ten_minutes() -> None:
    async def act(issuer: Issuer) -> None:
        await issuer.kids()
        issuer.keys = [ECKey.generate_key("P-256", {"kid": "next"}).as_dict(private=False)]
        issuer.clock.move(FRESH_SECONDS)

        assert await issuer.kids("ec") == ["next"]

    run(act)


def test_an_issuer_that_is_away_is_believed_for_an_hour() -> None:
    async def act(issuer: Issuer) -> None:
        await issuer.kids()
        issuer.away = True
        issuer.clock.move(KEPT_SECONDS - 1)
        assert await issuer.kids() == ["ec"]
        assert await issuer.kids() == ["ec"]
        assert len(issuer.asked) == 2

        issuer.clock.move(1)
        issuer.clock.move(RETRY_SECONDS)
        with pytest.raises(Unavailable):
            await issuer.kids()

    run(act)


def test_an_issuer_that_never_answered_is_not_asked_by_everybody_at_once() -> None:
    async def act(issuer: Issuer) -> None:
        issuer.away = True
        answers = await asyncio.gather(*(issuer.cache.metadata(ISSUER) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(one, Unavailable) for one in answers)
        assert len(issuer.asked) == 1

        issuer.away = False
        issuer.clock.move(RETRY_SECONDS)
        assert (await issuer.cache.metadata(ISSUER)).issuer == ISSUER
        assert issuer.asked == [f"{ISSUER}/.well-known/openid-configuration"] * 2

    run(act)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"issuer": "https://evil.example.com"}, id="another issuer"),
        pytest.param({"issuer": f"{ISSUER}/"}, id="an issuer with a slash"),
        pytest.param({"issuer": None}, id="no issuer"),
        pytest.param({"jwks_uri": None}, id="no keys"),
        pytest.param({"jwks_uri": "http://keys.example.net/jwks"}, id="keys without TLS"),
        pytest.param({"token_endpoint": "http://login.example.com/token"}, id="a token endpoint without TLS"),
        pytest.param({"token_endpoint": "http://localhost/token"}, id="this machine"),
        pytest.param({"jwks_uri": "file:///etc/passwd"}, id="a file"),
        pytest.param({"jwks_uri": "https://user:pass@keys.example.net/"}, id="user information"),
        pytest.param({"authorization_endpoint": "javascript:alert(1)"}, id="a script"),
        pytest.param({"end_session_endpoint": "https://a.example.com/\r\nx"}, id="a line end"),
        pytest.param({"token_endpoint": 7}, id="a number"),
    ],
)
def test_metadata_that_cannot_be_trusted_is_refused(changes: dict[str, object]) -> None:
    document = {name: value for name, value in {**METADATA, **changes}.items() if value is not None}

    with pytest.raises(ProviderFailed):
        parse_metadata(json.dumps(document).encode(), ISSUER)


def test_an_issuer_on_this_machine_may_be_without_tls() -> None:
    issuer = "http://localhost:8080/realm"
    document = {"issuer": issuer, "jwks_uri": "http://localhost:8080/jwks"}

    assert parse_metadata(json.dumps(document).encode(), issuer).jwks_uri == "http://localhost:8080/jwks"
    with pytest.raises(ProviderFailed):
        parse_metadata(json.dumps({**document, "jwks_uri": "http://127.0.0.1/jwks"}).encode(), issuer)


EC = EC_KEY.as_dict(private=False)
RSA = RSA_KEY.as_dict(private=False)


@pytest.mark.parametrize(
    "jwk",
    [
        pytest.param(OctKey.generate_key(256).as_dict(private=True), id="symmetric"),
        pytest.param(EC_KEY.as_dict(private=True), id="private"),
        pytest.param({**EC, "use": "enc"}, id="for encryption"),
        pytest.param({"kty": "RSA", "n": RSA["n"][:171], "e": "AQAB"}, id="RSA of 1024 bits"),
        pytest.param({"kty": "RSA", "n": "AAAA" * 200 + "AQ", "e": "AQAB"}, id="RSA padded with zeros"),
        pytest.param({"kty": "EC", "crv": "P-256", "x": EC["x"], "y": EC["x"]}, id="not on the curve"),
        pytest.param({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}, id="a kind that we do not know"),
        pytest.param({"kty": ["EC"]}, id="a list"),
        pytest.param({**EC, "kid": 7}, id="a kid that is a number"),
        pytest.param({}, id="empty"),
    ],
)
def test_a_key_that_we_cannot_use_is_passed_over(jwk: dict[str, object]) -> None:
    assert [key.kid for key in parse_jwks(json.dumps({"keys": [jwk, EC]}).encode())] == ["ec"]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'{"keys":{}}',
        b'{"keys":[1]}',
        b'{"keys":' + b"[" * 50_000,
        json.dumps({"keys": [{}] * 101}).encode(),
    ],
    ids=["empty", "a list", "an object", "numbers", "nested", "too many"],
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(ProviderFailed):
        parse_jwks(document)


def test_members_that_are_not_needed_cannot_spoil_a_key() -> None:
    [key] = parse_jwks(json.dumps({"keys": [{**EC, "x5c": [7], "key_ops": "?", "alg": "ES256"}]}).encode())

    assert (key.kid, key.algorithm) == ("ec", "ES256")
    assert isinstance(key.key, ECKey)
    assert not isinstance(key.key, RSAKey)
