"""More scope, and a stronger sign-in: asked for once, never in a loop (RFC 6750 §3.1, RFC 9470)."""

import httpx2
import pytest

from accredit.client import AuthorizationCode, ClientSecret, OAuth, PublicClient, StepUpRequired
from accredit.client.challenge import parse_challenges
from tests.client.servers import Agrees, Reply, Seen, World


def wants(here: World, scope: str) -> None:
    """The resource wants this scope from the last token that was given."""
    scopes: dict[str, str] = {}
    give = here.give_token

    def note(seen: Seen) -> Reply:
        reply = give(seen)
        browsed = here.issuer.at("/authorize")
        if "scope" not in reply.body and browsed:
            reply.body["scope"] = browsed[-1].query.get("scope", "")
        scopes[reply.body["access_token"]] = reply.body.get("scope", "")
        return reply

    def serve(seen: Seen) -> Reply:
        token = (seen.authorization or "").partition(" ")[2]
        if token not in scopes:
            return here.challenge()
        if scope not in scopes[token].split():
            return here.challenge(error="insufficient_scope", scope=scope)
        return Reply(body={"scope": scopes[token]})

    here.issuer.routes["/token"] = note
    here.resource.routes["/mcp"] = serve


def test_a_scope_that_is_missing_is_added_to_those_that_were_asked_for(
    here: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    wants(here, "crm:write")

    answer = http.get(here.url, auth=OAuth(here.url, secret, scope="crm:read"))

    assert answer.json() == {"scope": "crm:read crm:write"}
    assert [form["scope"] for form in here.tokens_asked] == ["crm:read", "crm:read crm:write"]


def test_later_tokens_keep_what_was_added(here: World, secret: ClientSecret, http: httpx2.Client) -> None:
    here.expires_in = 0
    wants(here, "crm:write")
    auth = OAuth(here.url, secret, scope="crm:read")
    http.get(here.url, auth=auth)

    http.get(here.url, auth=auth)

    assert here.tokens_asked[-1]["scope"] == "crm:read crm:write"


def test_a_scope_that_is_never_granted_ends_with_an_error(
    here: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    here.granted = "crm:read"
    wants(here, "crm:write")
    auth = OAuth(here.url, secret)

    for _ in range(3):
        with pytest.raises(StepUpRequired) as caught:
            http.get(here.url, auth=auth)

    assert caught.value.scope == ("crm:write",)
    assert "crm:write" in caught.value.next_step
    assert len(here.tokens_asked) == 2


def test_a_resource_that_lies_about_the_scope_ends_with_an_error(
    here: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    here.resource.routes["/mcp"] = here.challenge(error="insufficient_scope", scope="crm:read")

    with pytest.raises(StepUpRequired):
        http.get(here.url, auth=OAuth(here.url, secret, scope="crm:read"))

    assert len(here.tokens_asked) == 1


def test_a_resource_that_wants_another_scope_each_time_is_given_up(
    here: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    here.resource.routes["/mcp"] = lambda seen: here.challenge(
        error="insufficient_scope", scope=f"scope-{len(here.resource.at('/mcp'))}"
    )

    with pytest.raises(StepUpRequired):
        http.get(here.url, auth=OAuth(here.url, secret))

    assert len(here.tokens_asked) <= 3


def test_the_person_is_not_asked_again_and_again(here: World, http: httpx2.Client) -> None:
    here.granted = ""
    wants(here, "crm:write")
    person = Agrees()
    auth = OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(person))

    for _ in range(4):
        with pytest.raises(StepUpRequired):
            http.get(here.url, auth=auth)

    assert len(person.asked) == 2


def test_more_scope_is_asked_of_the_person_and_not_of_the_refresh_token(here: World, http: httpx2.Client) -> None:
    here.refresh = True
    wants(here, "crm:write")
    person = Agrees()
    auth = OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(person), scope="crm:read")

    http.get(here.url, auth=auth)

    assert [query["scope"] for query in person.queries] == ["crm:read", "crm:read crm:write"]
    assert [form["grant_type"] for form in here.tokens_asked] == ["authorization_code", "authorization_code"]


def stronger(here: World) -> None:
    here.resource.routes["/mcp"] = lambda seen: (
        Reply(body={})
        if seen.authorization == "Bearer token-2"
        else here.challenge(
            **({"error": "insufficient_user_authentication", "acr_values": "gold silver", "max_age": "60"})
        )
        if seen.authorization
        else here.challenge()
    )


def test_a_stronger_sign_in_is_asked_of_the_person(here: World, http: httpx2.Client) -> None:
    stronger(here)
    person = Agrees()

    answer = http.get(here.url, auth=OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(person)))

    assert answer.status_code == 200
    assert (person.queries[1]["acr_values"], person.queries[1]["max_age"]) == ("gold silver", "60")


def test_a_stronger_sign_in_that_does_not_help_is_an_error(here: World, http: httpx2.Client) -> None:
    here.resource.routes["/mcp"] = here.challenge(error="insufficient_user_authentication", acr_values="gold")
    person = Agrees()

    with pytest.raises(StepUpRequired) as caught:
        http.get(here.url, auth=OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(person)))

    assert caught.value.acr_values == ("gold",)
    assert len(person.asked) == 1


def test_a_client_without_a_person_is_told_what_the_person_must_do(
    here: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    stronger(here)

    with pytest.raises(StepUpRequired) as caught:
        http.get(here.url, auth=OAuth(here.url, secret))

    assert caught.value.acr_values == ("gold", "silver")
    assert caught.value.max_age_seconds == 60


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('Bearer scope="a b", error="insufficient_scope"', [("bearer", "insufficient_scope", ("a", "b"))]),
        ('Basic realm="x, Bearer y=z", Bearer error=invalid_token', [("bearer", "invalid_token", ())]),
        ('DPoP algs="ES256", error="use_dpop_nonce"', [("dpop", "use_dpop_nonce", ())]),
        ('Bearer realm="a\\"b", scope="c"', [("bearer", None, ("c",))]),
        ("Negotiate abc==, Bearer", [("bearer", None, ())]),
        ('Bearer error = "x"', [("bearer", "x", ())]),
        ("", []),
        ('Bearer error="unterminated', [("bearer", None, ())]),
    ],
    ids=["scope", "two-schemes", "dpop", "escaped", "token68", "spaces", "empty", "unterminated"],
)
def test_challenges_are_read_as_they_are_sent(value: str, expected: list[object]) -> None:
    found = [(one.scheme, one.error, one.scope) for one in parse_challenges([value])]

    assert found[: len(expected)] == expected


def test_an_address_without_quotes_is_understood() -> None:
    (found,) = parse_challenges(["Bearer resource_metadata=https://a.example/x?y=1, scope=b"])

    assert found.resource_metadata == "https://a.example/x?y=1"
    assert found.scope == ("b",)
