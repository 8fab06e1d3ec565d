"""Ending tokens over the management API."""

import httpx2
import pytest

from tests.api.server import ManagementServer

REVOKE = "/api/v1/tokens/revoke"


def _token(server: ManagementServer, client: httpx2.Client, name: str) -> str:
    agent = client.post("/api/v1/agents", json={"name": name, "owner": "ana@example.com"}).json()["id"]
    added = client.post(f"/api/v1/agents/{agent}/credentials", json={"kind": "client_secret"}).json()
    form = {"grant_type": "client_credentials", "client_id": agent, "client_secret": added["client_secret"]}
    answer = httpx2.post(f"{server.url}/oauth/token", data=form, trust_env=False)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


@pytest.mark.parametrize("by", ["id", "token"])
def test_an_administrator_ends_a_token_and_it_is_on_record(
    server: ManagementServer, client: httpx2.Client, by: str
) -> None:
    token = _token(server, client, f"ended by {by}")
    claims = server.oauth.verifier.read(token)
    body = {"token_id": claims.jti} if by == "id" else {"token": token}

    answer = client.post(REVOKE, json=body)

    assert answer.status_code == 200
    assert answer.json() == {"token_id": claims.jti}
    assert server.oauth.revocations.is_known_ended((claims.jti,))
    events = client.get("/api/v1/audit/events?limit=1000").json()["events"]
    (newest,) = [one for one in events if one["type"] == "token.revoked" and one["token_id"] == claims.jti]
    assert newest["outcome"] == "ok"
    assert newest["person"] is not None
    assert token not in str(newest)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"token_id": "tok_01JD0000000000000000000000", "token": "x"}, 400),
        ({"token_id": "agt_01JD0000000000000000000000"}, 400),
        ({"token_id": "tok_01JD0000000000000000000000 1"}, 400),
        ({"token_id": 7}, 400),
        ({"token": "x"}, 404),
        ({"token": "art_x"}, 404),
    ],
    ids=["nothing", "both", "an agent", "a longer id", "a number", "no token", "no refresh token"],
)
def test_what_is_no_token_is_told(client: httpx2.Client, body: dict[str, object], status: int) -> None:
    assert client.post(REVOKE, json=body).status_code == status


def test_nobody_else_ends_a_token(server: ManagementServer) -> None:
    body = {"token_id": "tok_01JD0000000000000000000000"}

    assert httpx2.post(server.url + REVOKE, json=body, trust_env=False).status_code == 401
