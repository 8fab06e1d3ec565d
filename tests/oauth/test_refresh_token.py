"""The refresh token grant: each is used once, gives no more than was given, and a second use ends them all."""

from pathlib import Path

import pytest

from accredit.policy.cedar import compile_policies
from accredit.policy.starter import starter_sources
from accredit.tokens.errors import InvalidToken
from tests.oauth.authorizing import READ, WRITE, Authorizing, answer_of, with_authorizing
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER
from tests.proofs import ProofKey, new_proof_key
from tests.rooms import ADMINISTRATOR

CLOSED = """
@id("closed-for-now")
@description("No tokens for now.")
forbid (principal, action == Action::"token.issue", resource);
"""


async def tokens(one: Authorizing, **more: str) -> dict[str, str]:
    body: dict[str, str] = (await one.redeem(await one.code(**more))).json()
    return body


def test_each_refresh_gives_the_next(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        held = await tokens(one)
        seen = {held["refresh_token"]}

        for _ in range(3):
            response = await one.refresh(held["refresh_token"])
            held = response.json()
            assert response.status_code == 200
            assert held.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
            assert held["scope"] == f"{READ} {WRITE}"
            seen.add(held["refresh_token"])

        assert len(seen) == 4
        await one.endpoint.verifier.verify(held["access_token"], CRM_RESOURCE)

    with_authorizing(tmp_path, act)


def test_less_can_be_asked_for_and_all_of_it_again_the_next_time(tmp_path: Path) -> None:
    """RFC 6749 §6."""

    async def act(one: Authorizing) -> None:
        held = await tokens(one)

        less = (await one.refresh(held["refresh_token"], scope=READ, resource=CRM_RESOURCE)).json()
        all_ = (await one.refresh(less["refresh_token"])).json()

        assert (less["scope"], all_["scope"]) == (READ, f"{READ} {WRITE}")

    with_authorizing(tmp_path, act)


def test_more_than_was_given_is_refused_and_the_token_is_not_used_up(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        held = await tokens(one, scope=READ)

        more = await one.refresh(held["refresh_token"], scope=f"{READ} {WRITE}")
        elsewhere = await one.refresh(held["refresh_token"], resource=ISSUER)
        same = await one.refresh(held["refresh_token"], scope=READ)

        assert (more.json()["error"], elsewhere.json()["error"]) == ("invalid_scope", "invalid_target")
        assert same.status_code == 200

    with_authorizing(tmp_path, act)


def test_rights_are_cut_again_at_each_refresh(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        held = await tokens(one, scope=f"openid {READ} {WRITE}")
        await one.set_roles()

        narrower = (await one.refresh(held["refresh_token"])).json()
        await one.set_roles("delegator")
        wide = (await one.refresh(narrower["refresh_token"])).json()

        assert (narrower["scope"], wide["scope"]) == ("openid", f"{READ} {WRITE} openid")

    with_authorizing(tmp_path, act)


def test_a_chain_ends_with_the_delegation(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        held = await tokens(one)
        one.endpoint.rooms.clock.move(3_599)
        last = await one.refresh(held["refresh_token"])
        one.endpoint.rooms.clock.move(1)

        late = await one.refresh(last.json()["refresh_token"])

        assert (last.status_code, last.json()["expires_in"]) == (200, 1)
        assert late.json()["error"] == "invalid_grant"

    with_authorizing(tmp_path, act)


def test_a_chain_ends_with_the_longest_session_of_the_agent(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        url = await one.allow(seconds=604_800)
        held = (await one.redeem(answer_of(url)["code"])).json()
        one.endpoint.rooms.clock.move(one.desk.max_session_seconds)

        late = await one.refresh(held["refresh_token"])

        assert late.json()["error"] == "invalid_grant"

    with_authorizing(tmp_path, act)


def test_taking_a_delegation_back_ends_its_chain(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        held = await tokens(one)
        [made] = await one.endpoint.rooms.delegations.of_person(one.person.id)
        await one.endpoint.rooms.delegations.end(one.person.id, made.id, one.session)

        refused = await one.refresh(held["refresh_token"])

        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")

    with_authorizing(tmp_path, act)


def test_suspending_the_agent_ends_its_chains(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        held = await tokens(one)
        await one.endpoint.rooms.agents.suspend("desk", ADMINISTRATOR)
        suspended = await one.refresh(held["refresh_token"])
        await one.endpoint.rooms.agents.resume("desk", ADMINISTRATOR)
        resumed = await one.refresh(held["refresh_token"])

        assert (suspended.json()["error"], resumed.json()["error"]) == ("invalid_client", "invalid_grant")

    with_authorizing(tmp_path, act)


def test_a_second_use_ends_the_family_and_its_tokens(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        held = await tokens(one)
        other = await tokens(one)
        after = (await one.refresh(held["refresh_token"])).json()

        stolen = await one.refresh(held["refresh_token"])
        honest = await one.refresh(after["refresh_token"])

        event = next(event for event in await one.endpoint.events() if event.type == "token_family.ended")
        assert (stolen.json()["error"], honest.json()["error"]) == ("invalid_grant", "invalid_grant")
        assert (event.agent, event.person, event.reason) == (
            one.desk.id,
            one.person.id,
            "a refresh token was used twice",
        )
        for ended in (held, after):
            with pytest.raises(InvalidToken, match="ended"):
                await one.endpoint.verifier.verify(ended["access_token"], CRM_RESOURCE)
        # What the person gave stands: another family lives on.
        assert (await one.refresh(other["refresh_token"])).status_code == 200

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    "text",
    ["", "art_", "art_AAAA", "x" * 9_000, "aac_AAAA"],
    ids=["none", "prefix", "short", "long", "a code's prefix"],
)
def test_what_is_no_refresh_token_is_refused(tmp_path: Path, text: str) -> None:
    async def act(one: Authorizing) -> None:
        response = await one.refresh(text)

        assert response.json()["error"] == ("invalid_grant" if text else "invalid_request")

    with_authorizing(tmp_path, act)


def test_a_refusal_by_policy_uses_no_token_up(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        held = await tokens(one)
        policy = one.endpoint.policy
        before = policy.compiled
        closed = {**starter_sources(), "closed.cedar": CLOSED}
        policy.replace(compile_policies(closed))
        refused = await one.refresh(held["refresh_token"])
        policy.replace(before)

        again = await one.refresh(held["refresh_token"])

        assert refused.json()["error"] == "unauthorized_client"
        assert again.status_code == 200

    with_authorizing(tmp_path, act)


def test_the_chain_of_a_public_client_is_bound_to_its_key(tmp_path: Path) -> None:
    """RFC 9449 §5."""
    own, other = new_proof_key(), new_proof_key()

    async def act(one: Authorizing) -> None:
        def proof(key: ProofKey) -> dict[str, str]:
            return {"DPoP": key.proof("POST", f"{ISSUER}/oauth/token", one.endpoint.rooms.clock.now)}

        first = await one.redeem(await one.code(dpop_jkt=own.thumbprint), headers=proof(own))
        held = first.json()["refresh_token"]

        bare = await one.refresh(held)
        stolen = await one.refresh(held, headers=proof(other))
        right = await one.refresh(held, headers=proof(own))

        assert (first.status_code, first.json()["token_type"]) == (200, "DPoP")
        assert (bare.json()["error"], stolen.json()["error"]) == ("invalid_grant", "invalid_grant")
        assert right.status_code == 200

    with_authorizing(tmp_path, act)


def test_a_code_for_a_key_is_redeemed_with_that_key_only(tmp_path: Path) -> None:
    """RFC 9449 §10."""
    own, other = new_proof_key(), new_proof_key()

    async def act(one: Authorizing) -> None:
        code = await one.code(dpop_jkt=own.thumbprint)
        now = one.endpoint.rooms.clock.now

        stolen = await one.redeem(code, headers={"DPoP": other.proof("POST", f"{ISSUER}/oauth/token", now)})

        assert stolen.json()["error"] == "invalid_grant"

    with_authorizing(tmp_path, act)
