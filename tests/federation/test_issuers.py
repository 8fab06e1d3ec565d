"""The register of trusted issuers: what a description may say, who may be in it, who hears of a change."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import delete as remove

from accredit.errors import Conflict, InputRefused, NotFound
from accredit.federation.issuer_configuration import IssuerInvalid, parse_issuer
from accredit.federation.issuers import TrustedIssuers
from accredit.federation.workload import texts_of
from accredit.federation.workloads import WORKLOADS
from accredit.ids import new_id
from accredit.storage.schema import trusted_issuers
from tests.federation.foreign import DOMAIN, GITHUB, KEYS, TENANT, describe
from tests.oauth.trusting import Trusting, with_trusting
from tests.rooms import ADMINISTRATOR, Rooms, with_rooms

OURS = "http://localhost:8400"
JWKS = json.dumps({"keys": [KEYS["RS256"].as_dict(private=False)]})
RIGHT = {
    "kubernetes": ("https://kubernetes.default.svc", {}),
    "spiffe": (DOMAIN, {"jwks_uri": "https://spire.example.org/bundle"}),
    "github_actions": (GITHUB, {}),
    "entra": (f"https://login.microsoftonline.com/{TENANT}/v2.0", {"audience": "api://accredit"}),
    "google": ("https://accounts.google.com", {}),
    "aws": ("https://8f3a1f7e-0000-4000-8000-000000000000.tokens.sts.global.api.aws", {}),
    "generic": ("https://ci.example.com/", {}),
}


def register(rooms: Rooms) -> TrustedIssuers:
    return TrustedIssuers(rooms.transactions, rooms.feed, rooms.agents, rooms.clock, new_id, OURS)


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_description_of_each_kind_is_taken(kind: str) -> None:
    issuer, keys = RIGHT[kind]

    one = parse_issuer(describe("there", issuer, kind, **keys), "there.toml")

    assert (one.kind, one.issuer) == (kind, issuer)
    assert one.workload() is WORKLOADS[kind]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = ", "there.toml:1: "),
        (describe("Upper", "https://a.example", "generic"), "name must be"),
        (describe("a", "https://a.example", "nomad"), "nomad"),
        (describe("a", "https://a.example", "generic", "unknown = 1\n"), "unknown"),
        (describe("a", "http://a.example", "generic"), "issuer must be"),
        (describe("a", "http://127.0.0.1/x", "generic"), "issuer must be"),
        (describe("a", "https://a.example?x=1", "generic"), "issuer must be"),
        (describe("a", "https://a.example/#f", "generic"), "issuer must be"),
        (describe("a", "ftp://a.example", "generic"), "issuer must be"),
        (describe("a", "https://a.example", "spiffe", jwks_uri="https://a.example"), "issuer must be"),
        (describe("a", DOMAIN, "spiffe"), "jwks_uri must be"),
        (describe("a", f"{DOMAIN}/path", "spiffe", jwks_uri="https://a.example"), "issuer must be"),
        (describe("a", "https://evil.example", "github_actions"), "issuer must be"),
        (describe("a", "https://token.actions.githubusercontent.com.evil.example", "github_actions"), "issuer must be"),
        (describe("a", "https://login.microsoftonline.com/common/v2.0", "entra"), "issuer must be"),
        (describe("a", "https://a.example", "generic", iss="https://b.example"), "iss must be"),
        (describe("a", "https://a.example", "generic", jwks_uri="http://a.example/jwks"), "jwks_uri must be"),
        (describe("a", "https://a.example", "generic", jwks_uri="file:///etc/passwd"), "jwks_uri must be"),
        (describe("a", "https://a.example", "generic", "jwks = '{}'\n"), "jwks must be"),
        (describe("a", "https://a.example", "generic", "jwks = '{\"keys\":[]}'\n"), "jwks must be"),
        (describe("a", "https://a.example", "generic", f"jwks = '{JWKS}'\n", jwks_uri="https://b.c"), "jwks must be"),
        (describe("a", "https://a.example", "generic", 'algorithms = ["HS256"]\n'), "algorithms must be"),
        (describe("a", "https://a.example", "generic", 'algorithms = ["none"]\n'), "algorithms must be"),
        (describe("a", "https://a.example", "generic", "algorithms = []\n"), "algorithms must be"),
        (describe("a", "https://a.example", "generic", "lifetime_seconds = 0\n"), "lifetime_seconds must be"),
        (describe("a", "https://a.example", "generic", "lifetime_seconds = 99999999\n"), "lifetime_seconds must be"),
        (describe("a", "https://a.example", "generic", audience="two words"), "audience must be"),
        (describe("a", "https://a.example", "provider"), "kind must be"),
        (describe("a", "https://a.example", "provider", '[people]\nauthoritative_domains = ["localhost"]'), "domains"),
        (describe("a", "https://a.example", "provider", '[people]\nroles = ["A B"]'), "people.roles"),
        (describe("a", "https://a.example", "provider", '[people]\nscopes = ["a b"]'), "people.scopes"),
        (
            describe("a", "https://a.example", "provider", "[people]\nlifetime_seconds = 7200"),
            "people.lifetime_seconds",
        ),
        (describe("a", "https://a.example", "provider", "[peer]\nresources = {}\nclients = {}"), "peer.resources"),
        (
            describe("a", "https://a.example", "provider", '[peer]\nresources = {a = ["x"]}\nclients = {}'),
            "peer.clients",
        ),
    ],
)
def test_what_is_wrong_in_a_description_is_named(text: str, expected: str) -> None:
    with pytest.raises(IssuerInvalid) as refused:
        parse_issuer(text, "there.toml")

    assert refused.value.explanation.startswith("there.toml")
    assert expected in refused.value.explanation


def test_an_issuer_is_added_replaced_and_removed_each_with_its_event(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        issuers = it.endpoint.oauth.trust.issuers
        await it.trust("kubernetes")
        with pytest.raises(Conflict, match="already"):
            await it.trust("kubernetes")
        text = describe("there", it.foreign.url, "kubernetes", "lifetime_seconds = 60\n")
        await issuers.add(text, "there.toml", ADMINISTRATOR, replace=True)
        assert (await issuers.named("there")).lifetime_seconds == 60
        await issuers.remove("there", ADMINISTRATOR)

        assert await issuers.all() == ()
        for act_on in (issuers.named("there"), issuers.remove("there", ADMINISTRATOR)):
            with pytest.raises(NotFound):
                await act_on
        with pytest.raises(NotFound):
            await issuers.add(text, "there.toml", ADMINISTRATOR, replace=True)
        events = [one for one in await it.endpoint.events() if one.type.startswith("trusted_issuer")]
        assert [one.type.partition(".")[2] for one in events] == ["added", "changed", "removed"]
        assert {one.person for one in events} == {ADMINISTRATOR.person}
        assert all(one.reason == f"there {it.foreign.url}" for one in events)

    with_trusting(tmp_path, act)


def test_one_issuer_stands_under_one_name(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        issuers = register(rooms)
        await issuers.add(describe("a", "https://a.example", "generic"), "a.toml", ADMINISTRATOR)

        with pytest.raises(Conflict, match="is the issuer 'a' already"):
            await issuers.add(describe("b", "https://a.example", "generic"), "b.toml", ADMINISTRATOR)

    with_rooms(tmp_path, act)


def test_this_installation_does_not_trust_itself_as_somebody_else(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        with pytest.raises(IssuerInvalid, match="itself"):
            await register(rooms).add(describe("a", OURS, "generic"), "a.toml", ADMINISTRATOR)

    with_rooms(tmp_path, act)


def test_a_peer_names_agents_and_keeps_their_ids(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        issuers = it.endpoint.oauth.trust.issuers
        peer = '[peer.resources]\n"https://api.example" = ["a"]\n[peer.clients]\n{} = "there"\n'
        await issuers.add(describe("b", "https://b.example", "provider", peer.format("reader")), "b", ADMINISTRATOR)

        found = (await issuers.named("b")).peer
        assert found is not None
        assert found.clients == {it.endpoint.agent.id: "there"}
        with pytest.raises(NotFound):
            await issuers.add(describe("c", "https://c.example", "provider", peer.format("nobody")), "c", ADMINISTRATOR)

    with_trusting(tmp_path, act)


def test_another_process_hears_that_an_issuer_is_trusted_no_more(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        here, there = register(rooms), register(rooms)
        await here.add(describe("a", "https://a.example", "generic"), "a.toml", ADMINISTRATOR)
        assert await there.get("https://a.example") is not None

        await here.remove("a", ADMINISTRATOR)

        assert await there.get("https://a.example") is None

    with_rooms(tmp_path, act)


def test_a_process_that_hears_nothing_asks_the_database(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        issuers = register(rooms)
        await issuers.add(describe("a", "https://a.example", "generic"), "a.toml", ADMINISTRATOR)
        await issuers.all()

        def delete(tx: Any) -> None:
            # Without a note in the feed, as if it had not come yet.
            tx.connection.execute(remove(trusted_issuers))

        await rooms.transactions.change(delete)
        assert await issuers.get("https://a.example") is not None
        rooms.clock.move(2)

        assert await issuers.get("https://a.example") is None

    with_rooms(tmp_path, act)


@pytest.mark.parametrize(
    ("kind", "subject", "claims", "expected"),
    [
        ("kubernetes", "system:serviceaccount:prod:scout", {}, None),
        ("kubernetes", "system:node:scout", {}, "is not one of a kubernetes issuer"),
        ("kubernetes", "prod/scout", {}, "is not one of a kubernetes issuer"),
        ("spiffe", f"{DOMAIN}/ns/prod", {}, None),
        ("spiffe", "spiffe://example.org.evil.example/ns/prod", {}, "is not one of a spiffe issuer"),
        ("spiffe", "spiffe://other.example/ns/prod", {}, "is not one of a spiffe issuer"),
        ("github_actions", "repo:acme/scout:ref:refs/heads/main", {"repository_id": "1"}, None),
        ("github_actions", "repo:acme/scout:ref:refs/heads/main", {}, "a claim is missing"),
        ("github_actions", "repo:acme/scout:ref:refs/heads/main", {"ref": "refs/heads/main"}, "a claim is missing"),
        ("generic", "x", {str(number): "v" for number in range(17)}, "at most 16 claims"),
        ("generic", "x", {"": "v"}, "at most 16 claims"),
        ("generic", "x", {"a": ""}, "at most 16 claims"),
        ("generic", "", {}, "is not one of a generic issuer"),
    ],
    ids=str,
)
def test_a_credential_that_could_never_be_used_is_refused(
    tmp_path: Path, kind: str, subject: str, claims: dict[str, str], expected: str | None
) -> None:
    async def act(rooms: Rooms) -> None:
        issuer, keys = RIGHT[kind]
        issuers = register(rooms)
        await issuers.add(describe("there", issuer, kind, **keys), "there.toml", ADMINISTRATOR)
        check = functools.partial(issuers.check_credential, issuer, subject, claims)

        if expected is None:
            await check()
        else:
            with pytest.raises(InputRefused, match=expected):
                await check()
        with pytest.raises(InputRefused, match="no trusted issuer of workloads"):
            await issuers.check_credential("https://nobody.example", subject, claims)

    with_rooms(tmp_path, act)


def test_claims_become_texts_by_name_and_ambiguous_ones_are_refused() -> None:
    claims = {"a": "x", "n": 1, "t": True, "o": {"p": {"q": "y"}}, "https://aws/": {"z": "1"}, "l": ["x"], "f": 1.5}

    assert texts_of(claims) == {"a": "x", "n": "1", "t": "true", "o/p/q": "y", "https://aws/z": "1"}
    with pytest.raises(InputRefused):
        texts_of({"a/b": "1", "a": {"b": "2"}})
    with pytest.raises(InputRefused):
        texts_of({str(number): "x" for number in range(300)})


def test_a_claim_that_a_platform_was_not_known_to_have_is_reported_once(tmp_path: Path) -> None:
    async def act(it: Trusting) -> None:
        await it.trust("github_actions")
        await it.is_workload("repo:acme/scout:ref:refs/heads/main", repository_owner_id="123456")

        with structlog.testing.capture_logs() as logs:
            for number in range(3):
                token = it.foreign.sign(it.foreign.github(jti=str(number), brand_new="secret value"))
                assert (await it.as_workload(token)).status_code == 200

        (report,) = [one for one in logs if one["event"] == "unknown claims"]
        assert (report["issuer"], report["claims"]) == ("there", ["brand_new"])
        assert "secret value" not in str(logs)

    with_trusting(tmp_path, act)
