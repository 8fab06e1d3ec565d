"""What a system is told of a call: transaction tokens (draft-ietf-oauth-transaction-tokens-10)."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jwt
import pytest

from accredit.policy.permit import Permit
from accredit.policy.request import TOKEN_ISSUE, AccessRequest, Evidence
from accredit.tokens.transaction import TransactionTokens
from tests.gateway.served import ISSUER, Served, modern, routing, with_scripted
from tests.gateway.upstreams import Received, Upstream, answering_well

READ = modern("tools/call", {"name": "search_contacts", "arguments": {"query": "a"}})
ENGINE = {"engine": "transaction_token"}


def _claims(served: Served, received: Received, audience: str = ISSUER) -> dict[str, Any]:
    """A token as the system checks it, with the published keys and a library of its own."""
    token = received.header("txn-token")
    assert token is not None
    header = jwt.get_unverified_header(token)
    assert header["typ"] == "txntoken+jwt"
    keys = jwt.PyJWKSet.from_dict(served.rooms.keyring.jwks()).keys
    signing = next(key for key in keys if key.key_id == header["kid"])
    claims: dict[str, Any] = jwt.decode(
        token,
        signing,
        algorithms=["ES256"],
        audience=audience,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )
    return claims


def test_a_system_that_asks_for_one_gets_a_token_of_each_call(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        for _ in range(2):
            answer = await served.post(who, READ, **routing("search_contacts"))
            assert answer.status_code == 200

        decided = [one for one in await served.events(of=who) if one.type == "call.decided"]
        first, second = (_claims(served, one) for one in upstream.received)
        assert [first["txn"], second["txn"]] == [one.id for one in decided]
        assert first["sub"] == first["req_wl"] == who.agent.id
        assert first["scope"] == first["tctx"]["action"] == "crm.contacts.search"
        assert (first["tctx"]["system"], first["tctx"]["resource"]) == ("crm", "search_contacts")
        body = hashlib.sha256(upstream.received[0].body).digest()
        assert first["tctx"]["body_s256"] == base64.urlsafe_b64encode(body).rstrip(b"=").decode()
        assert first["rctx"]["req_ip"] == "127.0.0.1"
        assert 0 < first["exp"] - first["iat"] <= 60

    with_scripted(tmp_path, answering_well, act, **ENGINE)


def test_the_trust_domain_can_be_named(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        await served.post(who, READ, **routing("search_contacts"))

        assert _claims(served, upstream.received[0], "corp.example")["aud"] == "corp.example"

    with_scripted(tmp_path, answering_well, act, **ENGINE, trust_domain="corp.example")


@pytest.mark.parametrize("engine", ["none", "transaction_token"])
def test_a_token_that_the_agent_brings_is_never_forwarded(tmp_path: Path, engine: str) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        await served.post(who, READ, **routing("search_contacts"), **{"Txn-Token": "forged"})

        sent = [value for name, value in upstream.received[0].headers if name == "txn-token"]
        assert "forged" not in str(upstream.received)
        assert len(sent) == (0 if engine == "none" else 1)

    with_scripted(tmp_path, answering_well, act, engine=engine)


def test_a_refused_call_makes_no_token(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        answer = await served.call(who, "create_contact", {"name": "n"})

        assert answer.json()["result"]["isError"] is True
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act, **ENGINE)


def test_a_transaction_token_is_no_access_token(tmp_path: Path) -> None:
    """RFC 8725 §2.8: a system that was shown one cannot call in the agent's name with it."""

    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        await served.post(who, READ, **routing("search_contacts"))
        stolen = upstream.received[0].header("txn-token")

        answer = await served.client.post(served.url, json=READ, headers={"Authorization": f"Bearer {stolen}"})

        assert answer.status_code == 401
        assert len(upstream.received) == 1

    with_scripted(tmp_path, answering_well, act, **ENGINE)


def test_a_permit_to_issue_a_token_makes_no_transaction_token(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()
        system = served.rooms.systems.get("crm")
        assert system is not None
        request = AccessRequest(agent=who.agent, action=TOKEN_ISSUE, system=system, evidence=Evidence(token_id="t"))
        permit = served.policy.decide(request)
        assert isinstance(permit, Permit)

        with pytest.raises(TypeError):
            await TransactionTokens(ISSUER, "", served.rooms.keyring, served.rooms.clock).issue(permit, None)
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)
