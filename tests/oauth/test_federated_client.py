"""Workloads prove themselves by the tokens of their platforms, as client assertion and as jwt-bearer grant."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accredit.errors import Conflict
from tests.federation.foreign import OBJECT, Foreign
from tests.oauth.endpoint import CRM_RESOURCE
from tests.oauth.trusting import JWT_SPIFFE, PINS, SCOUT, Trusting, last_event, new_agent, with_trusting
from tests.rooms import ADMINISTRATOR

# kind → the subject of its token, and how the platform makes the token
PLATFORMS: dict[str, tuple[str, Callable[[Foreign], str]]] = {
    "kubernetes": ("system:serviceaccount:prod:scout", lambda it: it.sign(it.kubernetes())),
    "spiffe": (SCOUT, lambda it: it.sign(it.svid(), alg="ES256", header={"typ": "JWT"})),
    "github_actions": ("repo:acme/scout:ref:refs/heads/main", lambda it: it.sign(it.github(), header={"typ": "JWT"})),
    "entra": (OBJECT, lambda it: it.sign(it.entra(), header={"typ": "JWT", "x5t": "thumb"})),
    "google": ("113774264463038321964", lambda it: it.sign(it.google(), header={"typ": "JWT"})),
    "aws": ("arn:aws:iam::123456789012:role/scout", lambda it: it.sign(it.aws(), alg="ES256")),
    "generic": ("build-7", lambda it: it.sign(it.generic(), header={"typ": "JWT"})),
}
REUSED = {"kubernetes", "spiffe", "entra", "google"}


@pytest.mark.parametrize("kind", PLATFORMS)
def test_a_workload_of_each_platform_gets_a_token_as_the_agent_that_it_is(tmp_path: Path, kind: str) -> None:
    subject, make = PLATFORMS[kind]

    async def act(it: Trusting) -> None:
        await it.trust(kind)
        await it.is_workload(subject, **PINS.get(kind, {}))

        answer = await it.as_workload(make(it.foreign))

        assert answer.status_code == 200, answer.text
        assert answer.json()["scope"] == "crm:contacts.read"
        caller = await it.endpoint.verifier.verify(answer.json()["access_token"], CRM_RESOURCE)
        assert caller.subject == caller.agent.id == it.endpoint.agent.id
        event = await last_event(it.endpoint)
        assert (event.type, event.authentication, event.agent_name) == ("token.issued", "workload_assertion", "reader")

    with_trusting(tmp_path, act)


@pytest.mark.parametrize("kind", PLATFORMS)
def test_a_token_is_taken_again_only_where_the_platform_hands_it_out_again(tmp_path: Path, kind: str) -> None:
    subject, make = PLATFORMS[kind]

    async def act(it: Trusting) -> None:
        await it.trust(kind)
        await it.is_workload(subject, **PINS.get(kind, {}))
        token = make(it.foreign)

        first, second = await it.as_client(token), await it.as_client(token)

        assert first.status_code == 200, first.text
        assert second.status_code == (200 if kind in REUSED else 401)

    with_trusting(tmp_path, act)


def test_an_issuer_can_be_told_to_have_its_tokens_used_once(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("kubernetes", "single_use = true\n")
        await it.is_workload("system:serviceaccount:prod:scout")
        token = it.foreign.sign(it.foreign.kubernetes())

        assert (await it.as_client(token)).status_code == 200
        assert (await it.as_client(token)).json()["error"] == "invalid_client"
        without = it.foreign.sign(it.foreign.kubernetes(jti=None))
        assert (await it.as_client(without)).json()["error"] == "invalid_client"

    with_trusting(tmp_path, act)


def test_a_jwt_svid_is_a_client_assertion_of_its_own_type(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("spiffe")
        await it.is_workload(SCOUT)
        svid = it.foreign.sign(it.foreign.svid(), alg="ES256")

        by_spiffe_id = await it.as_client(svid, JWT_SPIFFE, client_id=SCOUT)
        by_id = await it.as_client(svid, JWT_SPIFFE, client_id=it.endpoint.agent.id)
        by_nothing = await it.as_client(svid, JWT_SPIFFE)
        by_another = await it.as_client(svid, JWT_SPIFFE, client_id=f"{SCOUT}x")

        assert [one.status_code for one in (by_spiffe_id, by_id, by_nothing, by_another)] == [200, 200, 200, 401]
        issued = [one for one in await it.endpoint.events() if one.type == "token.issued"]
        assert {one.authentication for one in issued} == {"spiffe_jwt"}

    with_trusting(tmp_path, act)


def test_the_spiffe_type_takes_no_token_of_another_platform(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("kubernetes")
        await it.is_workload("system:serviceaccount:prod:scout")
        token = it.foreign.sign(it.foreign.kubernetes())

        assert (await it.as_client(token, JWT_SPIFFE)).status_code == 401
        assert (await it.as_client(token)).status_code == 200

    with_trusting(tmp_path, act)


@pytest.mark.parametrize(
    ("iss", "status"),
    [(None, 200), (SCOUT, 200), ("https://oidc.example.org", 200), ("https://other.example", 400)],
    ids=["none", "the id itself", "as described", "another"],
)
def test_the_issuer_of_a_jwt_svid_is_its_trust_domain_whatever_it_writes_there(
    tmp_path: Path, iss: str | None, status: int
) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("spiffe", iss="https://oidc.example.org")
        await it.is_workload(SCOUT)

        assert (await it.as_workload(it.foreign.sign(it.foreign.svid(iss=iss)))).status_code == status

    with_trusting(tmp_path, act)


def test_a_spiffe_bundle_marks_its_keys_for_svids(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        it.foreign.published = [{**key, "use": "jwt-svid"} for key in it.foreign.published]
        await it.trust("spiffe")
        await it.is_workload(SCOUT)

        assert (await it.as_workload(it.foreign.sign(it.foreign.svid()))).status_code == 200

    with_trusting(tmp_path, act)


def test_keys_can_stand_in_the_description_so_that_nobody_is_asked(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        jwks = json.dumps({"keys": it.foreign.published})
        await it.trust("kubernetes", f"jwks = '{jwks}'\n", jwks_uri="")
        await it.is_workload("system:serviceaccount:prod:scout")

        assert (await it.as_workload(it.foreign.sign(it.foreign.kubernetes()))).status_code == 200
        assert it.foreign.requests == []

    with_trusting(tmp_path, act)


def test_without_an_address_of_keys_the_issuers_metadata_names_them(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("kubernetes", jwks_uri="")
        await it.is_workload("system:serviceaccount:prod:scout")

        assert (await it.as_workload(it.foreign.sign(it.foreign.kubernetes()))).status_code == 200
        assert it.foreign.requests == ["/.well-known/openid-configuration", "/jwks"]

    with_trusting(tmp_path, act)


# kind → claims that make the token one of another workload, or of none
WRONG: dict[str, list[dict[str, Any]]] = {
    "kubernetes": [
        {"sub": "system:serviceaccount:prod:other"},
        {"sub": "system:serviceaccount:prod:scout:more"},
        {"kubernetes.io": None},
        {"kubernetes.io": {"namespace": "dev", "serviceaccount": {"name": "scout", "uid": "1"}}},
        {"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "other", "uid": "1"}}},
        {"kubernetes.io": "prod"},
        {"exp": 4_000_000_000},
    ],
    "spiffe": [
        {"sub": "spiffe://example.org"},
        {"sub": "spiffe://example.com/ns/prod/sa/scout"},
        {"sub": "spiffe://example.org/ns/prod/sa/../sa/scout"},
        {"sub": "spiffe://example.org/ns/prod/sa/scout/"},
        {"sub": "spiffe://example.org@evil.example/ns/prod/sa/scout"},
        {"exp": None},
    ],
    "github_actions": [
        {"repository_owner_id": "999"},
        {"repository": "mallory/scout"},
        {"repository_id": None},
        {"jti": None},
        {"sub": "repo:acme/scout:pull_request"},
        {"iss": f"{'https://token.actions.githubusercontent.com'}/mallory"},
    ],
    "entra": [
        {"tid": "00000000-0000-0000-0000-000000000000"},
        {"oid": "00000000-0000-0000-0000-000000000000"},
        {"scp": "user_impersonation"},
        {"idtyp": "user"},
        {"iss": "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0"},
    ],
    "google": [
        {"email": "mallory@gmail.com"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"azp": "1"},
    ],
    "aws": [
        {"https://sts.amazonaws.com/": {"aws_account": "999999999999"}},
        {"https://sts.amazonaws.com/": None},
        {"sub": "arn:aws:iam::999999999999:role/scout"},
    ],
    "generic": [{"jti": None}, {"jti": ""}, {"iat": None}, {"sub": ""}, {"sub": "build-8"}, {"cnf": {"jkt": "x"}}],
}
_FIXTURES = {"github_actions": "github", "spiffe": "svid"}


@pytest.mark.parametrize(
    ("kind", "claims"),
    [(kind, claims) for kind, listed in WRONG.items() for claims in listed],
    ids=[
        f"{kind}-{number}-{next(iter(claims))}"
        for kind, listed in WRONG.items()
        for number, claims in enumerate(listed)
    ],
)
def test_a_token_that_is_not_quite_the_workloads_proves_nothing(
    tmp_path: Path, kind: str, claims: dict[str, Any]
) -> None:
    subject, make = PLATFORMS[kind]

    async def act(it: Trusting) -> None:
        await it.trust(kind)
        await it.is_workload(subject, **PINS.get(kind, {}))
        made = getattr(it.foreign, _FIXTURES.get(kind, kind))

        answer = await it.as_workload(it.foreign.sign(made(**claims)))

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
        assert (await it.as_workload(make(it.foreign))).status_code == 200

    with_trusting(tmp_path, act)


def test_a_credential_can_demand_more_than_the_subject(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("kubernetes")
        claims = {"kubernetes.io/pod/name": "scout-7f4c", "kubernetes.io/serviceaccount/uid": "5b2e"}
        await it.is_workload("system:serviceaccount:prod:scout", **claims)
        details = it.foreign.kubernetes()["kubernetes.io"]
        right = {**details, "serviceaccount": {"name": "scout", "uid": "5b2e"}}

        assert (await it.as_workload(it.foreign.sign(it.foreign.kubernetes()))).status_code == 400
        token = it.foreign.sign(it.foreign.kubernetes(**{"kubernetes.io": right}))
        assert (await it.as_workload(token)).status_code == 200
        # A claim of that very name is not the member of the object.
        forged = it.foreign.kubernetes(**{"kubernetes.io": right, "kubernetes.io/pod/name": "scout-7f4c"})
        assert (await it.as_workload(it.foreign.sign(forged))).status_code == 400

    with_trusting(tmp_path, act)


def test_a_workload_is_one_agent(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("kubernetes")
        await new_agent(it.endpoint, "other")
        mine = await it.is_workload("system:serviceaccount:prod:scout")

        with pytest.raises(Conflict):
            await it.is_workload("system:serviceaccount:prod:scout", "other")
        await it.endpoint.rooms.agents.revoke_credential("reader", mine, ADMINISTRATOR)
        await it.is_workload("system:serviceaccount:prod:scout", "other")

        await it.as_workload(it.foreign.sign(it.foreign.kubernetes()))
        assert (await last_event(it.endpoint)).agent_name == "other"

    with_trusting(tmp_path, act)


def test_a_revoked_credential_a_suspended_agent_and_a_removed_issuer_prove_nothing(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("kubernetes")
        mine = await it.is_workload("system:serviceaccount:prod:scout")
        token = it.foreign.sign(it.foreign.kubernetes())
        agents = it.endpoint.rooms.agents

        async def status() -> int:
            return (await it.as_workload(token)).status_code

        assert await status() == 200
        await agents.suspend("reader", ADMINISTRATOR)
        assert await status() == 400
        await agents.resume("reader", ADMINISTRATOR)
        assert await status() == 200
        await it.endpoint.oauth.trust.issuers.remove("there", ADMINISTRATOR)
        assert await status() == 400
        await it.trust("kubernetes")
        assert await status() == 200
        await agents.revoke_credential("reader", mine, ADMINISTRATOR)
        assert await status() == 400

    with_trusting(tmp_path, act)


def test_an_audience_can_be_described_where_the_platform_cannot_write_ours(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        application = "api://accredit"
        await it.trust("entra", audience=application)
        await it.is_workload(OBJECT)

        assert (await it.as_workload(it.foreign.sign(it.foreign.entra()))).status_code == 400
        assert (await it.as_workload(it.foreign.sign(it.foreign.entra(aud=application)))).status_code == 200

    with_trusting(tmp_path, act)


def test_the_scope_and_resource_of_a_workload_are_cut_as_those_of_client_credentials(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("kubernetes")
        await it.is_workload("system:serviceaccount:prod:scout")
        token = it.foreign.sign(it.foreign.kubernetes())

        narrowed = await it.as_workload(token, resource=CRM_RESOURCE, scope="crm:contacts.read crm:contacts.write")
        refused = await it.as_workload(token, scope="crm:contacts.write")
        elsewhere = await it.as_workload(token, resource="https://other.example")

        assert narrowed.json()["scope"] == "crm:contacts.read"
        assert refused.json()["error"] == "invalid_scope"
        assert elsewhere.json()["error"] == "invalid_target"

    with_trusting(tmp_path, act)


def test_a_workloads_assertion_is_no_second_way_beside_another(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("kubernetes")
        await it.is_workload("system:serviceaccount:prod:scout")
        token = it.foreign.sign(it.foreign.kubernetes())

        beside_a_secret = await it.for_person(token)
        beside_an_id = await it.as_workload(token, client_id=it.endpoint.agent.id)
        beside_anothers_id = await it.as_workload(token, client_id="agt_other")

        assert beside_a_secret.json()["error"] == "invalid_grant"
        assert beside_an_id.status_code == 200
        assert beside_anothers_id.json()["error"] == "invalid_grant"

    with_trusting(tmp_path, act)


def test_an_agents_own_key_still_proves_it_where_issuers_are_trusted(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("generic")
        await it.is_workload(it.endpoint.agent.id)
        # `iss` and `sub` are the agent's: its own assertion, which no key of the agent's fits.
        forged = it.foreign.sign(it.foreign.generic(iss=it.endpoint.agent.id, sub=it.endpoint.agent.id))

        answer = await it.as_client(forged)

        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert (await last_event(it.endpoint)).authentication == "private_key_jwt"

    with_trusting(tmp_path, act)
