"""ID tokens (OpenID Connect Core §2): what a client is told, and what does not pass for one."""

import base64
import dataclasses
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from accredit.ids import KeyId, SessionId
from accredit.keys.algorithms import generate_private_key
from accredit.keys.signers.sealed import SealedSigner
from accredit.sensitive import Sensitive
from accredit.tokens.errors import InvalidToken
from accredit.tokens.identity import LIFETIME_SECONDS
from tests.oauth.asking import Asking, a_client, with_asking
from tests.oauth.authorizing import READ
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER
from tests.rooms import SIGNER

HASHES = {"ES256": "sha256", "RS256": "sha256", "EdDSA": "sha512"}


def left_half(text: str, name: str) -> str:
    """OpenID Connect Core §3.1.3.6, by hand."""
    digest = hashlib.new(name, text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


async def tokens_of(one: Asking, **form: str) -> dict[str, Any]:
    asked = await one.device(scope=f"openid {READ}", **form)
    await one.allow_device(asked)
    answer = await one.poll_device(asked["device_code"])
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def part(data: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(data)).rstrip(b"=").decode()


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", HASHES)
def test_each_algorithm_signs_and_hashes_as_the_standard_says(tmp_path: Path, algorithm: str) -> None:
    async def act(one: Asking) -> None:
        client = await one.other("client", id_token_signed_response_alg=algorithm)
        given = await tokens_of(client)
        jwks = (await one.endpoint.client.get("/.well-known/jwks.json")).json()

        read = jwt.decode(given["id_token"], KeySet.import_key_set(jwks), algorithms=[algorithm])

        claims = read.claims
        now = int(one.endpoint.rooms.clock.now)
        assert read.header.keys() == {"alg", "typ", "kid"}
        assert (read.header["alg"], read.header["typ"]) == (algorithm, "JWT")
        assert claims["at_hash"] == left_half(given["access_token"], HASHES[algorithm])
        assert (claims["iss"], claims["aud"], claims["sub"]) == (ISSUER, client.client.client_id, one.person.id)
        assert (claims["iat"], claims["exp"]) == (now, now + LIFETIME_SECONDS)
        assert claims["auth_time"] == int(one.session.auth_time)
        assert (claims["sid"], claims["amr"]) == (one.session.id, ["hwk", "user"])
        assert "nonce" not in claims
        assert None not in claims.values()

    with_asking(tmp_path, act)


def test_an_id_token_lives_no_longer_than_its_agents_sessions(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        short = dataclasses.replace(one.client, max_session_seconds=60)
        token = await one.endpoint.oauth.id_tokens.issue(
            short,
            one.person,
            access_token=Sensitive("x"),
            nonce="",
            auth_time=0.0,
            acr="",
            amr=(),
            session=None,
        )

        claims = one.endpoint.oauth.id_tokens.read(token.reveal())
        assert claims.exp - claims.iat == 60

    with_asking(tmp_path, act)


def test_it_is_read_by_its_audience_until_its_time_is_over(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        id_tokens = one.endpoint.oauth.id_tokens
        id_token = (await tokens_of(one))["id_token"]

        assert id_tokens.read(id_token, audience=one.client.client_id).sub == one.person.id
        with pytest.raises(InvalidToken):
            id_tokens.read(id_token, audience="agt_other")
        one.move(LIFETIME_SECONDS + 5)
        with pytest.raises(InvalidToken):
            id_tokens.read(id_token, audience=one.client.client_id)
        assert id_tokens.read(id_token, expired=True).sub == one.person.id

    with_asking(tmp_path, act)


def test_a_refresh_brings_no_second_id_token(tmp_path: Path) -> None:
    """OpenID Connect Core §12.2: its nonce would be an old one."""

    async def act(one: Asking) -> None:
        given = await tokens_of(one)

        again = await one.send("/oauth/token", {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]})

        assert again.status_code == 200
        assert "id_token" not in again.json()

    with_asking(tmp_path, act)


def test_neither_kind_of_token_passes_for_the_other(tmp_path: Path) -> None:
    """RFC 8725 §3.11."""

    async def act(one: Asking) -> None:
        given = await tokens_of(one)
        logout_token = await one.endpoint.oauth.id_tokens.logout_token(
            one.client, one.person.id, SessionId(one.session.id)
        )

        for text in (given["access_token"], logout_token.reveal(), given["refresh_token"]):
            with pytest.raises(InvalidToken):
                one.endpoint.oauth.id_tokens.read(text, expired=True)
        for audience in (CRM_RESOURCE, ISSUER, one.client.client_id):
            for text in (given["id_token"], logout_token.reveal()):
                with pytest.raises(InvalidToken):
                    await one.endpoint.verifier.verify(text, audience)

    with_asking(tmp_path, act)


def claims_of(one: Asking, **more: Any) -> dict[str, Any]:
    now = int(one.endpoint.rooms.clock.now)
    given = {
        "iss": ISSUER,
        "sub": one.person.id,
        "aud": one.client.client_id,
        "iat": now,
        "exp": now + 60,
        "auth_time": now,
        **more,
    }
    return {name: value for name, value in given.items() if value is not None}


def test_the_forgers_own_claims_are_taken_when_our_key_signs_them(tmp_path: Path) -> None:
    """So that each refusal below is for what it is named after."""

    async def act(one: Asking) -> None:
        text = await signed(one, {"alg": "ES256", "typ": "JWT", "kid": SIGNER.key_id}, claims_of(one))

        assert one.endpoint.oauth.id_tokens.read(text).sub == one.person.id

    with_asking(tmp_path, act)


async def signed(one: Asking, header: dict[str, Any], claims: object) -> str:
    """Signed by our own ES256 key, whatever the header says."""
    signing_input = f"{part(header)}.{part(claims)}"
    signature = await one.endpoint.rooms.keyring.signer("ES256").sign(signing_input.encode())
    return f"{signing_input}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"alg": "none"}, id="none"),
        pytest.param({"alg": "HS256"}, id="HS256"),
        pytest.param({"alg": "RS256"}, id="another algorithm than the key's"),
        pytest.param({"alg": "ES384"}, id="an unknown algorithm"),
        pytest.param({"typ": "at+jwt"}, id="an access token's type"),
        pytest.param({"typ": "logout+jwt"}, id="a logout token's type"),
        pytest.param({"typ": None}, id="no type"),
        pytest.param({"kid": None}, id="no kid"),
        pytest.param({"kid": "key_RS256"}, id="the kid of another key"),
        pytest.param({"kid": "../../dev/null"}, id="a path as kid"),
        pytest.param({"kid": ["key_ES256"]}, id="a list as kid"),
        pytest.param({"crit": ["exp"]}, id="crit"),
        pytest.param({"b64": False}, id="b64"),
        pytest.param({"jku": "https://evil.example/jwks"}, id="jku"),
        pytest.param({"jwk": {"kty": "EC"}}, id="jwk"),
        pytest.param({"x5u": "https://evil.example/cert"}, id="x5u"),
    ],
)
def test_a_header_that_says_anything_else_is_not_read(tmp_path: Path, header: dict[str, Any]) -> None:
    async def act(one: Asking) -> None:
        made = {"alg": "ES256", "typ": "JWT", "kid": SIGNER.key_id, **header}
        text = await signed(one, {name: value for name, value in made.items() if value is not None}, claims_of(one))

        with pytest.raises(InvalidToken):
            one.endpoint.oauth.id_tokens.read(text, expired=True)

    with_asking(tmp_path, act)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"iss": "https://evil.example"}, id="another issuer"),
        pytest.param({"aud": "agt_other"}, id="another audience"),
        pytest.param({"aud": None}, id="no audience"),
        pytest.param({"aud": ["x"]}, id="a list of audiences"),
        pytest.param({"sub": None}, id="nobody"),
        pytest.param({"exp": None}, id="no end"),
        pytest.param({"exp": 1_700_000_000}, id="an end in the past"),
        pytest.param({"iat": 1_900_000_000, "exp": 1_900_000_060}, id="a beginning in the future"),
        pytest.param({"exp": "2027"}, id="an end that is no number"),
    ],
)
def test_claims_that_do_not_hold_are_refused(tmp_path: Path, claims: dict[str, Any]) -> None:
    async def act(one: Asking) -> None:
        header = {"alg": "ES256", "typ": "JWT", "kid": SIGNER.key_id}
        text = await signed(one, header, claims_of(one, **claims))

        with pytest.raises(InvalidToken):
            one.endpoint.oauth.id_tokens.read(text, audience=one.client.client_id)

    with_asking(tmp_path, act)


def test_a_public_key_is_no_secret_and_another_key_is_not_ours(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        header = {"alg": "HS256", "typ": "JWT", "kid": SIGNER.key_id}
        signing_input = f"{part(header)}.{part(claims_of(one))}"
        public = json.dumps(SIGNER.public_jwk).encode()
        mac = base64.urlsafe_b64encode(hmac.digest(public, signing_input.encode(), "sha256")).rstrip(b"=").decode()
        stranger = SealedSigner(KeyId("key_ES256"), generate_private_key("ES256"))
        forged_input = f"{part({'alg': 'ES256', 'typ': 'JWT', 'kid': 'key_ES256'})}.{part(claims_of(one))}"
        forged = await stranger.sign(forged_input.encode())
        texts = [
            f"{signing_input}.{mac}",
            f"{forged_input}.{base64.urlsafe_b64encode(forged).rstrip(b'=').decode()}",
            f"{part({'alg': 'none', 'typ': 'JWT', 'kid': 'key_ES256'})}.{part(claims_of(one))}.",
        ]

        for text in texts:
            with pytest.raises(InvalidToken):
                one.endpoint.oauth.id_tokens.read(text, expired=True)

    with_asking(tmp_path, act)


def test_what_was_changed_cut_or_blown_up_is_not_read(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        id_token = (await tokens_of(one))["id_token"]
        head, payload, signature = id_token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        other = part({**claims, "sub": "per_other"})
        texts = [
            "",
            ".",
            "..",
            "a.b.c",
            f"{head}.{payload}",
            f"{head}.{payload}.",
            f"{head}.{other}.{signature}",
            f"{head}.{payload}.{signature}.{signature}",
            f"{head}.{payload}.{signature[:-4]}",
            f" {id_token}",
            f"{id_token}\n",
            id_token.replace(".", "\u2024"),
            f"{head}.{'A' * 9_000}.{signature}",
            f"{part({'alg': 'ES256', 'typ': 'JWT', 'kid': 'k'})}.{part('x')}.{signature}",
        ]

        for text in texts:
            with pytest.raises(InvalidToken):
                one.endpoint.oauth.id_tokens.read(text, expired=True)

    with_asking(tmp_path, act)


def test_a_client_of_one_name_has_its_own_algorithm_only(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        client, _ = await a_client(one.endpoint, "rsa", id_token_signed_response_alg="RS256")
        token = await one.endpoint.oauth.id_tokens.logout_token(client, one.person.id, SessionId(one.session.id))

        header = json.loads(base64.urlsafe_b64decode(token.reveal().split(".")[0] + "=="))

        assert header == {"alg": "RS256", "typ": "logout+jwt", "kid": "key_RS256"}

    with_asking(tmp_path, act)
