"""From a resource to its authorization server: the orders, and what is not to be trusted."""

from typing import Any

import httpx2
import pytest

from accredit.client import (
    AuthorizationCode,
    ClientSecret,
    Denied,
    DiscoveryFailed,
    Http,
    Misconfigured,
    NewClient,
    OAuth,
    Unavailable,
)
from accredit.client.metadata import covers
from tests.client.servers import Agrees, Reply, World


def asked_metadata(here: World) -> list[str]:
    return [seen.path for seen in here.issuer.seen if "well-known" in seen.path]


def test_a_pinned_client_gets_its_token_before_the_first_request(
    here: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    answer = http.get(here.url, auth=OAuth(here.url, secret))

    assert answer.json() == {"token": "token-1"}
    assert [seen.authorization for seen in here.resource.at("/mcp")] == ["Bearer token-1"]
    assert here.tokens_asked == [{"grant_type": "client_credentials", "resource": here.url}]


def test_an_unpinned_client_follows_the_challenge(here: World, http: httpx2.Client) -> None:
    here.resource.routes["/elsewhere"] = here.resource.routes.pop("/.well-known/oauth-protected-resource/mcp")
    here.resource.routes["/mcp"] = lambda seen: (
        Reply(body={})
        if seen.authorization
        else Reply(401, {}, {"www-authenticate": f'Bearer resource_metadata="{here.resource.url}/elsewhere"'})
    )

    answer = http.get(here.url, auth=OAuth(here.url, ClientSecret("agt_1", "hush", issuer=None)))

    assert answer.status_code == 200
    assert [seen.path for seen in here.resource.seen] == ["/mcp", "/elsewhere", "/mcp"]


def test_the_order_for_an_issuer_with_a_path(here: World, secret: ClientSecret, http: httpx2.Client) -> None:
    issuer = f"{here.issuer.url}/tenant"
    here.protected["authorization_servers"] = [issuer]
    here.metadata["issuer"] = issuer
    here.issuer.routes["/tenant/.well-known/openid-configuration"] = Reply(body=here.metadata)
    del here.issuer.routes["/.well-known/oauth-authorization-server"]

    http.get(here.url, auth=OAuth(here.url, ClientSecret("agt_1", "hush", issuer=issuer)))

    assert asked_metadata(here) == [
        "/.well-known/oauth-authorization-server/tenant",
        "/.well-known/openid-configuration/tenant",
        "/tenant/.well-known/openid-configuration",
    ]


def test_the_order_for_an_issuer_without_a_path(here: World, secret: ClientSecret, http: httpx2.Client) -> None:
    here.issuer.routes["/.well-known/openid-configuration"] = here.issuer.routes.pop(
        "/.well-known/oauth-authorization-server"
    )

    http.get(here.url, auth=OAuth(here.url, secret))

    assert asked_metadata(here) == ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]


def test_a_resource_without_metadata_is_served_from_its_own_origin(here: World, http: httpx2.Client) -> None:
    del here.resource.routes["/.well-known/oauth-protected-resource/mcp"]
    here.resource.routes["/mcp"] = lambda seen: Reply(200 if seen.authorization else 401, {})
    here.resource.routes["/token"] = here.give_token

    answer = http.get(here.url, auth=OAuth(here.url, ClientSecret("agt_1", "hush", issuer=None)))

    assert answer.status_code == 200
    # Servers of 2025-03-26 know no resource indicators.
    assert [seen.form for seen in here.resource.at("/token")] == [{"grant_type": "client_credentials"}]


def test_a_page_in_place_of_metadata_is_no_metadata(here: World, secret: ClientSecret, http: httpx2.Client) -> None:
    page = Reply(raw=b"<!doctype html>", headers={"content-type": "text/html"})
    here.issuer.routes["/.well-known/openid-configuration"] = here.issuer.routes[
        "/.well-known/oauth-authorization-server"
    ]
    here.issuer.routes["/.well-known/oauth-authorization-server"] = page

    assert http.get(here.url, auth=OAuth(here.url, secret)).status_code == 200


@pytest.mark.parametrize("spelling", ["{}/", "{}.", "{}/tenant"], ids=["slash", "dot", "path"])
def test_an_issuer_that_is_spelled_differently_is_refused(
    here: World, secret: ClientSecret, http: httpx2.Client, spelling: str
) -> None:
    here.metadata["issuer"] = spelling.format(here.issuer.url)

    with pytest.raises(DiscoveryFailed) as caught:
        http.get(here.url, auth=OAuth(here.url, secret))

    assert caught.value.code == "issuer_mismatch"
    assert here.tokens_asked == []


@pytest.mark.parametrize(
    "resource",
    ["https://evil.example/mcp", "{origin}/mcp-of-another", "{origin}/mcp/below", "{origin}/mcp#x", "nonsense"],
    ids=["origin", "prefix", "below", "fragment", "nonsense"],
)
def test_metadata_of_another_resource_is_refused(
    here: World, secret: ClientSecret, http: httpx2.Client, resource: str
) -> None:
    here.protected["resource"] = resource.format(origin=here.resource.url)

    with pytest.raises(DiscoveryFailed) as caught:
        http.get(here.url, auth=OAuth(here.url, secret))

    assert caught.value.code == "resource_mismatch"
    assert here.issuer.seen == []


def test_the_resource_is_named_as_it_is_published(here: World, secret: ClientSecret, http: httpx2.Client) -> None:
    here.protected["resource"] = here.resource.url

    http.get(here.url, auth=OAuth(here.url, secret))

    assert here.tokens_asked[0]["resource"] == here.resource.url


def test_an_outage_is_not_taken_for_an_absence(here: World, http: httpx2.Client) -> None:
    here.resource.routes["/.well-known/oauth-protected-resource/mcp"] = Reply(503, {})
    here.resource.routes["/token"] = here.give_token

    with pytest.raises(Unavailable):
        http.get(here.url, auth=OAuth(here.url, ClientSecret("agt_1", "hush", issuer=None)))

    assert here.resource.at("/token") == []


def test_metadata_that_the_challenge_names_must_be_there(here: World, http: httpx2.Client) -> None:
    del here.resource.routes["/.well-known/oauth-protected-resource/mcp"]

    with pytest.raises(DiscoveryFailed):
        http.get(here.url, auth=OAuth(here.url, ClientSecret("agt_1", "hush", issuer=None)))


@pytest.mark.parametrize(
    "document",
    [{"resource": 3}, {"authorization_servers": ["https://a.example"]}, {"resource": "x", "authorization_servers": 1}],
    ids=["number", "nothing", "not-a-list"],
)
def test_malformed_metadata_is_refused(here: World, secret: ClientSecret, http: httpx2.Client, document: Any) -> None:
    here.protected = document

    with pytest.raises(DiscoveryFailed):
        http.get(here.url, auth=OAuth(here.url, secret))


def test_endless_metadata_is_cut_off(here: World, secret: ClientSecret, http: httpx2.Client) -> None:
    here.resource.routes["/.well-known/oauth-protected-resource/mcp"] = Reply(raw=b" " * 3_000_000)

    with pytest.raises(Unavailable):
        http.get(here.url, auth=OAuth(here.url, secret))


def test_redirects_of_metadata_and_token_requests_are_not_followed(
    here: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    here.issuer.routes["/token"] = Reply(307, {}, {"location": f"{here.resource.url}/steal"})

    with httpx2.Client(follow_redirects=True, trust_env=False) as follows, pytest.raises(Denied) as caught:
        follows.get(here.url, auth=OAuth(here.url, secret))

    assert here.resource.at("/steal") == []
    assert "hush" not in str(caught.value)


def test_an_authorization_server_without_tls_is_refused(here: World, http: httpx2.Client) -> None:
    here.protected["authorization_servers"] = ["http://login.example"]

    with pytest.raises(DiscoveryFailed):
        http.get(here.url, auth=OAuth(here.url, ClientSecret("agt_1", "hush", issuer=None)))


@pytest.mark.parametrize(
    "endpoint", ["http://login.example/token", "https://u:p@login.example/token", "file:///etc/passwd", "//x/token"]
)
def test_an_endpoint_without_tls_is_sent_nothing(here: World, secret: ClientSecret, endpoint: str) -> None:
    here.metadata["token_endpoint"] = endpoint

    with pytest.raises(Misconfigured):
        OAuth(here.url, secret).get_token()


def test_a_resource_without_tls_is_refused_unless_allowed() -> None:
    client = ClientSecret("agt_1", "hush", issuer=None)

    with pytest.raises(Misconfigured):
        OAuth("http://crm.example/mcp", client)
    OAuth("http://crm.example/mcp", client, http=Http(allow_http=True))


def test_a_server_that_does_not_say_that_it_does_pkce_is_refused(here: World, http: httpx2.Client) -> None:
    del here.metadata["code_challenge_methods_supported"]
    person = Agrees()

    with pytest.raises(DiscoveryFailed):
        http.get(here.url, auth=OAuth(here.url, NewClient("Notes"), grant=AuthorizationCode(person)))

    assert person.asked == []


@pytest.mark.parametrize(
    ("resource", "url", "expected"),
    [
        ("https://a.example", "https://a.example/x", True),
        ("https://a.example/", "https://a.example", True),
        ("https://A.example:443/x", "https://a.example/x/y", True),
        ("https://a.example/x/", "https://a.example/x", True),
        ("https://a.example/x", "https://a.example/xy", False),
        ("https://a.example/x", "https://a.example/x/../y", False),
        ("https://a.example/x", "https://a.example/x/%2e%2E/y", False),
        ("https://a.example/x", "http://a.example/x", False),
        ("https://a.example/x", "https://a.example:8443/x", False),
        ("https://a.example/x", "https://a.example.evil/x", False),
    ],
)
def test_what_a_resource_covers(resource: str, url: str, expected: bool) -> None:
    assert covers(resource, url) is expected
