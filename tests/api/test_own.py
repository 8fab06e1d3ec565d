"""`/api/v1/self`: an agent reads what is its own, by an access token for this server, and nothing else."""

from pathlib import Path

import httpx2
import pytest

from accredit.agents.new_agent import NewAgent
from accredit.clock import rfc3339
from accredit.delegations.model import ActionDetails
from tests.api.own import MANAGEMENT_TOKEN, PATHS, SELF, Own, allowed, bound, delegate, with_own
from tests.api.server import ManagementServer
from tests.oauth.authorizing import READ
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER
from tests.proofs import new_proof_key
from tests.rooms import ADMINISTRATOR

METADATA = f'resource_metadata="{ISSUER}/.well-known/oauth-protected-resource"'
each_path = pytest.mark.parametrize("path", list(PATHS))


def test_an_agent_reads_its_own_record_without_secret_or_hash(tmp_path: Path) -> None:
    async def act(own: Own) -> None:
        answer = await own.get(SELF, await own.reader())

        agent = await own.asking.endpoint.rooms.agents.named("reader")
        (credential,) = agent.credentials
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {
            "id": agent.id,
            "client_id": agent.id,
            "name": "reader",
            "owner": "ana@example.com",
            "type": "service",
            "roles": ["ai-agent-readonly"],
            "systems": ["crm"],
            "capability_level": 2,
            "status": "active",
            "max_session_seconds": 28_800,
            "created_at": rfc3339(agent.created_at),
            "credentials": [
                {
                    "id": credential.id,
                    "kind": "client_secret",
                    "created_at": rfc3339(credential.created_at),
                    "revoked_at": None,
                }
            ],
        }

    with_own(tmp_path, act)


def test_a_revoked_credential_is_shown_as_revoked(tmp_path: Path) -> None:
    async def act(own: Own) -> None:
        token = await own.reader()
        rooms = own.asking.endpoint.rooms
        (credential,) = (await rooms.agents.named("reader")).credentials
        await rooms.agents.revoke_credential("reader", credential.id, ADMINISTRATOR)

        (shown,) = (await own.shown(SELF, token))["credentials"]

        assert shown["revoked_at"] == rfc3339(rooms.clock.seconds())

    with_own(tmp_path, act)


@pytest.mark.parametrize(
    ("role", "actions"),
    [
        pytest.param("ai-agent-readonly", ["crm.contacts.search"], id="reads"),
        pytest.param("ai-agent-operator", ["crm.contacts.search", "crm.contacts.create"], id="writes"),
        pytest.param("no-such-role", [], id="nothing"),
    ],
)
def test_an_agent_reads_what_policy_could_permit_to_it(tmp_path: Path, role: str, actions: list[str]) -> None:
    async def act(own: Own) -> None:
        agents = own.asking.endpoint.rooms.agents
        new = NewAgent(name="asker", owner="ana@example.com", roles=(role,), systems=("crm",))
        agent = await agents.create(new, ADMINISTRATOR)
        _, secret = await agents.add_client_secret("asker", ADMINISTRATOR)
        token = await own.reader(client_id=agent.id, client_secret=secret.reveal())

        permits = (await own.shown(f"{SELF}/permits", token))["permits"]

        assert [one["action"] for one in permits] == actions
        if actions:
            assert permits[0] == {
                "system": "crm",
                "action": "crm.contacts.search",
                "effect": "read",
                "sensitivity": 2,
                "scope": READ,
            }

    with_own(tmp_path, act)


def test_an_agent_without_systems_has_no_permits(tmp_path: Path) -> None:
    async def act(own: Own) -> None:
        agents = own.asking.endpoint.rooms.agents
        new = NewAgent(name="asker", owner="ana@example.com", roles=("ai-agent-admin",))
        agent = await agents.create(new, ADMINISTRATOR)
        _, secret = await agents.add_client_secret("asker", ADMINISTRATOR)
        token = await own.reader(client_id=agent.id, client_secret=secret.reveal())

        assert await own.shown(f"{SELF}/permits", token) == {"permits": []}

    with_own(tmp_path, act)


def test_an_agent_reads_its_own_events_and_nobody_elses(tmp_path: Path) -> None:
    async def act(own: Own) -> None:
        reader, speaker = own.asking.endpoint.agent.id, own.asking.client.id
        await own.speaker()
        await own.add_events(speaker, 3)
        await own.add_events(reader, 2)
        token = await own.reader()

        answer = await own.get(f"{SELF}/events", token)

        events = answer.json()["events"]
        seqs = [one["seq"] for one in events]
        stored = await own.asking.endpoint.events()
        assert seqs == [seq for seq in range(len(stored) - 1, -1, -1) if stored[seq].agent == reader]
        assert {one["agent"] for one in events} == {reader}
        assert {"token.issued", "call.decided"} <= {one["type"] for one in events}
        assert speaker not in answer.text
        assert own.asking.person.id not in answer.text

    with_own(tmp_path, act)


def test_pages_of_events_go_back_to_the_beginning_and_hold_each_once(tmp_path: Path) -> None:
    async def act(own: Own) -> None:
        reader, speaker = own.asking.endpoint.agent.id, own.asking.client.id
        for _ in range(3):
            await own.add_events(reader, 1)
            await own.add_events(speaker, 2)
        token = await own.reader()
        stored = await own.asking.endpoint.events()

        found: list[int] = []
        path = f"{SELF}/events?limit=2"
        sizes: list[int] = []
        before: int | None = None
        while before is not None or not sizes:
            page = await own.shown(path if before is None else f"{path}&before={before}", token)
            found += [one["seq"] for one in page["events"]]
            sizes.append(len(page["events"]))
            before = page["next"]

        assert found == [seq for seq in range(len(stored) - 1, -1, -1) if stored[seq].agent == reader]
        assert max(sizes) == 2

    with_own(tmp_path, act)


def test_events_behind_a_thousand_of_others_are_found_on_the_next_page(tmp_path: Path) -> None:
    async def act(own: Own) -> None:
        reader, speaker = own.asking.endpoint.agent.id, own.asking.client.id
        token = await own.reader()
        newest = (await own.shown(f"{SELF}/events", token))["events"][0]["seq"]
        await own.add_events(speaker, 1_000)

        empty = await own.shown(f"{SELF}/events", token)
        behind = await own.shown(f"{SELF}/events?before={empty['next']}", token)

        assert empty["events"] == []
        assert empty["next"] == newest + 1
        assert behind["events"][0]["seq"] == newest
        assert behind["events"][0]["agent"] == reader

    with_own(tmp_path, act)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "before=x", "before=1&before=2", "agent=agt_1", "after=1", "access_token=x"]
)
def test_a_query_of_another_form_is_refused(tmp_path: Path, query: str) -> None:
    async def act(own: Own) -> None:
        answer = await own.get(f"{SELF}/events?{query}", await own.reader())

        assert answer.status_code == 400
        assert answer.json()["code"] == "invalid_query"

    with_own(tmp_path, act)


def test_an_agent_reads_what_this_person_lets_it_do_and_no_more(tmp_path: Path) -> None:
    async def act(own: Own) -> None:
        one, rooms = own.asking, own.asking.endpoint.rooms
        await allowed(one, READ, CRM_RESOURCE)
        await allowed(await one.other("listener"), READ, CRM_RESOURCE)
        stranger, _ = await rooms.transactions.change(lambda tx: rooms.people.ensure(tx, "eve@example.com", "Eve"))
        details = ActionDetails(type="accredit_action", system="crm", actions=("crm.contacts.search",))
        await delegate(own, stranger.id, ())
        await delegate(own, one.person.id, (details,))
        ended = await delegate(own, one.person.id, ())
        await rooms.delegations.end(one.person.id, ended.id, one.session)
        token = await own.speaker()

        shown = (await own.shown(f"{SELF}/delegations", token))["delegations"]

        held = await rooms.delegations.between(one.person.id, one.client.id)
        assert [one["id"] for one in shown] == [one.id for one in held]
        assert len(shown) == 3
        assert sorted((one["system"], tuple(one["scopes"])) for one in shown) == [
            ("accredit", ("user:delegate:read",)),
            ("crm", (READ,)),
            ("crm", (READ,)),
        ]
        narrow = next(one for one in shown if one["details"])
        assert narrow["details"] == [{"type": "accredit_action", "system": "crm", "actions": ["crm.contacts.search"]}]
        assert narrow["expires_at"] == rfc3339(rooms.clock.seconds() + 600)
        assert shown[0].keys() == {"id", "system", "scopes", "details", "expires_at"}

    with_own(tmp_path, act)


def test_a_token_ends_with_the_delegation_that_it_came_of(tmp_path: Path) -> None:
    async def act(own: Own) -> None:
        one, token = own.asking, await own.speaker()
        (made,) = (await own.shown(f"{SELF}/delegations", token))["delegations"]

        await one.endpoint.rooms.delegations.end(one.person.id, made["id"], one.session)

        assert (await own.get(f"{SELF}/delegations", token)).status_code == 401

    with_own(tmp_path, act)


@each_path
def test_without_a_token_the_challenge_leads_to_the_metadata(tmp_path: Path, path: str) -> None:
    """RFC 6750 §3.1, RFC 9728 §5.1."""

    async def act(own: Own) -> None:
        answer = await own.api.get(path)

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == f"Bearer {METADATA}"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json().keys() == {"title", "status", "detail", "next_step", "code", "event"}

    with_own(tmp_path, act)


@each_path
def test_a_token_for_a_system_and_the_management_token_tell_nothing(tmp_path: Path, path: str) -> None:
    async def act(own: Own) -> None:
        tokens = [await own.reader(CRM_RESOURCE), MANAGEMENT_TOKEN, f"{await own.fitting(path)}x", "x"]

        answers = [await own.get(path, token) for token in tokens]

        assert [one.status_code for one in answers] == [401] * 4
        for answer in answers:
            assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
            assert METADATA in answer.headers["www-authenticate"]

    with_own(tmp_path, act)


@each_path
def test_a_token_that_lacks_the_scope_is_told_which(tmp_path: Path, path: str) -> None:
    async def act(own: Own) -> None:
        lacking = await (own.speaker() if PATHS[path] == "agent:read" else own.speaker("openid"))
        tokens = [lacking, await own.reader(scope="agent:write:limited")]

        for token in tokens:
            answer = await own.get(path, token)

            assert answer.status_code == 403
            assert answer.json()["code"] == "insufficient_scope"
            challenge = answer.headers["www-authenticate"]
            assert challenge.startswith(f'Bearer error="insufficient_scope", scope="{PATHS[path]}"')
            assert METADATA in challenge

    with_own(tmp_path, act)


@each_path
def test_a_suspended_agent_reads_nothing_not_even_after_it_is_resumed(tmp_path: Path, path: str) -> None:
    async def act(own: Own) -> None:
        agents = own.asking.endpoint.rooms.agents
        token = await own.fitting(path)
        name = "reader" if PATHS[path] == "agent:read" else own.asking.client.name
        before = await own.get(path, token)
        await agents.suspend(name, ADMINISTRATOR)
        suspended = await own.get(path, token)
        await agents.resume(name, ADMINISTRATOR)
        resumed = await own.get(path, token)

        assert [before.status_code, suspended.status_code, resumed.status_code] == [200, 401, 401]

    with_own(tmp_path, act)


def test_an_expired_token_tells_nothing(tmp_path: Path) -> None:
    async def act(own: Own) -> None:
        token = await own.reader()
        own.asking.move(306)

        assert (await own.get(SELF, token)).status_code == 401

    with_own(tmp_path, act)


@each_path
def test_a_bound_token_needs_a_proof_of_its_key_and_a_proof_is_used_once(tmp_path: Path, path: str) -> None:
    """RFC 9449 §7."""

    async def act(own: Own) -> None:
        key, thief, now, url = new_proof_key(), new_proof_key(), own.asking.endpoint.rooms.clock.now, ISSUER + path
        token = await bound(own, path, key.proof("POST", f"{ISSUER}/oauth/token", now))
        proof = key.proof("GET", url, now, token=token)

        taken = await own.get(path, token, "DPoP", DPoP=proof)
        refused = [
            await own.get(path, token),
            await own.get(path, token, "DPoP"),
            await own.get(path, token, "DPoP", DPoP=proof),
            await own.get(path, token, "DPoP", DPoP=thief.proof("GET", url, now, token=token)),
            await own.get(path, token, "DPoP", DPoP=key.proof("POST", url, now, token=token)),
            await own.get(path, token, "DPoP", DPoP=key.proof("GET", f"{ISSUER}/oauth/userinfo", now, token=token)),
        ]

        assert taken.status_code == 200
        assert [answer.status_code for answer in refused] == [401] * len(refused)
        assert all(answer.headers["www-authenticate"].startswith("DPoP ") for answer in refused)
        assert refused[2].json()["code"] == "invalid_dpop_proof"

    with_own(tmp_path, act)


def test_where_nonces_are_demanded_each_answer_brings_one(tmp_path: Path) -> None:
    """RFC 9449 §8 and §9."""

    async def act(own: Own) -> None:
        key, now, url = new_proof_key(), own.asking.endpoint.rooms.clock.now, ISSUER + SELF
        nonces = own.asking.endpoint.oauth.binding.nonces
        assert nonces is not None
        token = await bound(own, SELF, key.proof("POST", f"{ISSUER}/oauth/token", now, nonce=nonces.new()))

        without = await own.get(SELF, token, "DPoP", DPoP=key.proof("GET", url, now, token=token))
        fresh = without.headers["dpop-nonce"]
        taken = await own.get(SELF, token, "DPoP", DPoP=key.proof("GET", url, now, token=token, nonce=fresh))

        assert without.status_code == 401
        assert 'error="use_dpop_nonce"' in without.headers["www-authenticate"]
        assert taken.status_code == 200
        assert taken.headers["dpop-nonce"]

    with_own(tmp_path, act, dpop_nonces=True)


def test_a_bound_token_that_lacks_the_scope_is_told_so_in_its_own_scheme(tmp_path: Path) -> None:
    async def act(own: Own) -> None:
        key, now = new_proof_key(), own.asking.endpoint.rooms.clock.now
        token = await own.speaker(DPoP=key.proof("POST", f"{ISSUER}/oauth/token", now))

        answer = await own.get(SELF, token, "DPoP", DPoP=key.proof("GET", ISSUER + SELF, now, token=token))

        assert answer.status_code == 403
        assert answer.headers["www-authenticate"].startswith('DPoP error="insufficient_scope"')

    with_own(tmp_path, act)


@each_path
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
def test_no_other_method_is_taken(tmp_path: Path, path: str, method: str) -> None:
    async def act(own: Own) -> None:
        headers = {"Authorization": f"Bearer {await own.fitting(path)}"}

        answer = await own.api.request(method, path, headers=headers)

        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET"

    with_own(tmp_path, act)


def test_an_access_token_opens_nothing_else_of_the_api(server: ManagementServer, client: httpx2.Client) -> None:
    agent = client.post("/api/v1/agents", json={"name": "inquisitive", "owner": "ana@example.com"}).json()["id"]
    secret = client.post(f"/api/v1/agents/{agent}/credentials", json={"kind": "client_secret"}).json()["client_secret"]
    form = {"grant_type": "client_credentials", "client_id": agent, "client_secret": secret}
    token = httpx2.post(f"{server.url}/oauth/token", data=form, trust_env=False).json()["access_token"]

    with server.client(token) as own:
        shown = own.get(SELF)
        others = [own.request(one.method, one.path.replace("{agent}", agent)) for one in server.endpoints]
        nowhere = [own.get(path) for path in (f"{SELF}/", f"{SELF}/{agent}", f"{SELF}/credentials", "/api")]

    assert shown.json()["id"] == agent
    assert len(others) > 30
    assert {answer.status_code for answer in others + nowhere} == {401}
    assert {client.get(path).status_code for path in PATHS} == {401}


def test_the_description_says_which_token_and_scope_an_endpoint_takes(client: httpx2.Client) -> None:
    document = client.get("/api/openapi.json").json()

    for path, scope in PATHS.items():
        assert document["paths"][path]["get"]["security"] == [{"agent_token": [scope]}]
    assert document["security"] == [{"management_token": []}]
    assert "security" not in document["paths"]["/api/v1/agents"]["get"]
    assert document["components"]["securitySchemes"].keys() == {"management_token", "agent_token"}
