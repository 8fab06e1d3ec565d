"""jwt-bearer with an ID-JAG: an agent acts for a person by the word of their company's identity provider."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from accredit.oauth.client_auth import AuthenticatedClient
from accredit.oauth.errors import InvalidGrant
from accredit.oauth.grant import TokenRequest
from accredit.oauth.grants import make_grants
from accredit.oauth.routes import authorization_server
from accredit.tokens.model import Confirmation
from accredit.web.asgi import Receive, Scope, Send
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER, Served
from tests.oauth.exchanging import claims_of
from tests.oauth.trusting import JWT_BEARER, PEOPLE, Trusting, last_event, new_agent, new_person, with_trusting
from tests.rooms import ADMINISTRATOR

READ = "crm:contacts.read"


def test_a_person_who_is_vouched_for_is_acted_for_and_sees_it_among_their_delegations(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()

        answer = await it.for_person(it.foreign.sign_id_jag(it.endpoint.agent.id))

        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["scope"], body["token_type"]) == (READ, "Bearer")
        assert "refresh_token" not in body
        person = await it.person("bo@acme.example")
        assert person is not None
        claims = claims_of(body["access_token"])
        assert (claims["sub"], claims["act"], claims["aud"]) == (person.id, {"sub": it.endpoint.agent.id}, CRM_RESOURCE)
        assert (claims["acr"], claims["auth_time"]) == ("phr", int(it.foreign.clock.seconds()) - 60)
        (made,) = await it.endpoint.rooms.delegations.of_person(person.id)
        assert (made.agent, made.scopes, made.audience) == (it.endpoint.agent.id, (READ,), CRM_RESOURCE)
        types = [(one.type, one.authentication) for one in await it.endpoint.events()]
        assert ("delegation.created", "id_jag:acme") in types
        assert ("person.created", "id_jag:acme") in types
        event = await last_event(it.endpoint)
        assert (event.type, event.person, event.delegation) == ("token.issued", person.id, made.id)

    with_trusting(tmp_path, act)


def test_the_next_assertion_uses_the_delegation_that_holds(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()
        client = it.endpoint.agent.id

        first = await it.for_person(it.foreign.sign_id_jag(client))
        second = await it.for_person(it.foreign.sign_id_jag(client, jti="another"))

        one, other = claims_of(first.json()["access_token"]), claims_of(second.json()["access_token"])
        assert one["accredit_delegation"] == other["accredit_delegation"]
        assert [each.type for each in await it.endpoint.events()].count("delegation.created") == 1

    with_trusting(tmp_path, act)


def test_a_person_ends_what_their_company_allowed(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()
        answer = await it.for_person(it.foreign.sign_id_jag(it.endpoint.agent.id))
        token = answer.json()["access_token"]
        person = await it.person("bo@acme.example")
        assert person is not None
        delegations = it.endpoint.rooms.delegations
        (made,) = await delegations.of_person(person.id)
        await it.endpoint.verifier.verify(token, CRM_RESOURCE)

        await it.endpoint.rooms.transactions.change(lambda tx: delegations.end_in(tx, made, None, "test"))

        with pytest.raises(Exception, match="ended"):
            await it.endpoint.verifier.verify(token, CRM_RESOURCE)

    with_trusting(tmp_path, act)


def test_an_assertion_is_used_once_also_where_it_made_no_delegation(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()
        client = it.endpoint.agent.id
        first, second = it.foreign.sign_id_jag(client), it.foreign.sign_id_jag(client, jti="another")

        answers = [await it.for_person(token) for token in (first, first, second, second)]

        assert [one.status_code for one in answers] == [200, 400, 200, 400]
        assert {one.json()["error"] for one in answers if one.status_code == 400} == {"invalid_grant"}

    with_trusting(tmp_path, act)


def test_an_assertion_that_was_used_makes_no_delegation_again_after_its_end(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()
        token = it.foreign.sign_id_jag(it.endpoint.agent.id)
        await it.for_person(token)
        person = await it.person("bo@acme.example")
        assert person is not None
        delegations = it.endpoint.rooms.delegations
        (made,) = await delegations.of_person(person.id)
        await it.endpoint.rooms.transactions.change(lambda tx: delegations.end_in(tx, made, None, "test"))

        again = await it.for_person(token)

        assert again.json()["error"] == "invalid_grant"
        assert await delegations.of_person(person.id) == []

    with_trusting(tmp_path, act)


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"client_id": "agt_other"}, "invalid_grant"),
        ({"client_id": ""}, "invalid_grant"),
        ({"client_id": None}, "invalid_grant"),
        ({"aud": "https://other.example"}, "invalid_grant"),
        ({"aud": [ISSUER, "https://other.example"]}, "invalid_grant"),
        ({"aud": f"{ISSUER}/"}, "invalid_grant"),
        ({"aud": f"{ISSUER}/oauth/token"}, "invalid_grant"),
        ({"iss": "https://other.example"}, "invalid_grant"),
        ({"iss": None}, "invalid_grant"),
        ({"jti": None}, "invalid_grant"),
        ({"sub": None}, "invalid_grant"),
        ({"iat": None}, "invalid_grant"),
        ({"exp": 4_000_000_000}, "invalid_grant"),
        ({"exp": 1_799_999_000}, "invalid_grant"),
        ({"cnf": {"jkt": "x"}}, "invalid_grant"),
        ({"cnf": {}}, "invalid_grant"),
        ({"resource": "https://other.example"}, "invalid_target"),
        ({"resource": f"{ISSUER}/gateway/erp"}, "invalid_target"),
        ({"resource": [CRM_RESOURCE, f"{ISSUER}/gateway/erp"]}, "invalid_target"),
        ({"scope": "crm:contacts.write"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"email": "bo@other.example"}, "invalid_grant"),
        ({"email_verified": False}, "invalid_grant"),
        ({"email_verified": None}, "invalid_grant"),
        ({"email": None}, "invalid_grant"),
    ],
    ids=lambda value: "-".join(f"{k}={str(v)[:24]}" for k, v in value.items()) if isinstance(value, dict) else value,
)
def test_an_assertion_that_is_not_quite_right_is_refused(tmp_path: Path, claims: dict[str, Any], error: str) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()
        payload = it.foreign.id_jag(**{"client_id": it.endpoint.agent.id, **claims})

        answer = await it.for_person(it.foreign.sign(payload, header={"typ": "oauth-id-jag+jwt"}))

        assert (answer.status_code, answer.json()["error"]) == (400, error)
        person = await it.person("bo@acme.example")
        assert person is None or await it.endpoint.rooms.delegations.of_person(person.id) == []

    with_trusting(tmp_path, act)


@pytest.mark.parametrize("typ", [None, "JWT", "at+jwt", "OAUTH-ID-JAG+JWT", "application/oauth-id-jag+jwt"], ids=str)
def test_a_token_of_another_type_is_no_grant(tmp_path: Path, typ: str | None) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()
        payload = it.foreign.id_jag(client_id=it.endpoint.agent.id)

        answer = await it.for_person(it.foreign.sign(payload, header={"typ": typ}))

        assert answer.json()["error"] == "invalid_grant"

    with_trusting(tmp_path, act)


def test_an_issuer_of_workloads_vouches_for_nobody_and_the_other_way_round(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("generic")
        await it.is_workload("build-7")

        for_a_person = await it.for_person(it.foreign.sign_id_jag(it.endpoint.agent.id))
        await it.endpoint.oauth.trust.issuers.remove("there", ADMINISTRATOR)
        await it.trust_people()
        for_a_workload = await it.as_workload(it.foreign.sign(it.foreign.generic()))

        assert for_a_person.json()["error"] == for_a_workload.json()["error"] == "invalid_grant"

    with_trusting(tmp_path, act)


def test_an_id_jag_is_no_proof_of_the_client(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()
        token = it.foreign.sign_id_jag(it.endpoint.agent.id)

        alone = await it.as_workload(token)
        named = await it.as_workload(token, client_id=it.endpoint.agent.id)

        assert alone.json()["error"] == named.json()["error"] == "invalid_client"

    with_trusting(tmp_path, act)


def test_scopes_are_those_of_the_assertion_the_agent_the_person_and_the_request_together(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()
        agent, secret = await new_agent(it.endpoint, "writer", roles=("ai-agent-operator",))
        await new_person(it.endpoint, "bo@acme.example")

        async def ask(claims: Mapping[str, Any], **more: str) -> str:
            token = it.foreign.sign_id_jag(agent.id, **claims)
            answer = await it.for_person(token, client_id=agent.id, client_secret=secret, **more)
            return str(answer.json().get("scope", answer.json().get("error")))

        assert await ask({"jti": "1"}) == "crm:contacts.read crm:contacts.write"
        assert await ask({"jti": "2", "scope": READ}) == READ
        assert await ask({"jti": "3", "scope": None}) == "crm:contacts.read crm:contacts.write"
        assert await ask({"jti": "4"}, scope=READ) == READ
        assert await ask({"jti": "5", "scope": READ}, scope="crm:contacts.write") == "invalid_scope"
        await new_person(it.endpoint, "bo@acme.example", roles="[]")
        assert await ask({"jti": "6"}) == "invalid_scope"

    with_trusting(tmp_path, act)


def test_an_administrator_bounds_what_an_issuer_can_grant(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people(PEOPLE + 'scopes = ["crm:contacts.write"]\n')

        answer = await it.for_person(it.foreign.sign_id_jag(it.endpoint.agent.id))

        assert answer.json()["error"] == "invalid_scope"

    with_trusting(tmp_path, act)


def test_who_is_known_keeps_their_roles_and_who_is_not_is_made_only_where_that_is_allowed(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people('[people]\nauthoritative_domains = ["acme.example"]\n')
        client = it.endpoint.agent.id

        unknown = await it.for_person(it.foreign.sign_id_jag(client))
        await new_person(it.endpoint, "bo@acme.example", roles='["delegator", "approver"]')
        known = await it.for_person(it.foreign.sign_id_jag(client))
        by_subject = await it.for_person(it.foreign.sign_id_jag(client, jti="2", email=None, email_verified=None))

        assert unknown.json()["error"] == "invalid_grant"
        assert known.status_code == by_subject.status_code == 200
        person = await it.person("bo@acme.example")
        assert person is not None
        assert person.roles == ("delegator", "approver")

    with_trusting(tmp_path, act)


def test_a_bound_assertion_needs_the_proof_of_its_key(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()
        agent = it.endpoint.agent
        grant = make_grants(it.endpoint.oauth)[JWT_BEARER]
        assertion = it.foreign.sign_id_jag(agent.id, cnf={"jkt": "thumb"})

        def request(jkt: str) -> TokenRequest:
            return TokenRequest(
                client=AuthenticatedClient(agent=agent, method="client_secret_post"),
                parameters={"assertion": assertion},
                confirmation=Confirmation(jkt=jkt),
            )

        with pytest.raises(InvalidGrant, match="bound to a key"):
            await grant.handle(request("another"))
        granted = await grant.handle(request("thumb"))
        await it.endpoint.settlement.settle(granted.permit)

        assert claims_of(granted.token.token.reveal())["cnf"] == {"jkt": "thumb"}

    with_trusting(tmp_path, act)


class _Storage:
    async def get_tokens(self) -> OAuthToken | None:
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        del tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        del client_info


def test_the_official_mcp_sdk_reaches_a_server_by_enterprise_managed_authorization(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()
        asked: list[tuple[str, str]] = []

        async def provide(audience: str, resource: str) -> str:
            asked.append((audience, resource))
            return it.foreign.sign_id_jag(it.endpoint.agent.id, aud=audience, resource=resource)

        async def resource(request: Request) -> Response:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not token:
                return Response(status_code=401)
            caller = await it.endpoint.verifier.verify(token, CRM_RESOURCE)
            return PlainTextResponse(caller.subject)

        server = Served(authorization_server(it.endpoint.oauth))
        pages = Starlette(routes=[Route("/gateway/crm/mcp", resource, methods=["POST"])])

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (pages if scope["path"].startswith("/gateway") else server)(scope, receive, send)

        provider = IdentityAssertionOAuthProvider(
            CRM_RESOURCE, _Storage(), it.endpoint.agent.id, it.endpoint.secret, ISSUER, provide, scope=READ
        )
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=ISSUER, auth=provider) as client:
            answer = await client.post("/gateway/crm/mcp")

        person = await it.person("bo@acme.example")
        assert person is not None
        assert (answer.status_code, answer.text) == (200, person.id)
        assert asked == [(ISSUER, CRM_RESOURCE)]

    with_trusting(tmp_path, act)


def test_nothing_secret_stands_in_the_log(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust_people()
        token = it.foreign.sign_id_jag(it.endpoint.agent.id)
        await it.for_person(token)
        await it.for_person(token)

        written = msgspec.json.encode(await it.endpoint.events()).decode()

        assert token.rpartition(".")[2] not in written
        assert it.endpoint.secret not in written

    with_trusting(tmp_path, act)
