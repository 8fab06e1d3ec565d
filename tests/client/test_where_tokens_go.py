"""No token and no secret reaches a server that it is not for."""

import httpx2
import pytest

from accredit.client import AuthorizationCode, ClientSecret, Misconfigured, NewClient, OAuth
from tests.client.servers import Agrees, Reply, Server, World


@pytest.mark.parametrize("path", ["{other}/mcp", "{own}/mcp-evil", "{own}/mcp/../admin", "{own}/"])
def test_a_request_to_another_place_is_not_sent(
    here: World, secret: ClientSecret, http: httpx2.Client, path: str
) -> None:
    url = path.format(other=here.issuer.url, own=here.resource.url)

    with pytest.raises(Misconfigured) as caught:
        http.send(httpx2.Request("GET", httpx2.URL(url)), auth=OAuth(here.url, secret))

    assert caught.value.code == "wrong_target"
    assert here.issuer.seen == here.resource.seen == []


def test_a_redirect_to_another_origin_takes_no_token_along(here: World, secret: ClientSecret) -> None:
    here.resource.routes["/mcp"] = Reply(307, {}, {"location": f"{here.issuer.url}/elsewhere"})
    here.issuer.routes["/elsewhere"] = Reply(200, {})

    with httpx2.Client(follow_redirects=True, trust_env=False) as http:
        http.get(here.url, auth=OAuth(here.url, secret))

    (seen,) = here.issuer.at("/elsewhere")
    assert seen.authorization is None


def test_a_challenge_of_another_origin_is_not_obeyed(here: World) -> None:
    evil = Server()
    try:
        evil.routes["/x"] = Reply(401, {}, {"www-authenticate": f'Bearer resource_metadata="{evil.url}/meta"'})
        evil.routes["/meta"] = Reply(body={"resource": here.url, "authorization_servers": [evil.url]})
        here.resource.routes["/mcp"] = Reply(307, {}, {"location": f"{evil.url}/x"})

        with httpx2.Client(follow_redirects=True, trust_env=False) as http:
            answer = http.get(here.url, auth=OAuth(here.url, ClientSecret("agt_1", "hush", issuer=None)))

        assert answer.status_code == 401
        assert [seen.path for seen in evil.seen] == ["/x"]
    finally:
        evil.close()


def test_a_secret_is_not_sent_to_a_server_that_the_resource_chose(
    here: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    evil = Server()
    try:
        evil.routes["/.well-known/oauth-authorization-server"] = Reply(
            body={"issuer": evil.url, "token_endpoint": f"{evil.url}/token"}
        )
        here.protected["authorization_servers"] = [evil.url]

        with pytest.raises(Misconfigured) as caught:
            http.get(here.url, auth=OAuth(here.url, secret))

        assert caught.value.code == "issuer_mismatch"
        assert evil.at("/token") == []
    finally:
        evil.close()


def test_the_right_server_is_chosen_among_several(here: World, secret: ClientSecret, http: httpx2.Client) -> None:
    here.protected["authorization_servers"] = ["https://login.example", here.issuer.url]

    assert http.get(here.url, auth=OAuth(here.url, secret)).status_code == 200


def test_an_unpinned_secret_stays_with_the_first_server(here: World, http: httpx2.Client) -> None:
    auth = OAuth(here.url, ClientSecret("agt_1", "hush", issuer=None))
    http.get(here.url, auth=auth)
    other = Server()
    try:
        other.routes["/.well-known/oauth-authorization-server"] = Reply(
            body={"issuer": other.url, "token_endpoint": f"{other.url}/token"}
        )
        here.protected["authorization_servers"] = [other.url]
        here.valid.clear()

        with pytest.raises(Misconfigured):
            http.get(here.url, auth=auth)

        assert other.at("/token") == []
    finally:
        other.close()


def test_a_refresh_token_and_a_registration_stay_with_their_server(here: World, http: httpx2.Client) -> None:
    here.refresh = True
    auth = OAuth(here.url, NewClient("Notes"), grant=AuthorizationCode(Agrees()))
    http.get(here.url, auth=auth)
    other = World()
    try:
        other.issuer.routes["/register"] = Reply(201, {"client_id": "of-the-other"})
        other.issuer.routes["/token"] = here.give_token
        here.protected["authorization_servers"] = [other.issuer.url]
        here.valid.clear()

        http.get(here.url, auth=auth)

        (form,) = other.tokens_asked
        assert form["grant_type"] == "authorization_code"
        assert form["client_id"] == "of-the-other"
        assert "refresh_token" not in form
    finally:
        other.close()


def test_a_refresh_token_stays_with_its_server_even_where_the_client_is_the_same(
    here: World, http: httpx2.Client
) -> None:
    here.refresh = True
    here.metadata["client_id_metadata_document_supported"] = True
    document = "https://notes.example/client.json"
    auth = OAuth(here.url, NewClient("Notes", document=document), grant=AuthorizationCode(Agrees()))
    http.get(here.url, auth=auth)
    other = World()
    try:
        other.metadata["client_id_metadata_document_supported"] = True
        other.issuer.routes["/token"] = here.give_token
        here.protected["authorization_servers"] = [other.issuer.url]
        here.valid.clear()

        http.get(here.url, auth=auth)

        assert [form["grant_type"] for form in other.tokens_asked] == ["authorization_code"]
        assert "refresh-1" not in str(other.tokens_asked)
    finally:
        other.close()


def test_the_programs_own_authorization_header_does_not_slip_through(here: World, http: httpx2.Client) -> None:
    auth = OAuth(here.url, ClientSecret("agt_1", "hush", issuer=None))

    http.get(here.url, auth=auth, headers={"authorization": "Bearer other", "dpop": "x"})

    assert [seen.authorization for seen in here.resource.at("/mcp")] == [None, "Bearer token-1"]


def test_cookies_and_hooks_of_the_program_are_not_for_the_authorization_server(
    here: World, secret: ClientSecret
) -> None:
    hooked: list[str] = []
    hooks = {"request": [lambda request: hooked.append(str(request.url))]}
    with httpx2.Client(trust_env=False, cookies={"session": "s"}, event_hooks=hooks) as http:
        http.get(here.url, auth=OAuth(here.url, secret))

    assert all(seen.headers["cookie"] is None for seen in here.issuer.seen)
    assert hooked == [here.url]
