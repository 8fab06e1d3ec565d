"""What the endpoints for clients beside the token endpoint share: strict reading, one way to authenticate, no leaks."""

import base64
from pathlib import Path

import pytest

from accredit.errors import Unavailable
from tests.oauth.asking import Asking, with_asking
from tests.oauth.authorizing import EMAIL

PATHS = ["/oauth/device_authorization", "/oauth/backchannel_authentication"]
FORM = "application/x-www-form-urlencoded"


def whole(one: Asking, path: str) -> dict[str, str]:
    """A request that is taken."""
    more = {"scope": "openid"} | ({"login_hint": EMAIL} if "backchannel" in path else {})
    return {"client_id": one.client.client_id, "client_secret": one.secret, **more}


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_form_post_is_refused(tmp_path: Path, path: str) -> None:
    async def act(one: Asking) -> None:
        client, form = one.endpoint.client, whole(one, path)
        taken = await client.post(path, data=form)
        encoded = "&".join(f"{name}={value}" for name, value in form.items())

        gotten = await client.get(path, params=form)
        as_json = await client.post(path, json=form)
        twice = await client.post(path, content=f"{encoded}&scope=openid&scope=email", headers={"Content-Type": FORM})
        large = await client.post(path, content=f"{encoded}&x={'y' * 70_000}", headers={"Content-Type": FORM})

        assert taken.status_code == 200
        assert (gotten.status_code, gotten.headers["allow"]) == (405, "POST")
        for answer in (as_json, twice, large):
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
            assert answer.headers["cache-control"] == "no-store"
            assert one.secret not in answer.text

    with_asking(tmp_path, act)


@pytest.mark.parametrize("path", PATHS)
def test_a_client_proves_itself_in_one_way_and_is_challenged_in_that_way(tmp_path: Path, path: str) -> None:
    async def act(one: Asking) -> None:
        client, form = one.endpoint.client, whole(one, path)

        def basic(secret: str) -> dict[str, str]:
            pair = f"{one.client.client_id}:{secret}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

        rest = {name: value for name, value in form.items() if not name.startswith("client_")}
        by_basic = await client.post(path, data=rest, headers=basic(one.secret))
        wrong = await client.post(path, data=rest, headers=basic("acs_wrong"))
        both = await client.post(path, data=form, headers=basic(one.secret))
        nothing = await client.post(path, data=rest)

        # It registered for client_secret_post; a secret is taken in either place, as at the token endpoint.
        token = await client.post("/oauth/token", data={"grant_type": "x"}, headers=basic(one.secret))
        assert (by_basic.status_code == 200) == (token.json()["error"] != "invalid_client")
        assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, 'Basic realm="accredit"')
        assert both.json()["error"] in ("invalid_request", "invalid_client")
        assert (nothing.status_code, nothing.json()["error"]) == (401, "invalid_client")
        assert "www-authenticate" not in nothing.headers

    with_asking(tmp_path, act)


@pytest.mark.parametrize(
    "failure", [Unavailable("secret of the house"), RuntimeError("secret of the house")], ids=["unavailable", "a fault"]
)
@pytest.mark.parametrize("path", PATHS)
def test_what_fails_inside_gives_nothing_and_tells_nothing(tmp_path: Path, path: str, failure: Exception) -> None:
    async def act(one: Asking) -> None:
        form = whole(one, path)
        assert (await one.endpoint.client.post(path, data=form)).status_code == 200
        change = one.endpoint.rooms.transactions.change

        async def fail(_run: object) -> object:
            raise failure

        one.endpoint.rooms.transactions.change = fail  # type: ignore[method-assign, assignment]
        answer = await one.endpoint.client.post(path, data=form)
        one.endpoint.rooms.transactions.change = change  # type: ignore[method-assign]

        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        assert "house" not in answer.text

    with_asking(tmp_path, act)
