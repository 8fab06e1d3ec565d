"""Keys, workload identities, token exchange, and enterprise-managed authorization, as they go over the wire."""

from pathlib import Path

import httpx2
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from accredit.client import (
    ClientSecret,
    CredentialRefused,
    Denied,
    IdentityAssertion,
    JwtBearer,
    Misconfigured,
    OAuth,
    PrivateKey,
    PublicClient,
    TokenExchange,
    Unavailable,
    WorkloadAssertion,
    from_file,
)
from tests.client.servers import Reply, Server, World

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ECKey.generate_key("P-256", private=True), "ES256"),
        (ECKey.generate_key("P-384", private=True), "ES384"),
        (OKPKey.generate_key("Ed25519", private=True), "Ed25519"),
        (RSAKey.generate_key(2048, private=True), "PS256"),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA"],
)
@pytest.mark.parametrize("form", ["jwk", "pem"])
def test_a_key_proves_the_client_to_one_issuer_for_a_minute(
    here: World, key: ECKey | OKPKey | RSAKey, algorithm: str, form: str
) -> None:
    text = msgspec.json.encode(key.as_dict(private=True)).decode() if form == "jwk" else key.as_pem(True).decode()

    OAuth(here.url, PrivateKey("agt_1", text, issuer=here.issuer.url)).get_token()

    (sent,) = here.tokens_asked
    assert sent["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    token = jwt.decode(sent["client_assertion"], key, algorithms=[algorithm])
    assert (token.claims["iss"], token.claims["sub"], token.claims["aud"]) == ("agt_1", "agt_1", here.issuer.url)
    assert token.claims["exp"] - token.claims["iat"] == 60


def test_the_algorithm_is_one_that_the_server_takes(here: World) -> None:
    here.metadata["token_endpoint_auth_signing_alg_values_supported"] = ["RS256"]
    key = RSAKey.generate_key(2048, private=True)
    other = ECKey.generate_key("P-256", private=True)

    OAuth(here.url, PrivateKey("agt_1", key.as_pem(True).decode(), issuer=here.issuer.url)).get_token()

    assert jwt.decode(here.tokens_asked[0]["client_assertion"], key, algorithms=["RS256"]).claims
    with pytest.raises(Misconfigured):
        OAuth(here.url, PrivateKey("agt_1", other.as_pem(True).decode(), issuer=here.issuer.url)).get_token()


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"kty":"oct","k":"aHVzaA"}'])
def test_what_is_no_private_key_is_said_at_once_and_not_shown(text: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        PrivateKey("agt_1", text)

    assert caught.value.__cause__ is None
    assert "aHVzaA" not in str(caught.value)


def test_a_public_key_is_refused() -> None:
    public = ECKey.generate_key("P-256", private=True).as_pem(False).decode()

    with pytest.raises(Misconfigured):
        PrivateKey("agt_1", public)


def test_a_workloads_token_is_read_anew_each_time(here: World, tmp_path: Path) -> None:
    here.expires_in = 0
    file = tmp_path / "token"
    auth = OAuth(
        here.url, PublicClient("agt_1", issuer=here.issuer.url), grant=JwtBearer(from_file(file)), scope="crm:read"
    )

    file.write_text("first\n")
    auth.get_token()
    file.write_text("second\n")
    auth.get_token()

    assert [form["assertion"] for form in here.tokens_asked] == ["first", "second"]
    assert here.tokens_asked[0] == {
        "grant_type": JWT_BEARER,
        "assertion": "first",
        "client_id": "agt_1",
        "resource": here.url,
        "scope": "crm:read",
    }


def test_a_workloads_token_that_is_not_there_says_so(here: World, tmp_path: Path) -> None:
    auth = OAuth(
        here.url, PublicClient("agt_1", issuer=here.issuer.url), grant=JwtBearer(from_file(tmp_path / "absent"))
    )

    with pytest.raises(Misconfigured):
        auth.get_token()


def test_a_refused_assertion_is_not_tried_again_nor_in_another_way(here: World, http: httpx2.Client) -> None:
    here.issuer.routes["/token"] = Reply(400, {"error": "invalid_grant"})

    with pytest.raises(CredentialRefused):
        http.get(here.url, auth=OAuth(here.url, PublicClient("agt_1"), grant=JwtBearer("jwt")))

    assert len(here.tokens_asked) == 1


def test_a_source_is_asked_for_the_audience_that_will_read_it(here: World) -> None:
    async def mint(audience: str) -> str:
        return f"for {audience}"

    import asyncio

    grant = JwtBearer(mint)
    asyncio.run(OAuth(here.url, PublicClient("agt_1", issuer=here.issuer.url), grant=grant).aget_token())

    assert here.tokens_asked[0]["assertion"] == f"for {here.issuer.url}"


def test_a_platform_can_vouch_for_the_client(here: World) -> None:
    OAuth(here.url, WorkloadAssertion("agt_1", "svid", issuer=here.issuer.url)).get_token()

    assert here.tokens_asked[0]["client_assertion"] == "svid"
    assert here.tokens_asked[0]["grant_type"] == "client_credentials"


def test_a_token_is_exchanged_with_its_actor(here: World, secret: ClientSecret) -> None:
    grant = TokenExchange("callers", actor_token="mine", audience="crm")

    OAuth(here.url, secret, grant=grant, scope="crm:read").get_token()

    assert here.tokens_asked == [
        {
            "grant_type": EXCHANGE,
            "subject_token": "callers",
            "subject_token_type": ACCESS_TOKEN,
            "actor_token": "mine",
            "actor_token_type": ACCESS_TOKEN,
            "audience": "crm",
            "scope": "crm:read",
            "resource": here.url,
        }
    ]


def test_tokens_in_grants_are_not_shown() -> None:
    shown = repr(
        (
            TokenExchange("hush", actor_token="hush"),
            JwtBearer("hush"),
            IdentityAssertion("hush", provider="https://login.example", provider_client=PublicClient("x")),
            WorkloadAssertion("agt_1", "hush"),
        )
    )

    assert "hush" not in shown


def provider(answer: dict[str, object]) -> Server:
    made = Server()
    made.routes["/.well-known/openid-configuration"] = Reply(
        body={"issuer": made.url, "token_endpoint": f"{made.url}/token"}
    )
    made.routes["/token"] = Reply(body=answer)
    return made


def test_the_companys_provider_decides_and_the_resources_server_gives_the_token(
    here: World, secret: ClientSecret
) -> None:
    company = provider({"access_token": "the-jag", "issued_token_type": ID_JAG, "token_type": "N_A"})
    try:
        grant = IdentityAssertion("id-token", provider=company.url, provider_client=PublicClient("notes-at-company"))

        OAuth(here.url, secret, grant=grant, scope="crm:read").get_token()

        assert [seen.form for seen in company.at("/token")] == [
            {
                "grant_type": EXCHANGE,
                "requested_token_type": ID_JAG,
                "subject_token": "id-token",
                "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
                "audience": here.issuer.url,
                "resource": here.url,
                "scope": "crm:read",
                "client_id": "notes-at-company",
            }
        ]
        (sent,) = here.tokens_asked
        assert (sent["grant_type"], sent["assertion"]) == (JWT_BEARER, "the-jag")
        assert "id-token" not in here.issuer.at("/token")[0].body.decode()
    finally:
        company.close()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"access_token": "x", "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"}, Denied),
        ({"issued_token_type": ID_JAG}, Unavailable),
    ],
    ids=["another-token", "none"],
)
def test_something_else_than_an_id_jag_goes_no_further(
    here: World, secret: ClientSecret, answer: dict[str, object], kind: type[Exception]
) -> None:
    company = provider(answer)
    try:
        grant = IdentityAssertion("id-token", provider=company.url, provider_client=PublicClient("notes"))

        with pytest.raises(kind):
            OAuth(here.url, secret, grant=grant).get_token()

        assert here.tokens_asked == []
    finally:
        company.close()
