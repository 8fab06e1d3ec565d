"""The log over the management API."""

import base64
import hashlib
import json
from pathlib import Path

import httpx2
import pytest

from accredit.audit.checkpoint import parse_vkey
from accredit.audit.fsck import verify_export
from accredit.audit.proof import check_proof, parse_proof
from tests.api.server import ManagementServer

EVENTS = "/api/v1/audit/events"


@pytest.fixture(scope="module")
def newest(server: ManagementServer) -> int:
    """The number of the newest of at least ten events."""
    with server.client() as client:
        for n in range(10):
            client.post("/api/v1/agents", json={"name": f"agent-{n}", "owner": "ana@example.com"})
        number: int = client.get(EVENTS, params={"limit": 1}).json()["events"][0]["seq"]
    return number


def test_the_newest_events_come_first(client: httpx2.Client, newest: int) -> None:
    page = client.get(EVENTS, params={"limit": 3}).json()

    assert [one["seq"] for one in page["events"]] == [newest, newest - 1, newest - 2]
    assert page["next"] == newest - 2


def test_pages_go_back_without_gap_or_repetition(client: httpx2.Client, newest: int) -> None:
    seen: list[int] = []
    before = newest + 1
    while before is not None:
        page = client.get(EVENTS, params={"before": before, "limit": 4}).json()
        seen += [one["seq"] for one in page["events"]]
        before = page["next"]

    assert seen == list(range(newest, -1, -1))


def test_pages_go_forward_from_the_beginning(client: httpx2.Client, newest: int) -> None:
    page = client.get(EVENTS, params={"after": -1, "limit": 1_000}).json()

    assert [one["seq"] for one in page["events"]] == list(range(newest + 1))


def test_an_event_has_every_member(client: httpx2.Client, newest: int) -> None:
    event = client.get(f"{EVENTS}/{newest}").json()

    assert event["seq"] == newest
    assert event["type"] == "agent.created"
    assert {"agent", "decision", "policies", "reason", "of", "outcome", "latency_ms", "token_id"} <= event.keys()


def test_an_event_is_proved_against_a_signed_checkpoint(
    server: ManagementServer, client: httpx2.Client, newest: int
) -> None:
    proof = client.get(f"{EVENTS}/{newest}/proof").json()

    entry = base64.b64decode(proof["entry"])
    body = json.dumps(proof["event"], separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    commitment = hashlib.sha256(b"accredit.audit.v1\0" + base64.b64decode(proof["nonce"]) + body).digest()
    keys = [parse_vkey(line) for line in (server.folder / "log" / "key").read_text().splitlines()]
    checkpoint = check_proof(parse_proof(proof["proof"]), entry, keys)
    assert proof["seq"] == newest
    assert entry == b"\x01" + commitment
    assert checkpoint.size > newest


@pytest.mark.parametrize("path", ["999999", "999999/proof"])
def test_an_event_that_is_not_there_is_not_found(client: httpx2.Client, path: str) -> None:
    answer = client.get(f"{EVENTS}/{path}")

    assert answer.status_code == 404
    assert answer.json()["next_step"] is not None


@pytest.mark.parametrize("number", ["x", "-1", "1.0", "%D9%A3", "9" * 30, str(2**53)])
def test_what_is_no_number_of_an_event_is_refused(client: httpx2.Client, number: str) -> None:
    for path in (f"{EVENTS}/{number}", f"{EVENTS}/{number}/proof"):
        answer = client.get(path)

        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "after=-2", "after=1&before=2", "after=1&after=2", "colour=red", "after=%ff"],
)
def test_a_query_that_is_not_of_the_form_is_refused(client: httpx2.Client, query: str) -> None:
    answer = client.get(f"{EVENTS}?{query}")

    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_an_export_is_streamed_and_verifies_offline(client: httpx2.Client, newest: int, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"

    with client.stream("GET", "/api/v1/audit/export") as answer:
        file.write_bytes(b"".join(answer.iter_bytes()))

    assert answer.headers["content-type"] == "application/jsonl"
    assert answer.headers["cache-control"] == "no-store"
    assert verify_export(file).events > newest


def test_a_sign_in_link_lets_the_administrator_in_once(server: ManagementServer, client: httpx2.Client) -> None:
    answer = client.post("/api/v1/sign-in-links")

    address, _, token = answer.json()["url"].partition("#")
    session, _ = server.call(lambda: server.sessions.redeem(token))
    assert answer.status_code == 201
    assert address == f"{server.url}/console/sign-in"
    assert answer.json()["expires_in_seconds"] == 900
    assert session.person.roles == ("administrator",)
