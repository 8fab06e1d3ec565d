"""A server whose keys are in OpenBao: it signs there, and without it signs nothing."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.examples.conftest import RunningCrm, crm
from tests.keys.openbao import OpenBao, openbao
from tests.server.running import Running, call, environment, free_port, running

__all__ = ["crm"]


@pytest.fixture
def bao(tmp_path: Path) -> Iterator[OpenBao]:
    with openbao(tmp_path) as running_bao:
        yield running_bao


def settings(bao: OpenBao) -> dict[str, str]:
    return {"ACCREDIT_OPENBAO_ADDRESS": bao.address, "ACCREDIT_OPENBAO_TOKEN_FILE": str(bao.token_file)}


def check_it_signs_nothing(server: Running, client_id: str, secret: str) -> None:
    refused = server.token(client_id, secret)
    assert refused.status_code == 503
    assert refused.json()["error"] == "temporarily_unavailable"
    assert "access_token" not in refused.json()


def test_tokens_are_signed_in_openbao_and_its_loss_gives_no_token(
    tmp_path: Path, crm: RunningCrm, bao: OpenBao
) -> None:
    data, port = tmp_path / "data", free_port()
    with running(data, port, **settings(bao)) as server:
        server.add_crm(crm.url)
        client_id, secret = server.add_agent("reader", "ai-agent-readonly")
        token = server.access_token(client_id, secret)
        assert {key["kept_in"] for key in server.api("GET", "/api/v1/keys")["keys"]} == {"openbao_transit"}
        assert call(server, token, "search_contacts", query="a").status_code == 200

        bao.stop()

        check_it_signs_nothing(server, client_id, secret)
        assert call(server, token, "search_contacts", query="a").status_code == 200
        headers = {"authorization": f"Bearer {server.management()['token']}"}
        answer = httpx2.post(f"{server.issuer}/api/v1/keys", json={}, headers=headers, timeout=10, trust_env=False)
        assert answer.status_code == 503
        assert len(server.api("GET", "/api/v1/keys")["keys"]) == 3

    # It starts without OpenBao, and knows its own tokens.
    with running(data, port, **settings(bao)) as server:
        assert call(server, token, "search_contacts", query="a").status_code == 200
        check_it_signs_nothing(server, client_id, secret)

    # The way out when OpenBao is gone for good: keys of our own.
    with running(data, port) as server:
        check_it_signs_nothing(server, client_id, secret)
        made = server.api("POST", "/api/v1/keys", {"now": True})
        assert made["kept_in"] == "sealed"
        new = server.access_token(client_id, secret)
        assert call(server, new, "search_contacts", query="a").status_code == 200
        assert call(server, token, "search_contacts", query="a").status_code == 401

    assert bao.token_file.read_text().strip() not in server.log


def test_without_openbao_nothing_is_made_at_the_first_start(tmp_path: Path, bao: OpenBao) -> None:
    bao.stop()

    done = subprocess.run(
        [sys.executable, "-m", "accredit", "init"],
        env=environment(tmp_path / "data", **settings(bao)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert "OpenBao does not sign now" in done.stderr
    assert "openbao_token_file" in done.stderr
