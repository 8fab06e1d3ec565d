"""The client credentials grant: what is issued, what is cut, what is refused, and what is recorded."""

import base64
from pathlib import Path

import msgspec
import pytest
from joserfc import jwt

from accredit.agents.new_agent import NewAgent
from tests.oauth.counting import counted_reads
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER, Endpoint, with_endpoint
from tests.rooms import ADMINISTRATOR, SIGNER
from tests.statements import assert_only_group_commits, recorded_statements


def claims_of(token: str) -> dict[str, object]:
    decoded = jwt.decode(token, SIGNER.jwk, algorithms=["ES256"])
    assert decoded.header["typ"] == "at+jwt"
    return dict(decoded.claims)


def test_an_agent_gets_a_token_for_its_only_system(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        response = await endpoint.token()

        body = response.json()
        claims = claims_of(body["access_token"])
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        assert {k: body[k] for k in ("token_type", "expires_in", "scope")} == {
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "crm:contacts.read",
        }
        assert claims["iss"] == ISSUER
        assert claims["sub"] == claims["client_id"] == endpoint.agent.id
        assert claims["aud"] == CRM_RESOURCE
        assert claims["scope"] == "crm:contacts.read"
        assert claims["accredit_epoch"] == 1
        assert claims["exp"] - claims["iat"] == 300  # type: ignore[operator]

    with_endpoint(tmp_path, act)


def test_the_token_is_recorded_before_it_is_answered(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        response = await endpoint.token()

        event = (await endpoint.events())[int(response.headers["x-accredit-event"])]
        assert event.type == "token.issued"
        assert event.decision == "permit"
        assert event.policies == ("agents-get-tokens",)
        assert event.token_id == claims_of(response.json()["access_token"])["jti"]
        assert (event.agent, event.agent_name) == (endpoint.agent.id, "reader")
        assert event.authentication == "client_secret_post"
        assert (event.system, event.resource) == ("crm", CRM_RESOURCE)
        assert event.policy_set is not None

    with_endpoint(tmp_path, act)


def test_scopes_are_cut_to_what_the_agent_is_entitled_to(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        more = await endpoint.token(scope="crm:contacts.write crm:contacts.read other")
        none = await endpoint.token(scope="crm:contacts.write")

        assert more.json()["scope"] == "crm:contacts.read"
        assert (none.status_code, none.json()["error"]) == (400, "invalid_scope")

    with_endpoint(tmp_path, act)


def test_without_a_role_no_scope_is_granted(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        agent = await endpoint.rooms.agents.create(
            NewAgent(name="roleless", owner="ana@example.com", systems=("crm",)), ADMINISTRATOR
        )
        _, secret = await endpoint.rooms.agents.add_client_secret("roleless", ADMINISTRATOR)

        response = await endpoint.token(client_id=agent.id, client_secret=secret.reveal())

        assert response.json()["scope"] == ""

    with_endpoint(tmp_path, act)


def test_a_token_for_accredit_itself_has_the_issuer_as_audience(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        response = await endpoint.token(resource=ISSUER)

        assert response.json()["scope"] == "agent:read agent:write:limited"
        assert claims_of(response.json()["access_token"])["aud"] == ISSUER

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize(
    "resource",
    [
        f"{ISSUER}/gateway/erp/mcp",
        f"{ISSUER}/gateway/crm",
        f"{ISSUER}/gateway/crm/mcp/",
        f"{ISSUER}/gateway/crm/mcp?x=1",
        f"{ISSUER}/gateway/crm/mcp#x",
        f"{ISSUER}/gateway/../gateway/crm/mcp",
        f"{ISSUER}/",
        "http://localhost:8400@evil.example/gateway/crm/mcp",
        "https://localhost:8400/gateway/crm/mcp",
        "http://LOCALHOST:8400/gateway/crm/mcp",
        "crm",
    ],
)
def test_a_resource_that_is_not_exactly_one_of_ours_is_refused(tmp_path: Path, resource: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        response = await endpoint.token(resource=resource)

        assert (response.status_code, response.json()["error"]) == (400, "invalid_target")

    with_endpoint(tmp_path, act)


def test_a_system_that_is_not_allowed_is_refused_by_policy_and_recorded(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        agent = await endpoint.rooms.agents.create(
            NewAgent(name="outsider", owner="ana@example.com", roles=("ai-agent-admin",)), ADMINISTRATOR
        )
        _, secret = await endpoint.rooms.agents.add_client_secret("outsider", ADMINISTRATOR)

        response = await endpoint.token(client_id=agent.id, client_secret=secret.reveal(), resource=CRM_RESOURCE)

        body = response.json()
        event = (await endpoint.events())[body["event"]]
        assert (response.status_code, body["error"]) == (400, "unauthorized_client")
        assert (event.type, event.decision, event.policies) == ("token.refused", "deny", ("default-deny",))

    with_endpoint(tmp_path, act)


@pytest.mark.parametrize("status", ["suspend", "retire"])
def test_an_agent_that_is_not_active_is_an_invalid_client(tmp_path: Path, status: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        await getattr(endpoint.rooms.agents, status)("reader", ADMINISTRATOR)

        response = await endpoint.token()

        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")

    with_endpoint(tmp_path, act)


def test_a_resumed_agent_gets_tokens_of_its_new_epoch(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.suspend("reader", ADMINISTRATOR)
        await endpoint.rooms.agents.resume("reader", ADMINISTRATOR)

        response = await endpoint.token()

        assert claims_of(response.json()["access_token"])["accredit_epoch"] == 2

    with_endpoint(tmp_path, act)


def test_a_suspension_that_commits_with_the_token_wins(tmp_path: Path) -> None:
    """Rule 3: the decision was taken before the suspension, its commit shows the change, so it is taken again."""

    async def act(endpoint: Endpoint) -> None:
        agents = endpoint.rooms.agents
        assert (await endpoint.token()).status_code == 200
        known = agents.peek(endpoint.agent.id)
        await agents.suspend("reader", ADMINISTRATOR)
        # Memory is put back to what it was before, and the feed too: this is a process that has not heard yet.
        assert known is not None
        agents._cache[endpoint.agent.id] = known
        endpoint.rooms.feed.applied -= 1

        response = await endpoint.token()

        body = response.json()
        events = await endpoint.events()
        assert (response.status_code, body["error"]) == (400, "unauthorized_client")
        assert events[body["event"]].decision == "deny"
        assert events[body["event"]].of == events[body["event"] - 1].id

    with_endpoint(tmp_path, act)


def test_client_secret_basic_is_accepted(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        response = await endpoint.client.post(
            "/oauth/token", data={"grant_type": "client_credentials"}, auth=(endpoint.agent.id, endpoint.secret)
        )

        assert response.status_code == 200
        event = (await endpoint.events())[int(response.headers["x-accredit-event"])]
        assert event.authentication == "client_secret_basic"

    with_endpoint(tmp_path, act)


def test_a_revoked_secret_is_refused_and_another_one_still_works(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        first = endpoint.agent.credentials
        held = (await endpoint.rooms.agents.named("reader")).credentials
        _, second = await endpoint.rooms.agents.add_client_secret("reader", ADMINISTRATOR)
        await endpoint.rooms.agents.revoke_credential("reader", held[0].id, ADMINISTRATOR)

        refused = await endpoint.token()
        accepted = await endpoint.token(client_secret=second.reveal())

        assert first == ()
        assert refused.status_code == 401
        assert accepted.status_code == 200

    with_endpoint(tmp_path, act)


def test_a_secret_is_kept_as_a_keyed_hash_only(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.token()
        await endpoint.rooms.writer.close()
        files = [tmp_path / f"accredit.db{end}" for end in ("", "-wal")]

        kept = b"".join(path.read_bytes() for path in files)

        assert endpoint.secret.encode() not in kept

    with_endpoint(tmp_path, act)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("form", "headers", "error"),
    [
        ("grant_type=client_credentials&client_id=A&client_secret=S&client_secret=S", {}, "invalid_request"),
        ("grant_type=client_credentials&scope=a&scope=b&client_id=A&client_secret=S", {}, "invalid_request"),
        ("client_id=A&client_secret=S", {}, "invalid_request"),
        ("grant_type=password&client_id=A&client_secret=S", {}, "unsupported_grant_type"),
        ("grant_type=client_credentials", {}, "invalid_client"),
        ("grant_type=client_credentials&client_id=A", {}, "invalid_client"),
        ("grant_type=client_credentials&client_id=reader&client_secret=S", {}, "invalid_client"),
        ("grant_type=client_credentials&client_id=agt_01JDUNKNOWN&client_secret=S", {}, "invalid_client"),
        ("grant_type=client_credentials&client_secret=S", {"authorization": "BASIC"}, "invalid_client"),
        ("grant_type=client_credentials", {"authorization": "Basic !!!"}, "invalid_client"),
        ("grant_type=client_credentials&client_id=other", {"authorization": "BASIC"}, "invalid_client"),
        ("grant_type=client_credentials&%ff=%ff", {}, "invalid_request"),
        ("{}", {"content-type": "application/json"}, "invalid_request"),
        ("grant_type", {}, "invalid_request"),
        ("a=" + "x" * 70_000, {}, "invalid_request"),
        ("&".join(f"p{n}=1" for n in range(100)), {}, "invalid_request"),
    ],
)
def test_bad_input_is_refused_in_the_form_of_the_rfc_and_recorded(
    tmp_path: Path, form: str, headers: dict[str, str], error: str
) -> None:
    async def act(endpoint: Endpoint) -> None:
        text = form.replace("=A", f"={endpoint.agent.id}").replace("=S", f"={endpoint.secret}")
        given = {"content-type": "application/x-www-form-urlencoded", **headers}
        if given.get("authorization") == "BASIC":
            given["authorization"] = _basic(endpoint.agent.id, endpoint.secret)

        response = await endpoint.client.post("/oauth/token", content=text.encode(), headers=given)

        body = response.json()
        assert body["error"] == error
        assert response.status_code == (401 if error == "invalid_client" else 400)
        assert response.headers["cache-control"] == "no-store"
        assert endpoint.secret not in response.text
        event = (await endpoint.events())[body["event"]]
        assert event.type == "token.refused"
        assert (event.reason or "").startswith(error)
        assert endpoint.secret not in msgspec.json.encode(event).decode()

    with_endpoint(tmp_path, act)


def test_an_unknown_agent_and_a_wrong_secret_are_answered_alike_after_the_same_work(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.token()
        answers = []
        for client_id in (endpoint.agent.id, "agt_01JD0000000000000000000000", "nobody"):
            with counted_reads(endpoint.rooms.database) as reads:
                response = await endpoint.token(client_id=client_id, client_secret="acs_wrong")
            body = response.json()
            body.pop("event")
            answers.append((response.status_code, body, reads.count))

        assert answers[0] == answers[1] == answers[2]
        assert answers[0][2] == 1

    with_endpoint(tmp_path, act)


def test_no_other_method_than_post_is_answered(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        response = await endpoint.client.get(
            "/oauth/token", params={"grant_type": "client_credentials", "client_secret": endpoint.secret}
        )

        assert response.status_code == 405

    with_endpoint(tmp_path, act)


def test_when_the_log_cannot_be_written_no_token_leaves(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        with endpoint.rooms.database.writing.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE events RENAME TO gone")

        response = await endpoint.token()

        assert (response.status_code, response.json()["error"]) == (503, "temporarily_unavailable")
        assert "access_token" not in response.text

    with_endpoint(tmp_path, act)


def test_issuing_tokens_asks_the_database_nothing_but_the_group_commit(tmp_path: Path) -> None:
    with recorded_statements() as statements:

        async def act(endpoint: Endpoint) -> None:
            await endpoint.token()
            statements.clear()

            for _ in range(20):
                assert (await endpoint.token()).status_code == 200

            assert_only_group_commits(statements)
            assert len([one for one in statements if one.startswith("UPDATE head")]) == 20

        with_endpoint(tmp_path, act)
