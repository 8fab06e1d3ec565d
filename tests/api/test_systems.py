"""Systems over the management API."""

import asyncio

import httpx2
import pytest

from accredit.api import systems
from accredit.systems.model import System, Tool
from tests.api.server import ManagementServer, manifest, no_upstream

SYSTEMS = "/api/v1/systems"


def add(client: httpx2.Client, name: str, **more: object) -> httpx2.Response:
    return client.post(SYSTEMS, json={"manifest": manifest(name), "file": f"{name}.toml", **more})


def test_a_system_is_registered_from_its_manifest(server: ManagementServer, client: httpx2.Client) -> None:
    answer = add(client, "crm")

    system = answer.json()
    assert answer.status_code == 201
    assert system["name"] == "crm"
    assert system["resource"] == f"{server.url}/gateway/crm/mcp"
    assert [one["action"] for one in system["operations"]] == ["crm.contacts.search", "crm.contacts.create"]


def test_an_upstream_that_does_not_answer_does_not_stop_the_registration(client: httpx2.Client) -> None:
    answer = add(client, "sleepy")

    assert answer.status_code == 201
    assert answer.json()["tools"] is None
    assert "does not answer" in answer.json()["tools_unknown_because"]
    assert client.get(f"{SYSTEMS}/sleepy").json()["tools"] is None


def test_the_tools_of_a_new_system_are_learned(server: ManagementServer, client: httpx2.Client) -> None:
    async def learn(system: System) -> None:
        await server.rooms.systems.learn_tools(system, [Tool(name="search_contacts", input_schema="{}")])

    server.discover = learn
    try:
        answer = add(client, "talker")
    finally:
        server.discover = no_upstream

    assert answer.json()["tools"] == ["search_contacts"]
    assert answer.json()["tools_unknown_because"] is None


def test_an_upstream_that_hangs_is_given_up(
    server: ManagementServer, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(system: System) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(systems, "DISCOVERY_SECONDS", 0.05)
    server.discover = hang
    try:
        answer = add(client, "hanger")
    finally:
        server.discover = no_upstream

    assert answer.status_code == 201
    assert "did not answer within" in answer.json()["tools_unknown_because"]


def test_an_upstream_whose_answer_breaks_the_reader_is_no_failure_of_the_registration(
    server: ManagementServer, client: httpx2.Client
) -> None:
    async def fail(system: System) -> None:
        raise KeyError("secret of the inside")

    server.discover = fail
    try:
        answer = add(client, "breaker")
    finally:
        server.discover = no_upstream

    assert answer.status_code == 201
    assert "secret of the inside" not in answer.text


def test_a_manifest_is_shown_as_it_was_given(client: httpx2.Client) -> None:
    add(client, "mirror")

    shown = client.get(f"{SYSTEMS}/mirror").json()

    assert shown["manifest"] == manifest("mirror")


def test_systems_are_listed_by_name(client: httpx2.Client) -> None:
    add(client, "list-b")
    add(client, "list-a")

    names = [one["name"] for one in client.get(SYSTEMS).json()["systems"]]

    assert names == sorted(names)
    assert {"list-a", "list-b"} <= set(names)


def test_a_manifest_takes_the_place_of_another_only_when_asked(client: httpx2.Client) -> None:
    add(client, "again")

    refused = add(client, "again")
    replaced = add(client, "again", replace=True)

    assert refused.status_code == 409
    assert replaced.status_code == 201
    assert replaced.json()["version"] == 2


def test_a_system_that_is_not_there_cannot_be_replaced(client: httpx2.Client) -> None:
    answer = add(client, "never", replace=True)

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name = ", "bad.toml"),
        ('name = "x"', "bad.toml:1"),
        (manifest("fine").replace("sensitivity = 2", "sensitivity = 9"), "bad.toml:6"),
        (manifest("fine").replace('effect = "read"', 'effect = "peek"'), "effect"),
    ],
)
def test_a_malformed_manifest_is_refused_with_its_file_and_place(client: httpx2.Client, text: str, told: str) -> None:
    answer = client.post(SYSTEMS, json={"manifest": text, "file": "bad.toml"})

    assert answer.status_code == 400
    assert answer.json()["code"] == "manifest_invalid"
    assert told in answer.json()["detail"]
    assert client.get(f"{SYSTEMS}/fine").status_code == 404
