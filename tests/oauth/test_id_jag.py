"""ID-JAG as issuer: who is signed in here is vouched for at a server that an administrator listed."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop
from authlib.oauth2.drafts.id_jag import IDJAGGrant  # type: ignore[import-untyped,unused-ignore]
from joserfc import jws
from joserfc.jwk import KeySet

from accredit.delegations.model import Delegation
from accredit.ids import DelegationId, FamilyId, PersonId
from accredit.people.model import Person, Session
from accredit.people.sessions import Sessions
from accredit.sensitive import Sensitive
from accredit.storage.writer import Tx
from accredit.tokens.identity import IdTokens
from accredit.tokens.model import Confirmation
from accredit.tokens.refresh import RefreshFamily
from tests.federation.foreign import describe
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER, Endpoint, open_endpoint
from tests.oauth.exchanging import claims_of, token_of
from tests.oauth.trusting import ACCESS_TOKEN, EXCHANGE, JWT_BEARER, new_agent, new_person
from tests.rooms import ADMINISTRATOR

ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"
THERE = "https://chat.example"
API = "https://api.chat.example/"
PEER = f"""
[peer.resources]
"{API}" = ["chat.read", "chat.history"]

[peer.clients]
reader = "f53f191f9311af35"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouching:
    """The endpoint, a person who is signed in, and their session."""

    endpoint: Endpoint
    person: Person
    session: Session
    sessions: Sessions

    async def id_token(self, **more: Any) -> str:
        oauth = self.endpoint.oauth
        given = {
            "access_token": Sensitive("x"),
            "nonce": "",
            "auth_time": self.session.auth_time,
            "acr": "phr",
            "amr": ("hwk",),
            "session": self.session.id,
            **more,
        }
        agent = given.pop("agent", self.endpoint.agent)
        tokens = IdTokens(oauth.issuer, oauth.keyring, oauth.clock, oauth.new_id)
        return (await tokens.issue(agent, self.person, **given)).reveal()

    def refresh_token(self, **more: Any) -> str:
        now = self.endpoint.rooms.clock.seconds()
        given: dict[str, Any] = {
            "id": FamilyId("rfm_1"),
            "generation": 0,
            "agent": self.endpoint.agent.id,
            "epoch": 1,
            "person": self.person.id,
            "delegation": DelegationId("dlg_1"),
            "audience": ISSUER,
            "scopes": ("openid",),
            "expires_at": now + 3_600,
            "acr": "phr",
            "amr": ("hwk",),
            "auth_time": now - 60,
            **more,
        }
        return self.endpoint.oauth.refresh_tokens.seal(RefreshFamily(**given)).reveal()

    async def ask(self, subject: str, kind: str = ID_TOKEN, **more: str) -> httpx2.Response:
        form = {
            "grant_type": EXCHANGE,
            "requested_token_type": ID_JAG,
            "subject_token": subject,
            "subject_token_type": kind,
            "audience": THERE,
            "resource": API,
        }
        return await self.endpoint.token({**form, **more})


async def let_know(endpoint: Endpoint, person: Person, session: Session) -> Delegation:
    """The delegation that an ID token comes of: the agent may know who the person is."""
    delegations, now = endpoint.rooms.delegations, endpoint.rooms.clock.seconds()
    made = Delegation(
        id=delegations.new_id(),
        person=person.id,
        agent=endpoint.agent.id,
        system="accredit",
        audience=ISSUER,
        scopes=("openid",),
        details=(),
        remembered=False,
        created_at=now,
        expires_at=now + 86_400,
    )
    await endpoint.rooms.transactions.change(
        lambda tx: delegations.make(tx, made, endpoint.agent, session, session.authentication)
    )
    return made


def with_vouching(folder: Path, act: Callable[[Vouching], Awaitable[None]], peer: str = PEER) -> None:
    async def run() -> None:
        async with open_endpoint(folder) as endpoint:
            text = describe("chat", THERE, "provider", peer)
            await endpoint.oauth.trust.issuers.add(text, "chat.toml", ADMINISTRATOR)
            person = await new_person(endpoint, "bo@example.com")
            sessions = Sessions(endpoint.rooms.transactions, endpoint.rooms.clock, endpoint.oauth.new_id)
            session, _ = await sessions.start(person, authentication="passkey", acr="phr", amr=("hwk",))
            await let_know(endpoint, person, session)
            await act(Vouching(endpoint=endpoint, person=person, session=session, sessions=sessions))

    uvloop.run(run())


def test_an_id_token_becomes_an_assertion_for_the_server_that_is_listed(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        answer = await it.ask(await it.id_token(), scope="chat.read chat.write")

        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert {key: body[key] for key in body if key != "access_token"} == {
            "issued_token_type": ID_JAG,
            "token_type": "N_A",
            "expires_in": 300,
            "scope": "chat.read",
        }
        now = int(it.endpoint.rooms.clock.seconds())
        claims = claims_of(body["access_token"])
        event = (await it.endpoint.events())[-1]
        assert claims == {
            "iss": ISSUER,
            "sub": it.person.id,
            "aud": THERE,
            "client_id": "f53f191f9311af35",
            "jti": event.token_id,
            "iat": now,
            "exp": now + 300,
            "resource": API,
            "scope": "chat.read",
            "auth_time": int(it.session.auth_time),
            "acr": "phr",
            "amr": ["hwk"],
        }
        assert jws.extract_compact(body["access_token"].encode()).headers()["typ"] == "oauth-id-jag+jwt"
        assert (event.type, event.resource, event.person, event.system) == (
            "token.issued",
            THERE,
            it.person.id,
            "accredit",
        )

    with_vouching(tmp_path, act)


def test_a_refresh_token_becomes_one_too_and_stays_the_one_to_use_next(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        token = it.refresh_token()

        answers = [await it.ask(token, REFRESH_TOKEN) for _ in range(2)]

        assert [one.status_code for one in answers] == [200, 200], answers[0].text
        assert answers[0].json()["scope"] == "chat.read chat.history"
        event = (await it.endpoint.events())[-1]
        assert (event.delegation, event.person) == ("dlg_1", it.person.id)

    with_vouching(tmp_path, act)


def test_authlib_takes_our_assertion(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        token = (await it.ask(await it.id_token())).json()["access_token"]
        keys = KeySet.import_key_set(it.endpoint.oauth.keyring.jwks())  # type: ignore[arg-type]  # a plain dict

        class Theirs(IDJAGGrant):  # type: ignore[misc,unused-ignore]
            def resolve_issuer_key(self, issuer: str, headers: dict[str, Any]) -> Any:
                assert issuer == ISSUER
                return keys.get_by_kid(headers["kid"])

            def get_audiences(self) -> list[str]:
                return [THERE]

        # Its clock is the machine's: the time is checked above.
        Theirs.LEEWAY = 10**9
        found = Theirs(None, None)._process_assertion_claims(token)

        assert found["client_id"] == "f53f191f9311af35"

    with_vouching(tmp_path, act)


def test_two_installations_chain_a_person_from_one_to_the_other(tmp_path: Path) -> None:
    other = "http://localhost:8500"
    resource = f"{other}/gateway/crm/mcp"

    async def act(it: Vouching) -> None:
        (tmp_path / "other").mkdir()
        async with open_endpoint(tmp_path / "other", issuer=other) as there:
            peer = (
                f'[peer.resources]\n"{resource}" = ["crm:contacts.read"]\n[peer.clients]\nreader = "{there.agent.id}"'
            )
            await it.endpoint.oauth.trust.issuers.add(describe("b", other, "provider", peer), "b.toml", ADMINISTRATOR)
            people = "[people]\n"
            jwks = f"jwks = '{json.dumps(it.endpoint.oauth.keyring.jwks())}'\n"
            text = describe("a", ISSUER, "provider", jwks + people)
            await there.oauth.trust.issuers.add(text, "a.toml", ADMINISTRATOR)
            bo = await new_person(there, "bo@example.com")
            await there.oauth.trust.identities.link(ISSUER, it.person.id, "bo@example.com", ADMINISTRATOR)

            leg1 = await it.ask(await it.id_token(), audience=other, resource=resource)
            leg2 = await there.token(grant_type=JWT_BEARER, assertion=leg1.json()["access_token"])

            assert leg2.status_code == 200, leg2.text
            caller = await there.verifier.verify(leg2.json()["access_token"], resource)
            assert (caller.subject, caller.agent.id) == (bo.id, there.agent.id)

    with_vouching(tmp_path, act)


def test_our_own_assertion_is_no_grant_here(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        token = (await it.ask(await it.id_token())).json()["access_token"]

        assert (await it.endpoint.token(grant_type=JWT_BEARER, assertion=token)).json()["error"] == "invalid_grant"
        with pytest.raises(Exception, match="this installation itself"):
            text = describe("self", ISSUER, "provider", "[people]")
            await it.endpoint.oauth.trust.issuers.add(text, "self.toml", ADMINISTRATOR)

    with_vouching(tmp_path, act)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"audience": ""}, "invalid_request"),
        ({"audience": "https://other.example"}, "invalid_target"),
        ({"audience": f"{THERE}/"}, "invalid_target"),
        ({"audience": ISSUER}, "invalid_target"),
        ({"resource": "https://other.example"}, "invalid_target"),
        ({"resource": ""}, None),
        ({"scope": "chat.write"}, "invalid_scope"),
        ({"actor_token": "x", "actor_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"subject_token": "x"}, "invalid_grant"),
        ({"subject_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"subject_token_type": REFRESH_TOKEN}, "invalid_grant"),
    ],
    ids=lambda value: "-".join(f"{k}={v[-14:]}" for k, v in value.items()) if isinstance(value, dict) else str(value),
)
def test_what_is_not_listed_is_not_vouched_for(tmp_path: Path, more: dict[str, str], error: str | None) -> None:
    async def act(it: Vouching) -> None:
        answer = await it.ask(await it.id_token(), **more)

        assert answer.json().get("error") == error

    with_vouching(tmp_path, act)


def test_an_agent_that_is_not_listed_is_not_known_there(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        other, secret = await new_agent(it.endpoint, "other")
        own = await it.id_token(agent=other)

        answer = await it.ask(own, client_id=other.id, client_secret=secret)

        assert answer.json()["error"] == "unauthorized_client"

    with_vouching(tmp_path, act)


def test_an_id_token_of_another_client_proves_nothing(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        other, _ = await new_agent(it.endpoint, "other")

        assert (await it.ask(await it.id_token(agent=other))).json()["error"] == "invalid_grant"

    with_vouching(tmp_path, act)


def test_an_access_token_is_no_id_token(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        token = await token_of(it.endpoint, it.endpoint.agent, it.endpoint.secret)

        assert (await it.ask(token)).json()["error"] == "invalid_grant"

    with_vouching(tmp_path, act)


def test_nobody_is_vouched_for_after_they_signed_out_or_their_id_token_expired(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        token = await it.id_token()
        without = await it.id_token(session=None)
        assert (await it.ask(without)).json()["error"] == "invalid_grant"
        assert (await it.ask(token)).status_code == 200

        await it.sessions.end(it.session)

        assert (await it.ask(token)).json()["error"] == "invalid_grant"

    with_vouching(tmp_path, act)


def test_nobody_is_vouched_for_to_an_agent_after_they_took_back_what_they_gave_it(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        token, delegations = await it.id_token(), it.endpoint.rooms.delegations
        assert (await it.ask(token)).status_code == 200
        [given] = await delegations.of_person(it.person.id)

        await delegations.end(it.person.id, given.id, it.session)
        answer = await it.ask(token)

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")

    with_vouching(tmp_path, act)


def test_an_id_token_that_expired_proves_nothing(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        token = await it.id_token()
        it.endpoint.rooms.clock.move(3_700)
        await it.endpoint.rooms.feed.poll()

        assert (await it.ask(token)).json()["error"] == "invalid_grant"

    with_vouching(tmp_path, act)


@pytest.mark.parametrize(
    "more",
    [
        {"agent": "agt_other"},
        {"epoch": 0},
        {"expires_at": 1_700_000_000.0},
        {"person": PersonId("per_nobody")},
        {"confirmation": Confirmation(jkt="x")},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_refresh_token_that_is_not_the_clients_or_not_good_proves_nothing(
    tmp_path: Path, more: dict[str, Any]
) -> None:
    async def act(it: Vouching) -> None:
        answer = await it.ask(it.refresh_token(**more), REFRESH_TOKEN)

        assert answer.json()["error"] == "invalid_grant"

    with_vouching(tmp_path, act)


@pytest.mark.parametrize("thing", ["rfm_1", "dlg_1"])
def test_a_refresh_token_whose_family_or_delegation_ended_proves_nothing(tmp_path: Path, thing: str) -> None:
    async def act(it: Vouching) -> None:
        token = it.refresh_token()
        assert (await it.ask(token, REFRESH_TOKEN)).status_code == 200

        def write(tx: Tx) -> None:
            it.endpoint.rooms.revocations.end(tx, thing, it.endpoint.rooms.clock.seconds() + 60)

        await it.endpoint.rooms.transactions.change(write)

        assert (await it.ask(token, REFRESH_TOKEN)).json()["error"] == "invalid_grant"

    with_vouching(tmp_path, act)


def test_a_suspended_agent_is_vouched_for_nowhere(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        token = await it.id_token()
        await it.endpoint.rooms.agents.suspend("reader", ADMINISTRATOR)

        assert (await it.ask(token)).json()["error"] == "invalid_client"

    with_vouching(tmp_path, act)


def test_an_agent_that_is_known_there_by_its_own_id_needs_no_other(tmp_path: Path) -> None:
    async def act(it: Vouching) -> None:
        token = (await it.ask(await it.id_token(), resource="")).json()["access_token"]

        assert claims_of(token)["client_id"] == it.endpoint.agent.id
        assert claims_of(token)["resource"] == CRM_RESOURCE

    peer = f'[peer.resources]\n"{CRM_RESOURCE}" = ["a"]\n[peer.clients]\nreader = ""\n'
    with_vouching(tmp_path, act, peer)
