"""People over the management API: their roles, as whom providers know them, and what they have delegated."""

import httpx2
import pytest

from accredit.people.model import Person
from tests.api.server import ManagementServer
from tests.federation.test_providers import oidc
from tests.people.giving import ISSUER, a_delegation, a_passkey, a_person, known_elsewhere

PEOPLE = "/api/v1/people"


def somebody(server: ManagementServer, email: str, roles: tuple[str, ...] = (), mapped: tuple[str, ...] = ()) -> Person:
    return server.call(lambda: a_person(server.rooms, email, roles=roles, mapped=mapped))


def delegate(server: ManagementServer, person: Person, agent: str) -> str:
    return server.call(lambda: a_delegation(server.rooms, person, agent))


def test_a_person_is_shown_by_address_and_by_id_with_what_is_counted(
    server: ManagementServer, client: httpx2.Client
) -> None:
    ana = somebody(server, "ana@example.com", ("delegator",), ("sales",))
    server.call(lambda: known_elsewhere(server.rooms, ana.id, "ana-7"))
    server.call(lambda: a_passkey(server.rooms, ana.id, "blue"))
    delegate(server, ana, "shown-agent")

    shown = client.get(f"{PEOPLE}/ana@example.com")

    assert shown.status_code == 200
    assert shown.json() == client.get(f"{PEOPLE}/{ana.id}").json() == client.get(f"{PEOPLE}/ANA@example.com").json()
    assert {**shown.json(), "created_at": ""} == {
        "id": ana.id,
        "email": "ana@example.com",
        "name": "",
        "roles": ["delegator", "sales"],
        "mapped_roles": ["sales"],
        "created_at": "",
        "passkeys": 1,
        "identities": 1,
        "delegations": 1,
    }


def test_people_are_listed_page_by_page_in_the_order_of_their_addresses(
    server: ManagementServer, client: httpx2.Client
) -> None:
    for name in ("zoe", "yan", "xia"):
        somebody(server, f"{name}@list.example")

    first = client.get(PEOPLE, params={"after": "x", "limit": 2}).json()
    rest = client.get(PEOPLE, params={"after": first["next"], "limit": 2}).json()

    assert [one["email"] for one in first["people"]] == ["xia@list.example", "yan@list.example"]
    assert ([one["email"] for one in rest["people"]], rest["next"]) == (["zoe@list.example"], None)


def test_roles_are_replaced_and_the_change_is_in_the_log(server: ManagementServer, client: httpx2.Client) -> None:
    somebody(server, "ben@example.com", ("old",), ("sales",))

    answer = client.put(f"{PEOPLE}/ben@example.com/roles", json={"roles": ["delegator"]})

    assert (answer.status_code, answer.json()["roles"]) == (200, ["delegator", "sales"])
    [event] = client.get("/api/v1/audit/events", params={"limit": 1}).json()["events"]
    assert (event["type"], event["resource"]) == ("person.roles_changed", answer.json()["id"])


def test_the_last_administrator_keeps_the_role(server: ManagementServer, client: httpx2.Client) -> None:
    answer = client.put(f"{PEOPLE}/admin@localhost/roles", json={"roles": []})

    assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")
    assert client.get(f"{PEOPLE}/admin@localhost").json()["roles"] == ["administrator"]


@pytest.mark.parametrize(
    "body",
    [{}, {"roles": None}, {"roles": "delegator"}, {"roles": ["De"]}, {"roles": [""]}, {"roles": [], "email": "a@b.c"}],
    ids=["none", "null", "text", "capital", "empty", "unknown member"],
)
def test_a_body_that_is_no_list_of_roles_changes_nothing(
    server: ManagementServer, client: httpx2.Client, body: dict[str, object]
) -> None:
    somebody(server, "cid@example.com", ("delegator",))

    assert client.put(f"{PEOPLE}/cid@example.com/roles", json=body).status_code == 400
    assert client.get(f"{PEOPLE}/cid@example.com").json()["roles"] == ["delegator"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PUT", "/roles"),
        ("GET", "/identities"),
        ("DELETE", "/identities?issuer=a&subject=b"),
        ("GET", "/delegations"),
        ("DELETE", "/delegations/dlg_1"),
    ],
)
def test_nobody_of_an_unknown_address_is_found(client: httpx2.Client, method: str, path: str) -> None:
    json: dict[str, list[str]] | None = {"roles": []} if method == "PUT" else None

    assert client.request(method, f"{PEOPLE}/nobody@example.com{path}", json=json).status_code == 404


def test_an_identity_is_shown_with_its_provider_and_unlinking_it_ends_the_sessions(
    server: ManagementServer, client: httpx2.Client
) -> None:
    dan, eva = somebody(server, "dan@example.com"), somebody(server, "eva@example.com")
    text = oidc("of-dan", "https://dan.example.com", client_authentication='"none"')
    client.post("/api/v1/sign-in-providers", json={"configuration": text})
    client.post("/api/v1/sign-in-providers/of-dan/identities", json={"subject": "d/1?&=é", "email": "dan@example.com"})
    server.call(lambda: known_elsewhere(server.rooms, dan.id, "dan-2"))
    held = [
        server.call(lambda person=person: server.sessions.start(person, authentication="oidc:of-dan"))[1]  # type: ignore[misc]
        for person in (dan, eva)
    ]
    path = f"{PEOPLE}/dan@example.com/identities"

    before = client.get(path).json()["identities"]
    unlinked = client.delete(path, params={"issuer": before[0]["issuer"], "subject": "d/1?&=é"})

    assert [(one["provider"], one["subject"]) for one in before] == [("of-dan", "d/1?&=é"), (None, "dan-2")]
    assert unlinked.status_code == 204
    assert [one["issuer"] for one in client.get(path).json()["identities"]] == [ISSUER]
    assert server.call(lambda: server.sessions.find(held[0])) is None
    assert server.call(lambda: server.sessions.find(held[1])) is not None
    recent = client.get("/api/v1/audit/events", params={"limit": 4}).json()["events"]
    [event] = [one for one in recent if one["type"] == "identity.unlinked"]
    assert event["resource"] == f"{before[0]['issuer']} d/1?&=é"
    assert client.delete(path, params={"issuer": before[0]["issuer"], "subject": "d/1?&=é"}).status_code == 404


def test_an_identity_of_somebody_else_is_not_unlinked_and_no_session_ends(
    server: ManagementServer, client: httpx2.Client
) -> None:
    fay, gus = somebody(server, "fay@example.com"), somebody(server, "gus@example.com")
    server.call(lambda: known_elsewhere(server.rooms, fay.id, "fay-1"))
    held = server.call(lambda: server.sessions.start(gus, authentication="passkey"))[1]

    answer = client.delete(f"{PEOPLE}/gus@example.com/identities", params={"issuer": ISSUER, "subject": "fay-1"})

    assert answer.status_code == 404
    assert client.get(f"{PEOPLE}/fay@example.com").json()["identities"] == 1
    assert server.call(lambda: server.sessions.find(held)) is not None


@pytest.mark.parametrize("query", ["", "?issuer=a", "?subject=a", "?issuer=a&subject=b&c=d", "?issuer=a&issuer=b"])
def test_an_identity_is_named_by_both_its_parts(server: ManagementServer, client: httpx2.Client, query: str) -> None:
    somebody(server, "hal@example.com")

    assert client.delete(f"{PEOPLE}/hal@example.com/identities{query}").status_code == 400


def test_the_description_says_that_both_parts_are_needed(client: httpx2.Client) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    parameters = paths[f"{PEOPLE}/{{person}}/identities"]["delete"]["parameters"]

    assert {one["name"]: one["required"] for one in parameters} == {"person": True, "issuer": True, "subject": True}
    assert [one["required"] for one in paths[PEOPLE]["get"]["parameters"]] == [False, False]


@pytest.mark.parametrize("side", ["people", "agents"])
def test_an_administrator_ends_a_delegation_from_either_side(
    server: ManagementServer, client: httpx2.Client, side: str
) -> None:
    ida, other = somebody(server, f"ida-{side}@example.com"), somebody(server, f"other-{side}@example.com")
    agent = f"agent-of-{side}"
    ends, stays = delegate(server, ida, agent), delegate(server, other, agent)
    holder = {"people": ida.email, "agents": agent}[side]
    path = f"/api/v1/{side}/{holder}/delegations"

    before = client.get(path).json()["delegations"]
    ended = client.delete(f"{path}/{ends}")

    [shown] = [one for one in before if one["id"] == ends]
    assert (shown["email"], shown["agent_name"], shown["scopes"]) == (ida.email, agent, ["crm:contacts.read"])
    assert ended.status_code == 204
    assert ends not in client.get(path).text
    assert server.rooms.revocations.is_known_ended((ends,))
    assert not server.rooms.revocations.is_known_ended((stays,))
    [event] = client.get("/api/v1/audit/events", params={"limit": 1}).json()["events"]
    assert (event["type"], event["delegation"]) == ("delegation.ended", ends)
    assert (event["person"], event["authentication"]) == (ida.id, "management_token")
    administrator = client.get(f"{PEOPLE}/admin@localhost").json()["id"]
    assert event["reason"] == f"ended by {administrator}: crm:contacts.read"


def test_a_delegation_is_ended_only_under_its_own_person_and_its_own_agent(
    server: ManagementServer, client: httpx2.Client
) -> None:
    jan, kim = somebody(server, "jan@example.com"), somebody(server, "kim@example.com")
    one, other = delegate(server, jan, "agent-one"), delegate(server, kim, "agent-two")

    wrong = [
        client.delete(f"{PEOPLE}/kim@example.com/delegations/{one}"),
        client.delete(f"/api/v1/agents/agent-two/delegations/{one}"),
        client.delete(f"{PEOPLE}/jan@example.com/delegations/dlg_none"),
    ]

    assert [answer.status_code for answer in wrong] == [404] * 3
    assert not server.rooms.revocations.is_known_ended((one, other))


def test_ending_a_delegation_twice_is_no_error_and_one_event(server: ManagementServer, client: httpx2.Client) -> None:
    lea = somebody(server, "lea@example.com")
    path = f"{PEOPLE}/lea@example.com/delegations/{delegate(server, lea, 'agent-of-lea')}"

    answers = [client.delete(path).status_code for _ in range(2)]

    events = client.get("/api/v1/audit/events", params={"limit": 2}).json()["events"]
    assert answers == [204, 204]
    assert [one["type"] for one in events].count("delegation.ended") == 1


def test_an_agents_delegations_are_as_many_as_are_asked_for_the_newest_first(
    server: ManagementServer, client: httpx2.Client
) -> None:
    made = [delegate(server, somebody(server, f"m{n}@example.com"), "busy") for n in range(3)]

    shown = client.get("/api/v1/agents/busy/delegations", params={"limit": 2}).json()["delegations"]

    assert [one["id"] for one in shown] == [made[2], made[1]]
    assert client.get("/api/v1/agents/busy/delegations", params={"limit": 0}).status_code == 400
    assert client.get("/api/v1/agents/nobody/delegations").status_code == 404
