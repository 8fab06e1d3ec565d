"""A client that cannot prove itself leaves a trace at every endpoint where it tries."""

from pathlib import Path

import pytest

from tests.oauth.asking import Asking, with_asking

PATHS = [
    "/oauth/token",
    "/oauth/par",
    "/oauth/introspect",
    "/oauth/revoke",
    "/oauth/device_authorization",
    "/oauth/backchannel_authentication",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_guessed_secret_is_an_event(tmp_path: Path, path: str) -> None:
    async def act(one: Asking) -> None:
        form = {
            "client_id": one.client.client_id,
            "client_secret": "acs_guessed",
            "grant_type": "client_credentials",
            "token": "x",
        }

        answer = await one.endpoint.client.post(path, data=form)

        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        event = (await one.endpoint.events())[answer.json()["event"]]
        assert event.type in ("client.refused", "token.refused")
        assert event.authentication == "client_secret_post"
        assert "acs_guessed" not in str(event)

    with_asking(tmp_path, act)
