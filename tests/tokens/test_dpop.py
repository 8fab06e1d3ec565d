"""DPoP proofs (RFC 9449 §4.3): which are taken, and each way in which one is not."""

import time
from collections.abc import Callable
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jws
from joserfc.jwk import OctKey

from accredit.canonical import base64url
from accredit.tokens.dpop import NONCE_SECONDS, WINDOW_SECONDS, Nonces, Proofs
from accredit.tokens.errors import NonceNeeded, ProofInvalid
from tests.proofs import ProofKey, new_proof_key
from tests.rooms import TestClock

URL = "https://as.example/gateway/crm/mcp"
KEY = new_proof_key()
OTHER = new_proof_key()
RSA = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
CLOCK = TestClock()
NOW = CLOCK.now

GOOD_KEYS = {
    "ES256": KEY,
    "ES384": ProofKey(ec.generate_private_key(ec.SECP384R1()), "ES384"),
    "PS256": ProofKey(RSA, "PS256"),
    "RS256": ProofKey(RSA, "RS256"),
    "EdDSA": ProofKey(ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
}


@pytest.mark.parametrize("name", GOOD_KEYS)
def test_a_proof_of_an_asymmetric_algorithm_gives_the_thumbprint_of_its_key(name: str) -> None:
    key = GOOD_KEYS[name]

    proved = Proofs(CLOCK).check(key.proof("POST", URL, NOW, token="abc"), "POST", URL, "abc")

    assert proved.jkt == key.thumbprint


def test_ed25519_goes_by_its_new_name_too() -> None:
    key = GOOD_KEYS["EdDSA"]
    header = base64url(msgspec.json.encode({"typ": "dpop+jwt", "alg": "Ed25519", "jwk": key.jwk}))
    claims = base64url(msgspec.json.encode({"jti": "a" * 20, "htm": "POST", "htu": URL, "iat": int(NOW)}))
    assert isinstance(key.private, ed25519.Ed25519PrivateKey)
    proof = f"{header}.{claims}.{base64url(key.private.sign(f'{header}.{claims}'.encode()))}"

    assert Proofs(CLOCK).check(proof, "POST", URL).jkt == key.thumbprint


@pytest.mark.parametrize(
    "htu",
    [
        URL,
        URL + "?page=2",
        URL + "#part",
        "HTTPS://AS.EXAMPLE/gateway/crm/mcp",
        "https://as.example:443/gateway/crm/mcp",
        "https://as.example/gateway/%63rm/mcp",
    ],
)
def test_one_address_in_another_spelling_is_the_same_address(htu: str) -> None:
    assert Proofs(CLOCK).check(KEY.proof("POST", htu, NOW), "POST", URL).jkt == KEY.thumbprint


def _symmetric() -> str:
    secret = OctKey.import_key(b"0" * 32)
    header = {"alg": "HS256", "typ": "dpop+jwt", "jwk": {"kty": "oct", "k": secret.as_dict()["k"]}}
    payload = {"jti": "a" * 20, "htm": "POST", "htu": URL, "iat": int(NOW)}
    return jws.serialize_compact(header, msgspec.json.encode(payload), secret, algorithms=["HS256"])


def _unsigned() -> str:
    header = base64url(msgspec.json.encode({"alg": "none", "typ": "dpop+jwt", "jwk": KEY.jwk}))
    payload = base64url(msgspec.json.encode({"jti": "a" * 20, "htm": "POST", "htu": URL, "iat": int(NOW)}))
    return f"{header}.{payload}."


def _private_jwk(key: ProofKey) -> dict[str, Any]:
    assert isinstance(key.private, ec.EllipticCurvePrivateKey)
    made: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(key.private, as_dict=True)
    return made


SHORT_RSA = ProofKey(rsa.generate_private_key(public_exponent=65_537, key_size=1_024), "PS256")

FORGERIES: dict[str, Callable[[], str]] = {
    "no JWT": lambda: "x",
    "empty": lambda: "",
    "not ASCII": lambda: KEY.proof("POST", URL, NOW) + "é",
    "padding": lambda: KEY.proof("POST", URL, NOW) + "=",
    "oversized": lambda: KEY.proof("POST", URL, NOW, pad="x" * 5_000),
    "two proofs": lambda: KEY.proof("POST", URL, NOW) + ", " + KEY.proof("POST", URL, NOW),
    "another type": lambda: KEY.proof("POST", URL, NOW, header={"typ": "JWT"}),
    "no type": lambda: KEY.proof("POST", URL, NOW, header={"typ": None}),
    "an access token's type": lambda: KEY.proof("POST", URL, NOW, header={"typ": "at+jwt"}),
    "no key": lambda: KEY.proof("POST", URL, NOW, header={"jwk": None}),
    "a key of another pair": lambda: KEY.proof("POST", URL, NOW, header={"jwk": OTHER.jwk}),
    "a private key": lambda: KEY.proof("POST", URL, NOW, header={"jwk": _private_jwk(KEY)}),
    "a key at an address": lambda: KEY.proof("POST", URL, NOW, header={"jku": "https://evil.example"}),
    "a critical member": lambda: KEY.proof("POST", URL, NOW, header={"crit": ["exp"], "exp": 1}),
    "symmetric": _symmetric,
    "unsigned": _unsigned,
    "a short RSA key": lambda: SHORT_RSA.proof("POST", URL, NOW),
    "a key of another curve": lambda: KEY.proof("POST", URL, NOW, header={"jwk": GOOD_KEYS["ES384"].jwk}),
    "signature changed": lambda: KEY.proof("POST", URL, NOW)[:-6] + "AAAAAA",
    "another method": lambda: KEY.proof("GET", URL, NOW),
    "the method in small letters": lambda: KEY.proof("post", URL, NOW),
    "another path": lambda: KEY.proof("POST", URL + "/x", NOW),
    "another host": lambda: KEY.proof("POST", "https://evil.example/gateway/crm/mcp", NOW),
    "another scheme": lambda: KEY.proof("POST", URL.replace("https", "http"), NOW),
    "another port": lambda: KEY.proof("POST", "https://as.example:8443/gateway/crm/mcp", NOW),
    "a user in the address": lambda: KEY.proof("POST", "https://as.example@evil.example/gateway/crm/mcp", NOW),
    "an encoded slash": lambda: KEY.proof("POST", "https://as.example/gateway%2Fcrm/mcp", NOW),
    "no address": lambda: KEY.proof("POST", "crm", NOW),
    "an address that is none": lambda: KEY.proof("POST", "https://[", NOW),
    "too old": lambda: KEY.proof("POST", URL, NOW - WINDOW_SECONDS - 1),
    "from the future": lambda: KEY.proof("POST", URL, NOW + 60),
    "made never": lambda: KEY.proof("POST", URL, NOW, iat=None),
    "a time as text": lambda: KEY.proof("POST", URL, NOW, iat=str(NOW)),
    "no jti": lambda: KEY.proof("POST", URL, NOW, jti=None),
    "an empty jti": lambda: KEY.proof("POST", URL, NOW, jti=""),
    "a long jti": lambda: KEY.proof("POST", URL, NOW, jti="x" * 257),
    "for no token": lambda: KEY.proof("POST", URL, NOW),
    "for another token": lambda: KEY.proof("POST", URL, NOW, token="another"),
}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("name", FORGERIES)
def test_a_proof_that_does_not_hold_is_refused(name: str) -> None:
    with pytest.raises(ProofInvalid) as caught:
        Proofs(CLOCK).check(FORGERIES[name](), "POST", URL, "abc")

    assert caught.value.code == "invalid_dpop_proof"


def test_the_forgeries_differ_from_a_good_proof_by_what_their_names_say() -> None:
    assert Proofs(CLOCK).check(KEY.proof("POST", URL, NOW, token="abc"), "POST", URL, "abc").jkt == KEY.thumbprint


def test_a_header_that_was_seen_does_not_vouch_for_the_next_signature() -> None:
    proofs = Proofs(CLOCK)
    good = KEY.proof("POST", URL, NOW)
    proofs.check(good, "POST", URL)
    header, _, _ = good.split(".")
    claims = base64url(msgspec.json.encode({"jti": "b" * 20, "htm": "POST", "htu": URL, "iat": int(NOW)}))

    with pytest.raises(ProofInvalid):
        proofs.check(f"{header}.{claims}.{good.rpartition('.')[2]}", "POST", URL)


def test_the_same_jti_of_one_key_is_the_same_thing_used_and_of_another_key_is_not() -> None:
    proofs = Proofs(CLOCK)
    mine = [proofs.check(KEY.proof("POST", URL, NOW, jti="one"), "POST", URL).once for _ in range(2)]
    theirs = proofs.check(OTHER.proof("POST", URL, NOW, jti="one"), "POST", URL).once

    assert mine[0].key == mine[1].key != theirs.key


def test_what_was_used_is_remembered_for_longer_than_the_proof_is_taken() -> None:
    clock = TestClock()
    proof = KEY.proof("POST", URL, clock.now + 10)
    once = Proofs(clock).check(proof, "POST", URL).once

    clock.move(WINDOW_SECONDS + 10)
    Proofs(clock).check(proof, "POST", URL)
    assert once.expires_at > clock.now
    clock.move(1)
    with pytest.raises(ProofInvalid):
        Proofs(clock).check(proof, "POST", URL)


def test_a_nonce_is_taken_for_a_while_by_every_process_and_no_other_text_is() -> None:
    clock = TestClock()
    nonce = Nonces(b"k" * 32, clock).new()
    elsewhere = Nonces(b"k" * 32, clock)

    assert elsewhere.is_fresh(nonce)
    clock.move(NONCE_SECONDS)
    assert elsewhere.is_fresh(nonce)
    clock.move(NONCE_SECONDS)
    assert not elsewhere.is_fresh(nonce)
    assert not elsewhere.is_fresh("")
    assert not elsewhere.is_fresh("é\ud800")
    assert not Nonces(b"o" * 32, TestClock()).is_fresh(nonce)


def test_where_nonces_are_asked_for_a_proof_without_a_fresh_one_is_told_the_next() -> None:
    nonces = Nonces(b"k" * 32, CLOCK)
    proofs = Proofs(CLOCK, nonces)

    for nonce in (None, "", "another"):
        with pytest.raises(NonceNeeded) as caught:
            proofs.check(KEY.proof("POST", URL, NOW, nonce=nonce), "POST", URL)
        assert caught.value.nonce == nonces.new()
    assert proofs.check(KEY.proof("POST", URL, NOW, nonce=nonces.new()), "POST", URL).jkt == KEY.thumbprint


def test_many_hostile_headers_take_linear_work() -> None:
    proofs = Proofs(CLOCK)
    began = time.perf_counter()

    for n in range(200):
        with pytest.raises(ProofInvalid):
            proofs.check(base64url(b"[" * (n * 10)) + ".e30.", "POST", URL)

    assert time.perf_counter() - began < 2
