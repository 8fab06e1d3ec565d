"""Access tokens (RFC 9068): what is verified, and what every forgery meets."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, OctKey

from accredit.ids import KeyId
from accredit.keys.signers.sealed import SealedSigner
from accredit.tokens.errors import InvalidToken, NoToken
from accredit.web.bearer import Bearer, bearer_token, challenge
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER, Endpoint, with_endpoint
from tests.rooms import ADMINISTRATOR, SIGNER

OTHER = SealedSigner(KeyId("key_ES256"), generate_private_key(SECP256R1()))


async def a_token(endpoint: Endpoint) -> str:
    token: str = (await endpoint.token()).json()["access_token"]
    return token


def test_a_token_of_ours_becomes_a_caller(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await a_token(endpoint)

        for _ in range(2):
            caller = await endpoint.verifier.verify(token, CRM_RESOURCE)

            assert caller.agent.id == endpoint.agent.id
            assert caller.scopes == {"crm:contacts.read"}
            assert caller.epoch == 1

    with_endpoint(tmp_path, act)


def test_a_token_is_refused_at_another_audience_even_when_seen_before(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await a_token(endpoint)
        await endpoint.verifier.verify(token, CRM_RESOURCE)

        with pytest.raises(InvalidToken, match="another audience"):
            await endpoint.verifier.verify(token, f"{ISSUER}/gateway/erp/mcp")

    with_endpoint(tmp_path, act)


def test_a_token_ends_with_its_time_even_when_seen_before(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await a_token(endpoint)
        await endpoint.verifier.verify(token, CRM_RESOURCE)
        endpoint.rooms.clock.move(306)
        await endpoint.rooms.feed.poll()

        with pytest.raises(InvalidToken, match="expired"):
            await endpoint.verifier.verify(token, CRM_RESOURCE)

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize("act_of_the_owner", ["suspend", "retire"])
def test_a_token_ends_with_its_epoch_for_good(tmp_path: Path, act_of_the_owner: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await a_token(endpoint)
        await endpoint.verifier.verify(token, CRM_RESOURCE)
        await getattr(endpoint.rooms.agents, act_of_the_owner)("reader", ADMINISTRATOR)

        with pytest.raises(InvalidToken, match="ended"):
            await endpoint.verifier.verify(token, CRM_RESOURCE)
        if act_of_the_owner == "suspend":
            await endpoint.rooms.agents.resume("reader", ADMINISTRATOR)
            with pytest.raises(InvalidToken, match="ended"):
                await endpoint.verifier.verify(token, CRM_RESOURCE)

    with_endpoint(tmp_path, act)


def test_a_process_that_hears_nothing_reads_the_database_instead_of_its_memory(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await a_token(endpoint)
        await endpoint.verifier.verify(token, CRM_RESOURCE)
        agents = endpoint.rooms.agents
        known = agents.peek(endpoint.agent.id)
        await agents.suspend("reader", ADMINISTRATOR)
        assert known is not None
        agents._cache[endpoint.agent.id] = known
        endpoint.rooms.clock.move(1.5)

        with pytest.raises(InvalidToken, match="ended"):
            await endpoint.verifier.verify(token, CRM_RESOURCE)

    with_endpoint(tmp_path, act)


def _forge(endpoint: Endpoint, header: dict[str, Any], key: Any, alg: str = "ES256", **claims: Any) -> str:
    now = int(endpoint.rooms.clock.seconds())
    payload = {
        "iss": ISSUER,
        "sub": endpoint.agent.id,
        "client_id": endpoint.agent.id,
        "aud": CRM_RESOURCE,
        "iat": now,
        "exp": now + 300,
        "jti": "tok_x",
        "scope": "crm:contacts.read crm:contacts.write",
        "accredit_epoch": 1,
        **claims,
    }
    return jws.serialize_compact({"alg": alg, **header}, msgspec.json.encode(payload), key, algorithms=[alg])


GOOD = {"typ": "at+jwt", "kid": "key_ES256"}


def _ec(signer: SealedSigner) -> ECKey:
    key = signer._private_key
    assert isinstance(key, EllipticCurvePrivateKey)
    return ECKey.import_key(key)


OURS = _ec(SIGNER)
THEIRS = _ec(OTHER)

FORGERIES = {
    "another key": lambda e: _forge(e, GOOD, THEIRS),
    "an ID token's type": lambda e: _forge(e, {**GOOD, "typ": "JWT"}, OURS),
    "no type": lambda e: _forge(e, {"kid": "key_ES256"}, OURS),
    "no kid": lambda e: _forge(e, {"typ": "at+jwt"}, OURS),
    "unknown kid": lambda e: _forge(e, {**GOOD, "kid": "key_other"}, OURS),
    "key in the header": lambda e: _forge(e, {**GOOD, "jwk": THEIRS.as_dict(private=False)}, THEIRS),
    "key address": lambda e: _forge(e, {**GOOD, "jku": "http://127.0.0.1:1/"}, THEIRS),
    "another issuer": lambda e: _forge(e, GOOD, OURS, iss="https://evil.example"),
    "from the future": lambda e: _forge(e, GOOD, OURS, iat=int(e.rooms.clock.seconds()) + 3600),
    "audience list": lambda e: _forge(e, GOOD, OURS, aud=[CRM_RESOURCE]),
    "old epoch": lambda e: _forge(e, GOOD, OURS, accredit_epoch=0),
    "epoch as text": lambda e: _forge(e, GOOD, OURS, accredit_epoch="1"),
    "unknown agent": lambda e: _forge(e, GOOD, OURS, sub="agt_01JD0000000000000000000000"),
    "alg confusion": lambda e: _forge(e, GOOD, OctKey.import_key(msgspec.json.encode(SIGNER.public_jwk)), alg="HS256"),
    "oversized": lambda e: _forge(e, GOOD, OURS, pad="x" * 9000),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_token_is_refused(tmp_path: Path, forgery: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        with pytest.raises(InvalidToken):
            await endpoint.verifier.verify(FORGERIES[forgery](endpoint), CRM_RESOURCE)

    with_endpoint(tmp_path, act)


def test_the_key_of_the_forgeries_would_pass_with_right_claims(tmp_path: Path) -> None:
    """The table above refuses for the reason that each row names, and not for another."""

    async def act(endpoint: Endpoint) -> None:
        caller = await endpoint.verifier.verify(_forge(endpoint, GOOD, OURS), CRM_RESOURCE)

        assert caller.agent.id == endpoint.agent.id

    with_endpoint(tmp_path, act)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_other_text_than_a_token_of_ours_is_accepted(data: st.DataObject, tmp_path_factory: Any) -> None:
    async def act(endpoint: Endpoint) -> None:
        token = await a_token(endpoint)
        at = data.draw(st.integers(0, len(token) - 1))
        changed = token[:at] + data.draw(st.characters(codec="ascii")) + token[at + 1 :]
        for text in (changed, data.draw(st.text()), token[:at], token + "=", token.upper()):
            if text == token:
                continue
            with pytest.raises(InvalidToken):
                await endpoint.verifier.verify(text, CRM_RESOURCE)

    with_endpoint(tmp_path_factory.mktemp("token"), act)


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ([], NoToken),
        ([(b"authorization", b"Basic eDp5")], NoToken),
        ([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")], InvalidToken),
        ([(b"authorization", b"Bearer ")], InvalidToken),
        ([(b"authorization", b"Bearer \xff\xfe")], InvalidToken),
    ],
)
def test_a_request_without_one_bearer_token_is_challenged(
    tmp_path: Path, headers: list[tuple[bytes, bytes]], kind: type[InvalidToken]
) -> None:
    async def act(endpoint: Endpoint) -> None:
        with pytest.raises(kind) as caught:
            scope = {"headers": headers, "method": "POST", "path": "/gateway/crm/mcp"}
            await Bearer(endpoint.verifier, ISSUER).authenticate(scope, CRM_RESOURCE)

        text = challenge(caught.value, "http://x/meta")
        assert text.endswith('resource_metadata="http://x/meta"')
        assert ("error=" in text) == (caught.type is not NoToken)

    with_endpoint(tmp_path, act)


def test_the_scheme_is_read_in_any_case() -> None:
    assert bearer_token([(b"authorization", b"bearer abc")]) == "abc"
