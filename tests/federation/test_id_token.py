"""What of an ID token is checked (OpenID Connect Core §3.1.3.7, RFC 8725), one claim and one header at a time."""

import asyncio
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from accredit.canonical import base64url
from accredit.federation.connector import Vouched
from accredit.federation.errors import ProviderFailed, SignOnRefused
from tests.federation.lying import (
    ACCESS_TOKEN,
    CLIENT,
    EC_KEY,
    ISSUER,
    OKP_KEY,
    RSA_KEY,
    LyingProvider,
    sign,
    unsigned,
)


def finish(provider: LyingProvider, token: object, **configuration: Any) -> Vouched:
    return asyncio.run(provider.finish(token, **configuration))


def refusal(provider: LyingProvider, token: object, **configuration: Any) -> str:
    with pytest.raises(SignOnRefused) as error:
        finish(provider, token, **configuration)
    assert error.value.explanation == "the provider's answer does not prove who you are"
    return error.value.detail


@pytest.mark.parametrize(
    ("key", "alg"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256"), (OKP_KEY, "Ed25519")], ids=["RS256", "ES256", "Ed25519"]
)
def test_an_honest_token_is_taken(key: Any, alg: str) -> None:
    provider = LyingProvider()
    at_hash = None if alg == "Ed25519" else provider.claims()["at_hash"]
    claims = provider.claims(acr="phr", amr=["hwk"], auth_time=1_799_999_990, at_hash=at_hash)

    vouched = finish(provider, sign(claims, key, alg))

    identity = vouched.identity
    assert (identity.issuer, identity.subject, identity.authentication) == (ISSUER, "ana-7", "oidc:acme")
    assert (identity.email, identity.email_is_proven) == ("ana@example.com", True)
    assert (vouched.acr, vouched.amr, vouched.auth_time) == ("phr", ("hwk",), 1_799_999_990)
    assert provider.sent == [
        {
            "grant_type": "authorization_code",
            "code": "a-code",
            "redirect_uri": "https://a.example.com/console/sign-in/callback/acme",
            "code_verifier": "v" * 43,
            "client_id": CLIENT,
        }
    ]


NOW = 1_800_000_000
WRONG: list[tuple[dict[str, object], str]] = [
    ({"iss": "https://evil.example.com"}, "iss"),
    ({"iss": ISSUER + "/"}, "iss"),
    ({"aud": "another"}, "aud"),
    ({"aud": []}, "aud"),
    ({"aud": ["another"], "azp": CLIENT}, "aud"),
    ({"aud": [CLIENT, "another"]}, "azp"),
    ({"aud": [CLIENT, "another"], "azp": "another"}, "azp"),
    ({"azp": "another"}, "azp"),
    ({"sub": ""}, "sub"),
    ({"sub": "a" * 256}, "sub"),
    ({"sub": "a\nb"}, "sub"),
    ({"exp": NOW - 61}, "exp"),
    ({"nbf": NOW + 61}, "nbf"),
    ({"iat": NOW + 61}, "iat"),
    ({"iat": NOW - 61}, "iat"),
    ({"nonce": "another"}, "nonce"),
    ({"nonce": ""}, "nonce"),
    ({"nonce": "ä"}, "nonce"),
    ({"at_hash": "AAAA"}, "at_hash"),
    ({"at_hash": ""}, "at_hash"),
    ({"iss": None}, "ValidationError"),
    ({"sub": None}, "ValidationError"),
    ({"aud": None}, "ValidationError"),
    ({"exp": None}, "ValidationError"),
    ({"iat": None}, "ValidationError"),
    ({"nonce": None}, "ValidationError"),
    ({"exp": "1900000000"}, "ValidationError"),
    ({"iat": True}, "ValidationError"),
    ({"sub": 7}, "ValidationError"),
    ({"aud": {"a": CLIENT}}, "ValidationError"),
    ({"aud": [CLIENT, 7]}, "ValidationError"),
    ({"amr": [{"a": 1}]}, "ValidationError"),
]


@pytest.mark.parametrize(("changes", "why"), WRONG, ids=[f"{json.dumps(changes)[:40]}" for changes, _ in WRONG])
def test_a_claim_that_does_not_hold_is_refused(changes: dict[str, object], why: str) -> None:
    provider = LyingProvider()

    detail = refusal(provider, sign(provider.claims(**changes)))

    assert why in detail


@pytest.mark.parametrize("seconds", [-59, 59])
def test_clocks_may_differ_by_a_minute(seconds: int) -> None:
    provider = LyingProvider()

    finish(provider, sign(provider.claims(iat=NOW + seconds, exp=NOW + min(seconds, 300), nbf=NOW + seconds)))


def _hs256_with_the_public_key(claims: object) -> str:
    # By hand: the library refuses to use a public key so.
    text = sign(claims).rpartition(".")[0].partition(".")[2]
    signed = base64url(json.dumps({"alg": "HS256", "kid": "rsa", "typ": "JWT"}).encode()) + "." + text
    mac = hmac.digest(RSA_KEY.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64url(mac)}"


def _key_in_the_header(claims: object) -> str:
    own = RSAKey.generate_key(2_048)
    return sign(claims, own, "RS256", kid=None, jwk=own.as_dict(private=False))


def _known_kid_of_an_own_key(claims: object) -> str:
    own = RSAKey.generate_key(2_048)
    return sign(claims, own, "RS256", kid="rsa", jwk=own.as_dict(private=False), jku="https://evil.example.com/jwks")


FORGED: dict[str, tuple[Callable[[object], Any], str]] = {
    "alg none": (unsigned, "alg 'none'"),
    "alg None": (lambda claims: unsigned(claims, alg="None"), "alg 'None'"),
    "no alg": (lambda claims: unsigned(claims, alg=None), "alg 'None'"),
    "HS256 with the public key": (_hs256_with_the_public_key, "alg 'HS256'"),
    "an algorithm that is not allowed": (lambda claims: sign(claims, RSA_KEY, "PS256"), "alg 'PS256'"),
    "an algorithm of another key": (lambda claims: sign(claims, EC_KEY, "ES256", kid="rsa"), "0 keys fit"),
    "another key with its kid": (
        lambda claims: sign(claims, ECKey.generate_key("P-256"), "ES256", kid="ec"),
        "BadSignature",
    ),
    "a key in the header": (_key_in_the_header, "BadSignature"),
    "a known kid and a key of its own": (_known_kid_of_an_own_key, "BadSignature"),
    "a kid that is a path": (lambda claims: sign(claims, kid="../../../../dev/null"), "0 keys fit"),
    "a kid that is SQL": (lambda claims: sign(claims, kid="' OR '1'='1"), "0 keys fit"),
    "a kid that is an address": (lambda claims: sign(claims, kid="https://evil.example.com/jwks"), "0 keys fit"),
    "a kid that is a number": (lambda claims: _with_header(sign(claims), {"alg": "RS256", "kid": 7}), "kid"),
    "a kid that is empty": (lambda claims: sign(claims, kid=""), "kid"),
    "a critical member": (
        lambda claims: _with_header(sign(claims), {"alg": "RS256", "kid": "rsa", "crit": ["x"]}),
        "crit",
    ),
    "another payload": (lambda claims: _with_payload(sign(claims), b'{"sub":"the-boss"}'), "BadSignature"),
    "no signature": (lambda claims: sign(claims).rpartition(".")[0] + ".", "BadSignature"),
    "another type": (lambda claims: sign(claims, typ="at+jwt"), "typ"),
    "a logout token": (lambda claims: sign(claims, typ="logout+jwt"), "typ"),
    "a payload that is no object": (lambda _: sign(b"[]"), "ValidationError"),
    "a payload that is no JSON": (lambda _: sign(b"{"), "DecodeError"),
    "a payload that is nested": (lambda _: sign(b'{"a":' + b"[" * 40_000), "Error"),
    "no JWS": (lambda _: "abc", ""),
    "empty": (lambda _: "", ""),
    "not ASCII": (lambda claims: sign(claims) + "ä", "ASCII"),
    "too long": (lambda _: "a" * 70_000, "too long"),
    "JSON serialization": (lambda _: '{"payload":"","signatures":[]}', ""),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_refused(name: str) -> None:
    provider = LyingProvider()
    forge, why = FORGED[name]

    assert why in refusal(provider, forge(provider.claims()))


def _with_header(token: str, header: dict[str, object]) -> str:
    return ".".join([base64url(json.dumps(header).encode()), *token.split(".")[1:]])


def _with_payload(token: str, payload: bytes) -> str:
    head, _, signature = token.split(".")
    return f"{head}.{base64url(payload)}.{signature}"


def test_a_token_without_a_kid_is_taken_only_if_one_key_can_be_meant() -> None:
    provider = LyingProvider()
    finish(provider, sign(provider.claims(), kid=None))
    provider = LyingProvider()
    provider.keys.append(RSAKey.generate_key(2_048, {"kid": "next"}).as_dict(private=False))

    assert "2 keys fit" in refusal(provider, sign(provider.claims(), kid=None))


def test_two_keys_of_one_name_are_none() -> None:
    provider = LyingProvider()
    provider.keys.append(RSAKey.generate_key(2_048, {"kid": "rsa"}).as_dict(private=False))

    assert "2 keys fit" in refusal(provider, sign(provider.claims()))


def test_members_of_a_header_that_we_do_not_know_are_no_fault() -> None:
    provider = LyingProvider()

    members: dict[str, Any] = {"x5t": "abc", "pi.atm": "5"}
    finish(provider, sign(provider.claims(), **members))


@pytest.mark.parametrize(
    ("acr", "required", "taken"), [("phr", True, True), ("low", True, False), (None, True, False), ("low", False, True)]
)
def test_a_required_acr_is_required(acr: str | None, required: bool, taken: bool) -> None:
    provider = LyingProvider()
    token = sign(provider.claims(acr=acr))

    if taken:
        finish(provider, token, acr_values=("phr", "phrh"), require_acr=required)
    else:
        assert "acr" in refusal(provider, token, acr_values=("phr", "phrh"), require_acr=required)


@pytest.mark.parametrize(("ago", "taken"), [(0, True), (359, True), (361, False), (None, False)])
def test_a_sign_in_that_is_older_than_asked_is_refused(ago: int | None, taken: bool) -> None:
    provider = LyingProvider()
    token = sign(provider.claims(auth_time=None if ago is None else NOW - ago))

    if taken:
        finish(provider, token, max_age_seconds=300)
    else:
        assert "auth_time" in refusal(provider, token, max_age_seconds=300)


@pytest.mark.parametrize(("ago", "taken"), [(0, True), (59, True), (61, False), (None, True)])
def test_somebody_who_must_prove_anew_who_they_are_must_have_done_so(ago: int | None, taken: bool) -> None:
    provider = LyingProvider()
    token = sign(provider.claims(auth_time=None if ago is None else NOW - ago))

    if taken:
        finish(provider, token, fresh=True)
    else:
        assert "not anew" in refusal(provider, token, fresh=True)


@pytest.mark.parametrize(
    ("hd", "taken"), [("example.com", True), ("evil.test", False), (None, False), (["example.com"], False)]
)
def test_a_claim_that_the_description_requires_is_required(hd: object, taken: bool) -> None:
    provider = LyingProvider()
    token = sign(provider.claims(hd=hd))

    if taken:
        finish(provider, token, required_claims={"hd": "example.com"})
    else:
        assert "required claim hd" in refusal(provider, token, required_claims={"hd": "example.com"})


def test_a_required_claim_does_not_come_from_userinfo() -> None:
    provider = LyingProvider()
    provider.userinfo = {"sub": "ana-7", "hd": "example.com"}

    assert "hd" in refusal(provider, sign(provider.claims()), userinfo=True, required_claims={"hd": "example.com"})


def test_userinfo_of_another_subject_is_refused_and_signed_claims_win() -> None:
    provider = LyingProvider()
    provider.userinfo = {"sub": "the-boss", "email": "boss@example.com"}
    assert "userinfo" in refusal(provider, sign(provider.claims()), userinfo=True)

    provider.userinfo = {"sub": "ana-7", "email": "boss@example.com", "groups": ["g"]}
    vouched = finish(provider, sign(provider.claims()), userinfo=True, roles={"g": ("administrator",)})

    assert vouched.identity.email == "ana@example.com"
    assert vouched.identity.roles == ("administrator",)


@pytest.mark.parametrize(
    ("claims", "proven"),
    [
        ({}, True),
        ({"email": "Ana@EXAMPLE.com"}, True),
        ({"email_verified": "true"}, True),
        ({"email_verified": False}, False),
        ({"email_verified": None}, False),
        ({"email_verified": "false"}, False),
        ({"email_verified": ["true"]}, False),
        ({"email": "ana@sub.example.com"}, False),
        ({"email": "ana@example.com.evil.test"}, False),
        ({"email": "ana@evil.test"}, False),
        ({"email": "ana@evil.test@example.com"}, True),
        ({"email": 7}, False),
        ({"email": None}, False),
        ({"email": "no address"}, False),
    ],
    ids=lambda value: json.dumps(value)[:50] if isinstance(value, dict) else "",
)
def test_an_address_is_proven_by_the_authority_for_its_domain_alone(claims: dict[str, object], proven: bool) -> None:
    provider = LyingProvider()

    vouched = finish(provider, sign(provider.claims(**claims)))

    assert vouched.identity.email_is_proven is proven


@pytest.mark.parametrize(
    ("groups", "roles"),
    [
        (["a", "b"], ("administrator", "delegator")),
        ("a", ("administrator",)),
        (["A", "a "], ()),
        ([7, None, "b", ["a"]], ("delegator",)),
        ({"a": True}, ()),
        (None, ()),
    ],
    ids=["two", "a text", "other spellings", "mixed", "an object", "none"],
)
def test_groups_give_the_roles_that_the_description_says(groups: object, roles: tuple[str, ...]) -> None:
    provider = LyingProvider()
    mapping = {"a": ("administrator",), "b": ("delegator",)}

    assert finish(provider, sign(provider.claims(groups=groups)), roles=mapping).identity.roles == roles


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, {"error": "invalid_grant"}, SignOnRefused),
        (200, {"access_token": ACCESS_TOKEN}, ProviderFailed),
        (200, {"id_token": 7}, ProviderFailed),
        (200, {"id_token": "a.b.c", "token_type": "DPoP"}, SignOnRefused),
        (302, {}, SignOnRefused),
        (500, {}, SignOnRefused),
    ],
    ids=["refused", "no ID token", "a number", "another type", "elsewhere", "broken"],
)
def test_what_the_token_endpoint_may_say(status: int, answer: dict[str, object], kind: type[Exception]) -> None:
    provider = LyingProvider()
    provider.token_status, provider.token_answer = status, answer

    with pytest.raises(kind):
        asyncio.run(provider.connector().finish(provider.attempt(), {"code": "c"}))


def test_nothing_is_asked_of_the_token_endpoint_before_the_issuer_is_compared() -> None:
    provider = LyingProvider()

    with pytest.raises(SignOnRefused):
        asyncio.run(provider.connector().finish(provider.attempt(), {"code": "c", "iss": "https://evil.example.com"}))

    assert provider.sent == []
