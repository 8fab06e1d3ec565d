"""What holds at every endpoint of the table: who may call it, what it refuses, and that it is described."""

import re
from collections.abc import Iterator

import httpx2
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it brings no types

from tests.api.server import BODY_LIMIT_BYTES, TOKEN, ManagementServer, manifest

_VARIABLE = re.compile(r"\{\w+\}")
_JSON = {"Content-Type": "application/json"}


def calls(server: ManagementServer) -> Iterator[tuple[str, str]]:
    """Method and path of every endpoint."""
    for endpoint in server.endpoints:
        yield endpoint.method, _VARIABLE.sub("1", endpoint.path)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer",
        "Bearer \xff",
    ],
)
def test_no_endpoint_answers_who_does_not_hold_the_token(server: ManagementServer, authorization: str | None) -> None:
    headers = {} if authorization is None else {b"Authorization": authorization.encode("latin-1")}
    with server.client(None) as client:
        answers = [client.request(method, path, headers=headers) for method, path in calls(server)]

    assert len(answers) == len(server.endpoints) > 15
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json().keys() == {"title", "status", "detail", "next_step", "code", "event"}
        assert answer.json()["status"] == 401


def test_a_token_in_the_query_is_not_looked_at(server: ManagementServer) -> None:
    with server.client(None) as client:
        answer = client.get("/api/v1/agents", params={"access_token": TOKEN})

    assert answer.status_code == 401


def test_a_token_given_twice_is_refused(server: ManagementServer) -> None:
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
    with server.client(None) as client:
        answer = client.get("/api/v1/agents", headers=headers)

    assert answer.status_code == 401


def test_no_endpoint_takes_another_method(server: ManagementServer, client: httpx2.Client) -> None:
    for path in {path for _, path in calls(server)}:
        answer = client.patch(path)

        assert answer.status_code == 405
        assert answer.json()["code"] == "method_not_allowed"
        methods = {method for method, other in calls(server) if other == path}
        assert set(answer.headers["allow"].split(", ")) == methods


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/api/v1/nothing", "/api/v1/agents/", "/api/v2/agents"])
def test_where_nothing_is_a_problem_says_so_but_only_to_who_holds_the_token(
    server: ManagementServer, client: httpx2.Client, path: str
) -> None:
    with server.client(None) as stranger:
        assert stranger.get(path).status_code == 401

    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b'{"name":"a","owner":"a@b.c"}', {}, 415, "unsupported_media_type"),
        (b'{"name":"a","owner":"a@b.c"}', {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (b"", _JSON, 400, "invalid_body"),
        (b"{", _JSON, 400, "invalid_body"),
        (b"not json", _JSON, 400, "invalid_body"),
        (b'{"name":"a","name":"b","owner":"a@b.c"}', _JSON, 400, "invalid_body"),
        (b'{"name":"a","owner":"a@b.c"} {}', _JSON, 400, "invalid_body"),
        (b'{"name":"\xff","owner":"a@b.c"}', _JSON, 400, "invalid_body"),
        (b'{"name":"\\ud800","owner":"a@b.c"}', _JSON, 400, "invalid_body"),
        (b'{"name":NaN,"owner":"a@b.c"}', _JSON, 400, "invalid_body"),
        (b"[" * 60_000, _JSON, 400, "invalid_body"),
        (b'{"name":' + b"[" * 50_000, _JSON, 400, "invalid_body"),
        (b'{"name":"' + b"a" * BODY_LIMIT_BYTES + b'"}', _JSON, 413, "body_too_large"),
    ],
)
def test_a_body_that_is_not_strict_json_of_the_form_is_refused(
    client: httpx2.Client, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = client.post("/api/v1/agents", content=body, headers=headers)

    assert answer.status_code == status
    assert answer.json()["code"] == code
    assert client.get("/api/v1/agents").json()["agents"] == []


def test_a_doubled_name_deep_inside_a_body_is_refused(client: httpx2.Client) -> None:
    body = b'{"sources":{"a.cedar":"","a.cedar":"permit(principal,action,resource);"}}'

    answer = client.post("/api/v1/policies", content=body, headers=_JSON)

    assert answer.status_code == 400
    assert "a.cedar" in answer.json()["detail"]


def test_a_body_without_a_stated_length_is_cut_off_at_the_limit(client: httpx2.Client) -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"name":"'
        for _ in range(20):
            yield b"a" * 8_192

    answer = client.post("/api/v1/agents", content=parts(), headers=_JSON)

    assert answer.status_code == 413


def test_a_body_where_none_is_taken_must_be_empty_or_without_members(client: httpx2.Client) -> None:
    allowed = client.post("/api/v1/sign-in-links", json={})
    refused = client.post("/api/v1/sign-in-links", json={"person": "per_other"})

    assert allowed.status_code == 201
    assert refused.status_code == 400


def test_a_failure_of_the_server_tells_nothing_of_the_inside(
    server: ManagementServer, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("the inside")

    monkeypatch.setattr(server.rooms.agents, "list", fail)

    answer = client.get("/api/v1/agents")

    assert answer.status_code == 500
    assert answer.json()["code"] == "server_error"
    assert "the inside" not in answer.text


def test_the_description_names_every_endpoint_and_nothing_else(server: ManagementServer) -> None:
    with server.client(None) as client:
        document = client.get("/api/openapi.json").json()

    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    operations = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert document["openapi"].startswith("3.1")
    served = {(endpoint.method, endpoint.path) for endpoint in server.endpoints}
    assert described == served | {(endpoint.method, endpoint.path) for endpoint in server.own}
    assert len(set(operations)) == len(operations)


def test_answers_are_as_the_description_says(server: ManagementServer, client: httpx2.Client) -> None:
    client.post("/api/v1/systems", json={"manifest": manifest("described")})
    client.post("/api/v1/agents", json={"name": "described", "owner": "ana@example.com", "systems": ["described"]})
    document = client.get("/api/openapi.json").json()
    paths = {
        "/api/v1/agents": "/api/v1/agents",
        "/api/v1/agents/{agent}": "/api/v1/agents/described",
        "/api/v1/agents/{agent}/credentials": "/api/v1/agents/described/credentials",
        "/api/v1/systems": "/api/v1/systems",
        "/api/v1/systems/{system}": "/api/v1/systems/described",
        "/api/v1/policies": "/api/v1/policies",
        "/api/v1/audit/events": "/api/v1/audit/events",
        "/api/v1/audit/events/{seq}": "/api/v1/audit/events/0",
        "/api/v1/audit/events/{seq}/proof": "/api/v1/audit/events/0/proof",
    }

    for described, path in paths.items():
        answer = client.get(path)
        content = document["paths"][described]["get"]["responses"]["200"]["content"]
        schema = {**content["application/json"]["schema"], "components": document["components"]}

        assert answer.status_code == 200
        Draft202012Validator(schema).validate(answer.json())
