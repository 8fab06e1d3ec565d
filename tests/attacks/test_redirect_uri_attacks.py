"""Redirect URI tricks, on every leg of an authorization request (RFC 9700 §4.1)."""

from pathlib import Path

import pytest

from accredit.agents.client_metadata import matches_redirect_uri
from accredit.delegations.consent import Choice
from accredit.errors import InputRefused
from tests.oauth.authorizing import READ, REDIRECT, Authorizing, metadata, with_authorizing
from tests.rooms import ADMINISTRATOR

YES = Choice(scopes=frozenset({READ}), seconds=3_600)

TRICKS = {
    "path below": f"{REDIRECT}/deeper",
    "path above": "https://desk.example/",
    "dot segments": "https://desk.example/back/../evil",
    "dot segments back": "https://desk.example/x/../back",
    "escaped dot segments": "https://desk.example/%2e%2e/back",
    "double escape": "https://desk.example/%2562ack",
    "escaped letter": "https://desk.example/%62ack",
    "trailing slash": f"{REDIRECT}/",
    "query": f"{REDIRECT}?next=https://evil.example",
    "empty query": f"{REDIRECT}?",
    "fragment": f"{REDIRECT}#x",
    "empty fragment": f"{REDIRECT}#",
    "escaped fragment": f"{REDIRECT}%23",
    "user": "https://desk.example@evil.example/back",
    "user before": "https://evil.example@desk.example/back",
    "user and password": "https://desk.example:x@evil.example/back",
    "backslash": "https://evil.example\\@desk.example/back",
    "backslash path": "https://desk.example\\back",
    "escaped backslash": "https://desk.example%5c@evil.example/back",
    "port": "https://desk.example:8443/back",
    "default port": "https://desk.example:443/back",
    "scheme": "http://desk.example/back",
    "upper-case scheme": "HTTPS://desk.example/back",
    "upper-case host": "https://DESK.example/back",
    "upper-case path": "https://desk.example/Back",
    "subdomain": "https://evil.desk.example/back",
    "suffix": "https://desk.example.evil.example/back",
    "prefix": "https://notdesk.example/back",
    "trailing dot": "https://desk.example./back",
    "look-alike": "https://dеsk.example/back",
    "punycode": "https://xn--dsk-edd.example/back",
    "full-width stop": "https://desk。example/back",
    "space before": f" {REDIRECT}",
    "space after": f"{REDIRECT} ",
    "tab": "https://desk.example/ba\tck",
    "line break": f"{REDIRECT}\r\nx: y",
    "three slashes": "https:///desk.example/back",
    "no scheme": "//desk.example/back",
    "relative": "/back",
    "javascript": "javascript:alert(1)//https://desk.example/back",
    "data": "data:text/html,x",
    "loopback instead": "http://127.0.0.1:4711/back",
    "out of band": "urn:ietf:wg:oauth:2.0:oob",
}


@pytest.mark.parametrize("uri", TRICKS.values(), ids=TRICKS)
def test_4_1_no_other_spelling_of_a_redirect_uri_is_taken_on_any_leg(tmp_path: Path, uri: str) -> None:
    async def act(one: Authorizing) -> None:
        brought = await one.authorize(redirect_uri=uri)
        pushed = await one.endpoint.client.post("/oauth/par", data=one.parameters(redirect_uri=uri))
        redeemed = await one.redeem(await one.code(), redirect_uri=uri)

        assert (brought.status_code, "location" in brought.headers) == (400, False)
        assert pushed.json()["error"] == "invalid_request"
        assert redeemed.json()["error"] == "invalid_grant"

    with_authorizing(tmp_path, act)


LOOPBACK_TRICKS = {
    "path": "http://127.0.0.1:4711/other",
    "host": "http://127.0.0.2:4711/back",
    "name for address": "http://localhost:4711/back",
    "other spelling": "http://127.1:4711/back",
    "https": "https://127.0.0.1:4711/back",
    "user": "http://127.0.0.1:4711@evil.example/back",
    "user after port": "http://127.0.0.1:4711:x@evil.example/back",
    "port too large": "http://127.0.0.1:65536/back",
    "port zero": "http://127.0.0.1:0/back",
    "no number": "http://127.0.0.1:4711x/back",
    "empty port": "http://127.0.0.1:/back",
    "host after port": "http://127.0.0.1:4711.evil.example/back",
    "subdomain": "http://127.0.0.1.evil.example/back",
}


@pytest.mark.parametrize("uri", LOOPBACK_TRICKS.values(), ids=LOOPBACK_TRICKS)
def test_4_1_on_loopback_only_the_port_is_free(tmp_path: Path, uri: str) -> None:
    async def act(one: Authorizing) -> None:
        await one.client("cli", redirect_uris=["http://127.0.0.1/back"])
        one.desk = await one.endpoint.rooms.agents.named("cli")
        fitting = "http://127.0.0.1:4711/back"

        code = await one.code(redirect_uri=fitting)
        refused = await one.authorize(redirect_uri=uri)
        another_port = await one.redeem(code, redirect_uri="http://127.0.0.1:4712/back")
        own = await one.redeem(code, redirect_uri=fitting)

        assert not matches_redirect_uri("http://127.0.0.1/back", uri)
        assert (refused.status_code, "location" in refused.headers) == (400, False)
        # The port is free, and the same on every leg of one request.
        assert another_port.json()["error"] == "invalid_grant"
        assert own.status_code == 200

    with_authorizing(tmp_path, act)


def test_4_1_a_redirect_uri_that_was_taken_back_is_not_answered_by_the_page_of_consent(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        sealed = await one.sealed()
        moved = metadata(redirect_uris=["https://desk.example/new"])
        await one.endpoint.rooms.agents.set_client("desk", moved, ADMINISTRATOR)

        with pytest.raises(InputRefused, match="redirect_uri"):
            await one.consents.begin(sealed, one.session)
        with pytest.raises(InputRefused, match="redirect_uri"):
            await one.consents.approve(sealed, one.session, YES)
        with pytest.raises(InputRefused, match="redirect_uri"):
            await one.consents.refuse(sealed, one.session)

        assert await one.endpoint.rooms.delegations.of_person(one.person.id) == []

    with_authorizing(tmp_path, act)
