"""Authlib's client, unchanged: code with PKCE, refresh, client credentials, exchange, introspection, revocation."""

from typing import Any

import pytest
from authlib.integrations.base_client.errors import OAuthError  # type: ignore[import-untyped,unused-ignore]
from authlib.oauth2.rfc7523 import PrivateKeyJWT  # type: ignore[import-untyped,unused-ignore]
from joserfc.jwk import ECKey

from tests.conformance.authlib_client import AsClient, authlib, with_code
from tests.conformance.peers import a_client, a_secret, claims_of, metadata, resource
from tests.conformance.person import Person
from tests.server.running import Running, call

__all__ = ["authlib"]

CALLBACK = "https://client.example/callback"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
READ = "crm:contacts.read"
BOTH = f"{READ} crm:deals.read"


def test_code_with_pkce_then_refresh_with_rotation_and_an_end_to_the_family(
    server: Running, person: Person, authlib: AsClient
) -> None:
    client_id = a_client(server, "by-code", redirect_uris=[CALLBACK])
    client = authlib(server, client_id, a_secret(server, client_id), redirect_uri=CALLBACK, scope=BOTH)

    first = with_code(client, server, person, resource=resource(server))
    second = client.refresh_token(metadata(server)["token_endpoint"], refresh_token=first["refresh_token"])

    assert first["token_type"] == "Bearer" and set(first["scope"].split()) == set(BOTH.split())
    assert second["refresh_token"] != first["refresh_token"]
    assert claims_of(second["access_token"])["act"] == {"sub": client_id}
    assert call(server, second["access_token"], "get_contact", id=1).status_code == 200
    # The first refresh token is used again: whoever did that ends it for both.
    for used in (first, second):
        with pytest.raises(OAuthError) as refused:
            client.refresh_token(metadata(server)["token_endpoint"], refresh_token=used["refresh_token"])
        assert refused.value.error == "invalid_grant"
    assert call(server, second["access_token"], "get_contact", id=1).status_code == 401


def test_a_public_client_uses_pkce_alone(server: Running, person: Person, authlib: AsClient) -> None:
    client_id = a_client(
        server, "public", redirect_uris=["http://127.0.0.1/callback"], token_endpoint_auth_method="none"
    )
    client = authlib(server, client_id, None, redirect_uri="http://127.0.0.1:49152/callback", scope=READ)

    tokens = with_code(client, server, person)

    assert tokens["scope"] == READ
    assert claims_of(tokens["access_token"])["aud"] == resource(server)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_client_credentials(server: Running, authlib: AsClient, method: str) -> None:
    client_id, secret = server.add_agent(method.replace("_", "-"), "ai-agent-readonly")
    client = authlib(server, client_id, secret, token_endpoint_auth_method=method, scope=READ)

    tokens = client.fetch_token(grant_type="client_credentials", resource=resource(server))

    assert tokens["scope"] == READ
    assert call(server, tokens["access_token"], "get_contact", id=1).status_code == 200


def test_a_key_proves_the_client_with_an_assertion_as_authlib_makes_it(server: Running, authlib: AsClient) -> None:
    key = ECKey.generate_key("P-256")
    jwks = {"keys": [key.as_dict(private=False)]}
    client_id = a_client(
        server,
        "by-key",
        redirect_uris=[CALLBACK],
        token_endpoint_auth_method="private_key_jwt",
        jwks=jwks,
        grant_types=["client_credentials"],
    )
    client = authlib(server, client_id, key, token_endpoint_auth_method="private_key_jwt", scope=READ)
    client.register_client_auth_method(PrivateKeyJWT(metadata(server)["token_endpoint"], alg="ES256"))

    tokens = client.fetch_token(grant_type="client_credentials", resource=resource(server))

    assert tokens["scope"] == READ
    assert call(server, tokens["access_token"], "get_contact", id=1).status_code == 200


def test_a_token_is_exchanged_down_a_chain_and_ends_with_the_one_that_it_came_of(
    server: Running, person: Person, authlib: AsClient
) -> None:
    second_id = server.api("POST", "/api/v1/agents", _agent("takes-over", may_act=()))["id"]
    first_id = server.api("POST", "/api/v1/agents", _agent("hands-over", may_act=("takes-over",)))["id"]
    server.api(
        "PUT",
        f"/api/v1/agents/{first_id}/client",
        {"redirect_uris": [CALLBACK], "grant_types": ["authorization_code", "refresh_token"]},
    )
    first = authlib(server, first_id, a_secret(server, first_id), redirect_uri=CALLBACK, scope=BOTH)
    second = authlib(server, second_id, a_secret(server, second_id))
    tokens = with_code(first, server, person, resource=resource(server))

    exchanged = _exchange(second, tokens["access_token"], scope=READ)

    assert exchanged["issued_token_type"] == ACCESS_TOKEN
    assert exchanged["scope"] == READ
    claims = claims_of(exchanged["access_token"])
    assert claims["sub"] == claims_of(tokens["access_token"])["sub"]
    assert claims["act"] == {"sub": second_id, "act": {"sub": first_id}}
    assert call(server, exchanged["access_token"], "get_contact", id=1).status_code == 200
    told = second.introspect_token(metadata(server)["introspection_endpoint"], token=exchanged["access_token"]).json()
    assert told["active"] and told["act"] == claims["act"]

    ended = first.revoke_token(metadata(server)["revocation_endpoint"], token=tokens["access_token"])

    assert ended.status_code == 200
    assert call(server, exchanged["access_token"], "get_contact", id=1).status_code == 401
    told = second.introspect_token(metadata(server)["introspection_endpoint"], token=exchanged["access_token"]).json()
    assert told == {"active": False}


@pytest.mark.parametrize("scope", ["crm:contacts.write", "agent:read"])
def test_an_exchange_never_widens(server: Running, authlib: AsClient, scope: str) -> None:
    name = "never-wider-" + scope.replace(":", "-").replace(".", "-")
    agent_id = server.api("POST", "/api/v1/agents", _agent(name, may_act=()))["id"]
    client = authlib(server, agent_id, a_secret(server, agent_id))
    tokens = client.fetch_token(grant_type="client_credentials", scope=READ, resource=resource(server))

    with pytest.raises(OAuthError) as refused:
        _exchange(client, tokens["access_token"], scope=scope)

    assert refused.value.error == "invalid_scope"


def _agent(name: str, *, may_act: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "owner": "ana@example.com",
        "roles": ["ai-agent-operator"],
        "systems": ["crm"],
        "may_act": may_act,
    }


def _exchange(client: Any, token: str, **more: str) -> dict[str, Any]:
    found: dict[str, Any] = client.fetch_token(
        grant_type=EXCHANGE, subject_token=token, subject_token_type=ACCESS_TOKEN, **more
    )
    return found
