"""A secret that is sent wrongly is not kept: not in the log, not in the database, not in what the process logs."""

import base64
from pathlib import Path

import pytest

from tests.oauth.endpoint import Endpoint, with_endpoint


def _basic(endpoint: Endpoint) -> tuple[bytes, dict[str, str]]:
    pair = f"{endpoint.agent.id}:{endpoint.secret}\u00a0".encode()
    return b"grant_type=client_credentials", {"authorization": "Basic " + base64.b64encode(pair).decode()}


def _raw_form(endpoint: Endpoint) -> tuple[bytes, dict[str, str]]:
    return f"grant_type=client_credentials&client_secret={endpoint.secret}\u00a0".encode(), {}


def _escaped_form(endpoint: Endpoint) -> tuple[bytes, dict[str, str]]:
    return f"grant_type=client_credentials&client_secret={endpoint.secret}%A0".encode(), {}


@pytest.mark.parametrize("send", [_basic, _raw_form, _escaped_form])
def test_a_secret_with_a_pasted_space_is_refused_and_not_recorded(
    tmp_path: Path, send: object, capfd: pytest.CaptureFixture[str]
) -> None:
    async def act(endpoint: Endpoint) -> str:
        body, headers = send(endpoint)  # type: ignore[operator]
        form = {"content-type": "application/x-www-form-urlencoded", **headers}

        answer = await endpoint.client.post("/oauth/token", content=body, headers=form)

        assert answer.status_code in (400, 401)
        assert endpoint.secret not in answer.text
        assert [one.type for one in await endpoint.events()][-1] == "token.refused"
        return endpoint.secret

    secret = with_endpoint(tmp_path, act)

    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    said = capfd.readouterr()
    assert secret.encode() not in kept
    assert secret not in said.out + said.err
