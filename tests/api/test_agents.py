"""Agents over the management API."""

import httpx2
import msgspec
import pytest
from joserfc.jwk import ECKey

from accredit.agents.credentials import new_client_secret

AGENTS = "/api/v1/agents"


def create(client: httpx2.Client, name: str, **more: object) -> httpx2.Response:
    return client.post(AGENTS, json={"name": name, "owner": "ana@example.com", **more})


def test_an_agent_is_registered_with_its_id_as_client_id(client: httpx2.Client) -> None:
    answer = create(client, "scout", roles=["ai-agent-readonly"], capability_level=1)

    agent = answer.json()
    assert answer.status_code == 201
    assert agent["id"].startswith("agt_")
    assert agent["client_id"] == agent["id"]
    assert agent == {**agent, "name": "scout", "owner": "ana@example.com", "status": "active", "systems": []}
    assert answer.headers["cache-control"] == "no-store"


def test_an_agent_is_found_by_name_and_by_id(client: httpx2.Client) -> None:
    made = create(client, "Ärger mit Namen %2F").json()

    by_name = client.get(f"{AGENTS}/%C3%84rger%20mit%20Namen%20%252F").json()
    by_id = client.get(f"{AGENTS}/{made['id']}").json()

    assert by_name == by_id == made


def test_a_name_that_is_taken_is_a_conflict(client: httpx2.Client) -> None:
    create(client, "twin")

    answer = create(client, "twin")

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "conflict"
    assert answer.json()["next_step"]


def test_a_system_that_is_not_there_cannot_be_allowed(client: httpx2.Client) -> None:
    answer = create(client, "lost", systems=["nowhere"])

    assert answer.status_code == 404
    assert "nowhere" in answer.json()["detail"]


def test_agents_are_listed_page_by_page_in_the_order_of_their_names(client: httpx2.Client) -> None:
    for name in ("page-c", "page-a", "page-b"):
        create(client, name)

    first = client.get(AGENTS, params={"after": "page", "limit": 2}).json()
    second = client.get(AGENTS, params={"after": first["next"], "limit": 1}).json()

    assert [one["name"] for one in first["agents"]] == ["page-a", "page-b"]
    assert first["next"] == "page-b"
    assert [one["name"] for one in second["agents"]] == ["page-c"]


def test_the_last_page_names_no_next(client: httpx2.Client) -> None:
    create(client, "zz-last")

    page = client.get(AGENTS, params={"limit": 1_000}).json()

    assert "zz-last" in [one["name"] for one in page["agents"]]
    assert page["next"] is None


def test_an_agent_goes_from_active_to_suspended_to_active_to_retired(client: httpx2.Client) -> None:
    create(client, "mover")

    moves = [client.post(f"{AGENTS}/mover/{act}").json() for act in ("suspend", "resume", "retire")]

    assert [one["status"] for one in moves] == ["suspended", "active", "retired"]
    assert [one["epoch"] for one in moves] == [2, 2, 3]


def test_a_retired_agent_cannot_be_resumed(client: httpx2.Client) -> None:
    create(client, "gone")
    client.post(f"{AGENTS}/gone/retire")

    answer = client.post(f"{AGENTS}/gone/resume")

    assert answer.status_code == 409
    assert "retired" in answer.json()["detail"]


def test_a_change_is_recorded_with_the_administrator_who_made_it(client: httpx2.Client) -> None:
    made = create(client, "watched").json()
    client.post(f"{AGENTS}/watched/suspend")

    events = client.get("/api/v1/audit/events", params={"limit": 2}).json()["events"]

    assert [one["type"] for one in events] == ["agent.suspended", "agent.created"]
    for event in events:
        assert event["agent"] == made["id"]
        assert event["authentication"] == "management_token"
        assert event["person"].startswith("per_")


def test_a_client_secret_is_shown_once_and_never_again(client: httpx2.Client) -> None:
    create(client, "keeper")

    added = client.post(f"{AGENTS}/keeper/credentials", json={"kind": "client_secret"})
    listed = client.get(f"{AGENTS}/keeper/credentials")

    secret = added.json()["client_secret"]
    assert added.status_code == 201
    assert len(secret) == len(new_client_secret())
    assert secret not in listed.text
    assert "hash" not in listed.text
    assert [one["id"] for one in listed.json()["credentials"]] == [added.json()["id"]]


def test_public_keys_are_registered_and_no_secret_is_made(client: httpx2.Client) -> None:
    create(client, "signer")
    jwk = ECKey.generate_key("P-256").as_dict(private=False)

    added = client.post(f"{AGENTS}/signer/credentials", json={"kind": "public_key", "jwks": {"keys": [jwk]}})

    assert added.status_code == 201
    assert "client_secret" not in added.json()


def test_a_credential_is_revoked_once(client: httpx2.Client) -> None:
    create(client, "loser")
    added = client.post(f"{AGENTS}/loser/credentials", json={"kind": "client_secret"}).json()
    path = f"{AGENTS}/loser/credentials/{added['id']}"

    first, second = client.delete(path), client.delete(path)

    assert (first.status_code, first.content) == (204, b"")
    assert second.status_code == 404
    assert client.get(f"{AGENTS}/loser/credentials").json()["credentials"][0]["revoked_at"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"kind": "public_key"}, "jwks"),
        ({"kind": "client_secret", "jwks": {"keys": []}}, "jwks"),
        ({"kind": "public_key", "jwks": {"keys": []}}, "no key"),
        ({"kind": "public_key", "jwks": {"kty": "EC"}}, "JWK"),
        ({"kind": "public_key", "jwks": ECKey.generate_key("P-256").as_dict(private=True)}, "private"),
        ({"kind": "password"}, "kind"),
    ],
)
def test_a_credential_that_cannot_be_one_is_refused(client: httpx2.Client, body: object, told: str) -> None:
    create(client, "picky")

    answer = client.post(f"{AGENTS}/picky/credentials", json=body)

    assert answer.status_code == 400
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"owner": "ana@example.com"}, "name"),
        ({"name": "x"}, "owner"),
        ({"name": "x", "owner": "nobody"}, "e-mail"),
        ({"name": "", "owner": "ana@example.com"}, "name"),
        ({"name": "a/b", "owner": "ana@example.com"}, "name"),
        ({"name": "agt_fake", "owner": "ana@example.com"}, "name"),
        ({"name": "x", "owner": "ana@example.com", "capability_level": 5}, "capability_level"),
        ({"name": "x", "owner": "ana@example.com", "capability_level": "2"}, "capability_level"),
        ({"name": "x", "owner": "ana@example.com", "roles": "ai-agent-admin"}, "roles"),
        ({"name": "x", "owner": "ana@example.com", "type": "Very Wrong"}, "type"),
        ({"name": "x", "owner": "ana@example.com", "admin": True}, "admin"),
        ([], "object"),
    ],
)
def test_an_agent_that_is_not_well_described_is_refused(client: httpx2.Client, body: object, told: str) -> None:
    answer = client.post(AGENTS, content=msgspec.json.encode(body), headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert told in answer.json()["detail"]


CALLBACK = "https://client.example/callback"


def test_an_agent_becomes_an_oauth_client(client: httpx2.Client) -> None:
    made = create(client, "web").json()
    assert made["client"] is None

    answer = client.put(f"{AGENTS}/web/client", json={"redirect_uris": [CALLBACK], "client_name": "Web"})

    assert answer.status_code == 200
    shown = answer.json()["client"]
    assert (shown["client_name"], shown["redirect_uris"]) == ("Web", [CALLBACK])
    assert (shown["token_endpoint_auth_method"], shown["logo_uri"]) == ("client_secret_basic", "")
    assert answer.json()["version"] == made["version"] + 1
    assert client.get(f"{AGENTS}/web").json() == answer.json()
    event = client.get("/api/v1/audit/events", params={"limit": 1}).json()["events"][0]
    assert (event["type"], event["agent"]) == ("client.changed", made["id"])


def test_a_client_with_keys_shows_them_as_they_are_written(client: httpx2.Client) -> None:
    create(client, "keyed")
    keys = {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}
    sent = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt", "jwks": keys}

    shown = client.put(f"{AGENTS}/keyed/client", json=sent).json()["client"]

    assert shown == shown | sent


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"redirect_uris": ["http://client.example/cb"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({}, "invalid_redirect_uri"),
        ({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "magic"}, "invalid_client_metadata"),
        ({"redirect_uris": [CALLBACK], "redirect_uri": CALLBACK}, "invalid_body"),
        ({"redirect_uris": CALLBACK}, "invalid_body"),
    ],
)
def test_what_is_no_client_is_refused(client: httpx2.Client, metadata: dict[str, object], code: str) -> None:
    create(client, "refused-client")

    answer = client.put(f"{AGENTS}/refused-client/client", json=metadata)

    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert client.get(f"{AGENTS}/refused-client").json()["client"] is None


def test_a_retired_agent_becomes_no_client(client: httpx2.Client) -> None:
    create(client, "retired-client")
    client.post(f"{AGENTS}/retired-client/retire")

    assert client.put(f"{AGENTS}/retired-client/client", json={"redirect_uris": [CALLBACK]}).status_code == 409


def test_who_may_act_is_named_by_name_or_id_and_kept_as_an_id(client: httpx2.Client) -> None:
    first, second = create(client, "actor-1").json(), create(client, "actor-2").json()

    made = create(client, "principal", may_act=["actor-1", second["id"], "actor-1"], max_session_seconds=600).json()

    assert made["may_act"] == [first["id"], second["id"]]
    assert made["max_session_seconds"] == 600
    assert first["max_session_seconds"] == 28_800


@pytest.mark.parametrize(
    ("more", "status"),
    [({"may_act": ["nobody"]}, 404), ({"may_act": ["x"] * 33}, 400), ({"max_session_seconds": 0}, 400),
     ({"max_session_seconds": 315_360_001}, 400)],
    ids=["unknown", "too many", "no time", "too long"],
)  # fmt: skip
def test_bounds_that_make_no_sense_are_refused(client: httpx2.Client, more: dict[str, object], status: int) -> None:
    assert create(client, "boundless", **more).status_code == status
