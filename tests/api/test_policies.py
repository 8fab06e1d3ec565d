"""Policies over the management API."""

import httpx2

POLICIES = "/api/v1/policies"
FORBID = """\
@id("{id}")
@description("Nothing is done on Sundays.")
forbid (principal, action, resource) when {{ context.weekday == 7 }};
"""


def sources(name: str) -> dict[str, dict[str, str]]:
    return {"sources": {f"{name}.cedar": FORBID.format(id=name)}}


def test_the_starter_policies_are_in_force_from_the_start(client: httpx2.Client) -> None:
    listed = client.get(POLICIES).json()

    assert {one["origin"] for one in listed["policies"]} >= {"builtin"}
    assert "agents-get-tokens" in {one["id"] for one in listed["policies"]}


def test_applied_policies_replace_all_but_the_starter_set(client: httpx2.Client) -> None:
    client.post(POLICIES, json=sources("no-mondays"))

    answer = client.post(POLICIES, json=sources("no-sundays"))

    own = [one["id"] for one in answer.json()["policies"] if one["origin"] == "file"]
    assert answer.status_code == 200
    assert own == ["no-sundays"]
    assert client.get(POLICIES).json() == answer.json()


def test_applying_a_set_is_recorded_with_its_digest(client: httpx2.Client) -> None:
    applied = client.post(POLICIES, json=sources("recorded")).json()

    newest = client.get("/api/v1/audit/events", params={"limit": 1}).json()["events"][0]

    assert newest["type"] == "policy.applied"
    assert newest["policy_set"] == applied["digest"]


def test_validating_changes_nothing(client: httpx2.Client) -> None:
    before = client.get(POLICIES).json()

    answer = client.post(f"{POLICIES}/validate", json=sources("tried"))

    assert answer.status_code == 200
    assert "tried" in answer.json()["policies"]
    assert client.get(POLICIES).json() == before


def test_a_broken_policy_is_refused_with_file_and_line_and_the_running_set_stays(client: httpx2.Client) -> None:
    before = client.get(POLICIES).json()
    broken = {"sources": {"broken.cedar": '\n@id("x")\n@description("y")\npermit (principal, action resource);\n'}}

    answers = [client.post(path, json=broken) for path in (POLICIES, f"{POLICIES}/validate")]

    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["code"] == "policy_invalid"
        assert answer.json()["detail"].startswith("broken.cedar:4: ")
    assert client.get(POLICIES).json() == before
