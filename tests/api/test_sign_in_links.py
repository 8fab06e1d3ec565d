"""A link is for the administrator, or for somebody whom they invite by their address."""

import httpx2
import pytest

from accredit.people.model import Session
from accredit.people.sessions import SignInRefused
from tests.api.server import ManagementServer


def redeem(server: ManagementServer, url: str) -> Session:
    token = url.partition("#")[2]
    return server.call(lambda: server.sessions.redeem(token))[0]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"email":null}'], ids=["no body", "no member", "null"])
def test_without_an_address_the_link_is_the_administrators(
    server: ManagementServer, client: httpx2.Client, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"} if body else {}

    answer = client.post("/api/v1/sign-in-links", content=body, headers=headers)

    assert answer.status_code == 201
    assert redeem(server, answer.json()["url"]).person.email == "admin@localhost"


def test_somebody_new_is_made_and_let_in_once_without_a_role(server: ManagementServer, client: httpx2.Client) -> None:
    answer = client.post("/api/v1/sign-in-links", json={"email": "Ana@Example.com"})

    session = redeem(server, answer.json()["url"])
    assert (session.person.email, session.person.roles) == ("ana@example.com", ())
    with pytest.raises(SignInRefused):
        redeem(server, answer.json()["url"])
    shown = client.get("/api/v1/audit/events", params={"limit": 10}).text
    assert "person.created" in shown
    assert "sign_in_link.created" in shown
    assert answer.json()["url"].partition("#")[2] not in shown


def test_somebody_known_is_let_in_as_who_they_are(server: ManagementServer, client: httpx2.Client) -> None:
    first, second = [
        redeem(server, client.post("/api/v1/sign-in-links", json={"email": "ana@example.com"}).json()["url"])
        for _ in range(2)
    ]

    assert first.person == second.person
    assert first.id != second.id


@pytest.mark.parametrize("email", ["", "ana", "a b@example.com", 7], ids=repr)
def test_what_cannot_be_an_address_gets_no_link(client: httpx2.Client, email: object) -> None:
    assert client.post("/api/v1/sign-in-links", json={"email": email}).status_code == 400


def test_without_the_management_token_nobody_is_invited(server: ManagementServer) -> None:
    with server.client(None) as stranger:
        assert stranger.post("/api/v1/sign-in-links", json={"email": "eve@example.com"}).status_code == 401

    assert server.call(lambda: server.rooms.people.by_email("eve@example.com")) is None
