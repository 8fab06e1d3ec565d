"""Registration tokens over the management API."""

import httpx2
import pytest

TOKENS = "/api/v1/registration-tokens"


def test_a_token_is_made_listed_and_revoked(client: httpx2.Client) -> None:
    answer = client.post(TOKENS, json={"owner": "Ana@example.com", "roles": ["ai-agent-readonly"], "uses": 3})

    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert (made["owner"], made["uses_left"], made["systems"]) == ("ana@example.com", 3, [])
    secret = made.pop("token")
    listed = client.get(TOKENS)
    assert made in listed.json()["registration_tokens"]
    assert secret not in listed.text

    assert client.delete(f"{TOKENS}/{made['id']}").status_code == 204
    assert made["id"] not in client.get(TOKENS).text
    assert client.delete(f"{TOKENS}/{made['id']}").status_code == 404


def test_a_client_registers_with_it_and_is_an_agent(client: httpx2.Client) -> None:
    token = client.post(TOKENS, json={"owner": "ana@example.com"}).json()["token"]
    metadata = {"redirect_uris": ["http://localhost/callback"], "client_name": "self made"}

    registered = client.post("/oauth/register", json=metadata, headers={"Authorization": f"Bearer {token}"})

    assert registered.status_code == 201
    agent = client.get("/api/v1/agents/self made").json()
    assert (agent["id"], agent["type"]) == (registered.json()["client_id"], "client")
    assert agent["client"]["redirect_uris"] == ["http://localhost/callback"]


def test_the_management_token_registers_nobody(client: httpx2.Client) -> None:
    assert client.post("/oauth/register", json={"redirect_uris": ["http://localhost/"]}).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"owner": "nobody"},
        {"owner": "a@b.c", "uses": 0},
        {"owner": "a@b.c", "days": 367},
        {"owner": "a@b.c", "n": 1},
    ],
    ids=["no owner", "no address", "no use", "too long", "unknown member"],
)
def test_a_token_that_makes_no_sense_is_refused(client: httpx2.Client, body: dict[str, object]) -> None:
    assert client.post(TOKENS, json=body).status_code == 400


def test_a_system_that_is_not_there_cannot_be_given(client: httpx2.Client) -> None:
    assert client.post(TOKENS, json={"owner": "a@b.c", "systems": ["nowhere"]}).status_code == 404
