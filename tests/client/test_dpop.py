"""Proof of possession (RFC 9449): a fresh proof for each request, nonces, and no way back to bearer tokens."""

import base64
import hashlib
import time

import httpx2
import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from accredit.client import ClientSecret, Denied, DpopKey, Misconfigured, OAuth
from tests.client.servers import Reply, Seen, World


def proof_of(seen: Seen) -> tuple[dict[str, object], dict[str, object]]:
    """Header and claims of a request's proof, its signature checked with the key inside."""
    assert seen.headers.get_all("dpop") is not None and len(seen.headers.get_all("dpop") or []) == 1
    text = seen.headers["dpop"]
    header = msgspec.json.decode(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
    checked = jws.deserialize_compact(text, ECKey.import_key(header["jwk"]), algorithms=["ES256"])
    return header, msgspec.json.decode(checked.payload)


@pytest.fixture
def bound(here: World) -> World:
    here.token_type = "DPoP"
    return here


def test_each_request_has_a_fresh_proof_of_its_own(bound: World, secret: ClientSecret, http: httpx2.Client) -> None:
    key = DpopKey.generate()
    auth = OAuth(bound.url, secret, dpop=key)

    http.get(bound.url, params={"q": "1"}, auth=auth)
    http.post(bound.url, auth=auth)

    (asked,) = bound.issuer.at("/token")
    get, post = bound.resource.at("/mcp")
    assert get.authorization == "DPoP token-1"
    header, claims = proof_of(get)
    assert (header["typ"], header["alg"]) == ("dpop+jwt", "ES256")
    assert set(header["jwk"]) == {"kty", "crv", "x", "y"}  # type: ignore[call-overload]
    digest = hashlib.sha256(b"token-1").digest()
    assert (claims["htm"], claims["htu"]) == ("GET", bound.url)
    assert claims["ath"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert proof_of(post)[1]["htm"] == "POST"
    assert abs(int(str(claims["iat"])) - time.time()) < 30
    assert proof_of(asked)[1]["htu"] == f"{bound.issuer.url}/token"
    assert "ath" not in proof_of(asked)[1]
    assert len({proof_of(seen)[1]["jti"] for seen in (asked, get, post)}) == 3


def test_the_nonces_of_both_servers_are_used(bound: World, secret: ClientSecret, http: httpx2.Client) -> None:
    give = bound.give_token

    def token(seen: Seen) -> Reply:
        if proof_of(seen)[1].get("nonce") != "as-nonce":
            return Reply(400, {"error": "use_dpop_nonce"}, {"dpop-nonce": "as-nonce"})
        return give(seen)

    def serve(seen: Seen) -> Reply:
        if proof_of(seen)[1].get("nonce") != "rs-nonce":
            challenge = {"www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": "rs-nonce"}
            return Reply(401, {}, challenge)
        return Reply(body={})

    bound.issuer.routes["/token"], bound.resource.routes["/mcp"] = token, serve
    auth = OAuth(bound.url, secret, dpop=DpopKey.generate())

    assert http.get(bound.url, auth=auth).status_code == 200
    assert http.get(bound.url, auth=auth).status_code == 200
    assert len(bound.tokens_asked) == 2
    assert len(bound.resource.at("/mcp")) == 3


def test_a_server_that_is_never_content_with_a_nonce_is_given_up(
    bound: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    def serve(seen: Seen) -> Reply:
        count = len(bound.resource.at("/mcp"))
        challenge = {"www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": f"nonce-{count}"}
        return Reply(401, {}, challenge)

    bound.resource.routes["/mcp"] = serve

    with pytest.raises(Denied):
        http.get(bound.url, auth=OAuth(bound.url, secret, dpop=DpopKey.generate()))

    assert len(bound.resource.at("/mcp")) <= 4


def test_a_token_that_is_not_bound_is_refused(here: World, secret: ClientSecret) -> None:
    with pytest.raises(Denied):
        OAuth(here.url, secret, dpop=DpopKey.generate()).get_token()


def test_a_resource_that_demands_bound_tokens_gets_them(
    bound: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    bound.protected["dpop_bound_access_tokens_required"] = True

    http.get(bound.url, auth=OAuth(bound.url, secret))

    (seen,) = bound.resource.at("/mcp")
    assert seen.authorization == "DPoP token-1"


def test_a_server_that_takes_no_es256_is_named_before_anything_is_sent(here: World, secret: ClientSecret) -> None:
    here.metadata["dpop_signing_alg_values_supported"] = ["EdDSA"]

    with pytest.raises(Misconfigured):
        OAuth(here.url, secret, dpop=DpopKey.generate()).get_token()

    assert here.tokens_asked == []


def test_a_key_can_be_kept_and_is_not_shown() -> None:
    key = DpopKey.generate()

    again = DpopKey.load(key.export())

    assert again.thumbprint == key.thumbprint
    assert msgspec.json.decode(key.export())["d"] not in repr(key)


def test_a_public_key_is_not_loaded() -> None:
    public = {name: value for name, value in msgspec.json.decode(DpopKey.generate().export()).items() if name != "d"}

    with pytest.raises(ValueError, match="private"):
        DpopKey.load(msgspec.json.encode(public).decode())
