"""Tokens that are bound to a key, at the gateway (RFC 9449 §7, RFC 8705 §3)."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop

from accredit.policy.cedar import compile_policies
from accredit.policy.starter import starter_sources
from accredit.tokens.model import Confirmation
from tests.gateway.served import ISSUER, AgentWithToken, Served, modern, open_gateway, routing, with_scripted
from tests.gateway.upstreams import Upstream, answering_well, scripted
from tests.proofs import ProofKey, new_proof_key

URL = f"{ISSUER}/gateway/crm/mcp"
READ = modern("tools/call", {"name": "search_contacts", "arguments": {"query": "a"}})
KEY = new_proof_key()
OTHER = new_proof_key()


async def _bound(served: Served, role: str = "ai-agent-readonly") -> AgentWithToken:
    who = await served.agent(role=role)
    return await served.token_for(who.agent, confirmation=Confirmation(jkt=KEY.thumbprint))


def _proof(served: Served, who: AgentWithToken, key: ProofKey = KEY, **claims: Any) -> str:
    claims = {"token": who.token, **claims}
    return key.proof(claims.pop("htm", "POST"), claims.pop("htu", URL), served.rooms.clock.now, **claims)


async def _read(served: Served, who: AgentWithToken, *proofs: str, scheme: str = "DPoP") -> httpx2.Response:
    fixed = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Authorization": f"{scheme} {who.token}",
        **routing("search_contacts"),
    }
    return await served.client.post(
        served.url, json=READ, headers=[*fixed.items(), *(("DPoP", proof) for proof in proofs)]
    )


def test_a_bound_token_with_its_proof_is_taken_and_the_record_says_how(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await _bound(served)

        answer = await _read(served, who, _proof(served, who))

        assert answer.status_code == 200, answer.text
        assert len(upstream.received) == 1
        assert upstream.received[0].header("dpop") is None
        assert upstream.received[0].header("authorization") is None
        assert (await served.events())[0].sender_constraint == "dpop"

    with_scripted(tmp_path, answering_well, act)


PRESENTED: dict[str, Callable[[Served, AgentWithToken], Awaitable[httpx2.Response]]] = {
    "as Bearer": lambda s, w: _read(s, w, scheme="Bearer"),
    "as Bearer with a proof": lambda s, w: _read(s, w, _proof(s, w), scheme="Bearer"),
    "without a proof": _read,
    "with two proofs": lambda s, w: _read(s, w, _proof(s, w), _proof(s, w)),
    "with a proof of another key": lambda s, w: _read(s, w, _proof(s, w, OTHER)),
    "with a proof for another token": lambda s, w: _read(s, w, _proof(s, w, token="another")),
    "with a proof for no token": lambda s, w: _read(s, w, _proof(s, w, token=None)),
    "with a proof for another method": lambda s, w: _read(s, w, _proof(s, w, htm="GET")),
    "with a proof for the token endpoint": lambda s, w: _read(s, w, _proof(s, w, htu=f"{ISSUER}/oauth/token")),
    "with a proof for the address that the Host header names": lambda s, w: _read(s, w, _proof(s, w, htu=s.url)),
    "with an old proof": lambda s, w: _read(s, w, _proof(s, w, iat=1_700_000_000)),
}


@pytest.mark.parametrize("name", PRESENTED)
def test_a_bound_token_that_is_presented_otherwise_is_refused(tmp_path: Path, name: str) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await _bound(served)

        answer = await PRESENTED[name](served, who)

        assert answer.status_code == 401
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith("DPoP error=")
        assert 'algs="ES256 ' in challenge
        assert upstream.received == []
        assert who.token not in answer.text

    with_scripted(tmp_path, answering_well, act)


def test_a_stolen_token_without_its_key_is_on_record(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await _bound(served)

        answer = await _read(served, who, scheme="Bearer")

        recorded = (await served.events(of=who))[-1]
        assert (recorded.type, recorded.decision) == ("call.refused", "deny")
        assert answer.json()["event"] is not None

    with_scripted(tmp_path, answering_well, act)


def test_an_unbound_token_that_comes_as_dpop_is_refused(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await served.agent()

        answer = await _read(served, who, _proof(served, who))

        assert answer.status_code == 401
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


def test_a_proof_is_used_once_and_the_second_call_is_not_forwarded(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await _bound(served)
        proof = _proof(served, who)
        assert (await _read(served, who, proof)).status_code == 200

        again = await _read(served, who, proof)

        assert again.status_code == 401
        assert 'error="invalid_dpop_proof"' in again.headers["www-authenticate"]
        assert len(upstream.received) == 1
        assert (await served.events(of=who))[-1].type == "call.refused"

    with_scripted(tmp_path, answering_well, act)


def test_of_many_calls_at_once_with_one_proof_one_is_forwarded(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await _bound(served)
        proof = _proof(served, who)

        answers = await asyncio.gather(*(_read(served, who, proof) for _ in range(8)))

        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7
        assert len(upstream.received) == 1

    with_scripted(tmp_path, answering_well, act)


def test_a_used_proof_is_refused_by_the_gateway_that_comes_after_a_restart(tmp_path: Path) -> None:
    async def run() -> None:
        async with scripted(answering_well) as upstream:
            (tmp_path / "a").mkdir()
            async with open_gateway(tmp_path / "a", upstream.url, learn=False) as served:
                who = await _bound(served)
                proof = _proof(served, who)
                assert (await _read(served, who, proof)).status_code == 200
            async with open_gateway(tmp_path / "a", upstream.url, learn=False, fresh=False) as served:
                again = await _read(served, who, proof)
                other = await _read(served, who, _proof(served, who))

            assert again.status_code == 401
            assert other.status_code == 200
            assert len(upstream.received) == 2

    uvloop.run(run())


def test_a_proof_that_was_used_for_a_refused_call_is_used_up(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await _bound(served)
        proof = _proof(served, who)
        body = modern("tools/call", {"name": "create_contact", "arguments": {"name": "n"}})
        headers = {"Authorization": f"DPoP {who.token}", "DPoP": proof}
        refused = await served.post(who, body, **{**routing("create_contact"), **headers})
        assert refused.json()["result"]["isError"] is True

        assert (await _read(served, who, proof)).status_code == 401
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act)


def test_with_nonces_on_a_proof_is_asked_to_hold_one_and_then_taken(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await _bound(served)
        asked = await _read(served, who, _proof(served, who))
        assert asked.status_code == 401
        assert 'error="use_dpop_nonce"' in asked.headers["www-authenticate"]
        assert upstream.received == []

        answer = await _read(served, who, _proof(served, who, nonce=asked.headers["dpop-nonce"]))

        assert answer.status_code == 200
        assert "dpop-nonce" in answer.headers
        # The step before was none that anybody has to know of.
        assert next(one.type for one in await served.events(of=who)) == "call.decided"

    with_scripted(tmp_path, answering_well, act, nonces=True)


def test_where_tokens_must_be_bound_the_challenge_says_so_and_an_unbound_one_is_refused(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        nothing = await served.client.post(served.url, json=READ)
        who = await served.agent()
        unbound = await served.post(who, READ, **routing("search_contacts"))

        challenges = nothing.headers.get_list("www-authenticate")
        assert [one.partition(" ")[0] for one in challenges] == ["Bearer", "DPoP"]
        assert 'algs="ES256 ' in challenges[1]
        assert unbound.status_code == 401
        assert upstream.received == []

    with_scripted(tmp_path, answering_well, act, required=True)


BOUND_ONLY = """
@id("bound-only")
@description("Calls take a token that is bound to a key.")
forbid (principal, action, resource in System::"crm") unless { context.sender_constraint != "" };
"""


def test_policy_can_demand_a_bound_token(tmp_path: Path) -> None:
    async def act(served: Served, upstream: Upstream) -> None:
        who = await _bound(served)
        unbound = await served.token_for(who.agent)
        served.policy.replace(compile_policies({**starter_sources(), "bound.cedar": BOUND_ONLY}))

        with_proof = await _read(served, who, _proof(served, who))
        without = await served.post(unbound, READ, **routing("search_contacts"))

        assert with_proof.json()["result"]["isError"] is False
        assert without.json()["result"]["isError"] is True
        assert without.json()["result"]["_meta"]["accredit/policies"] == ["bound-only"]
        assert len(upstream.received) == 1

    with_scripted(tmp_path, answering_well, act)
