"""A real server tells real clients: a ping for an answer (CIBA), a logout token for a session's end, and after a crash.

The agent is made an OAuth client by the command, as its owner would do it.
"""

import http.server
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from accredit.oauth.pending import CIBA_GRANT, DEVICE_GRANT
from accredit.people.directory import LOCAL_ADMINISTRATOR_EMAIL
from tests.conformance.person import Person, sign_in
from tests.server.running import Running, environment, free_port, running

TOKEN = "a-token-of-the-clients-own"
WAIT_SECONDS = 30.0


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    received: list[tuple[str, str, str]]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.received.append((self.path, self.headers.get("authorization", ""), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def listening(port: int) -> Iterator[list[tuple[str, str, str]]]:
    """A client's server on this port; what it received."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.received = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def wait_for(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def registered(server: Running, folder: Path, port: int) -> dict[str, str]:
    """An agent that is a client in ping mode, by the commands; its credentials as form fields."""
    metadata = {
        "client_name": "Clerk",
        "grant_types": [CIBA_GRANT, DEVICE_GRANT, "refresh_token"],
        "token_endpoint_auth_method": "client_secret_post",
        "backchannel_token_delivery_mode": "ping",
        "backchannel_client_notification_endpoint": f"http://127.0.0.1:{port}/ping",
        "backchannel_logout_uri": f"http://127.0.0.1:{port}/logout",
    }
    file = folder / "client.json"
    file.write_text(json.dumps(metadata))

    def command(*arguments: str) -> dict[str, Any]:
        ran = subprocess.run(
            [sys.executable, "-m", "accredit", *arguments, "--json"],
            env=environment(server.data),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    agent = command("agent", "create", "clerk", "--owner", "ana@example.com", "--role", "ai-agent-operator")
    client = command("agent", "client", "clerk", "--file", str(file))["client"]
    assert client["grant_types"] == metadata["grant_types"]
    secret = command("agent", "credential", "add", "clerk", "--kind", "client_secret")["client_secret"]
    return {"client_id": agent["client_id"], "client_secret": secret}


def ask(server: Running, credentials: dict[str, str]) -> str:
    form = {
        **credentials,
        "scope": "openid email",
        "login_hint": LOCAL_ADMINISTRATOR_EMAIL,
        "binding_message": "Order 7",
        "client_notification_token": TOKEN,
    }
    answer = httpx2.post(f"{server.issuer}/oauth/backchannel_authentication", data=form, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["auth_req_id"]
    return found


def allow(person: Person) -> None:
    page = person.open("/console/requests").text
    path = "/console/requests/" + page.partition('href="/console/requests/')[2].partition('"')[0]
    request = person.open(path)
    assert "Order 7" in request.text
    done = person.send(request.form(path), "allow")
    assert "You can go back to your device." in done.text


def redeem(server: Running, credentials: dict[str, str], auth_req_id: str) -> dict[str, Any]:
    form = {**credentials, "grant_type": CIBA_GRANT, "auth_req_id": auth_req_id}
    answer = httpx2.post(f"{server.issuer}/oauth/token", data=form, timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_answer_is_pinged_and_a_sign_out_is_told(tmp_path: Path) -> None:
    port = free_port()
    with (
        running(tmp_path / "data", ACCREDIT_PRIVATE_HOSTS="127.0.0.1") as server,
        listening(port) as received,
    ):
        credentials = registered(server, tmp_path, port)
        person = sign_in(server)
        auth_req_id = ask(server, credentials)

        allow(person)
        wait_for(lambda: received)
        assert received == [
            ("/ping", f"Bearer {TOKEN}", json.dumps({"auth_req_id": auth_req_id}, separators=(",", ":")))
        ]
        tokens = redeem(server, credentials, auth_req_id)
        keys = httpx2.get(f"{server.issuer}/.well-known/jwks.json", timeout=30, trust_env=False).json()
        id_token = jwt.decode(tokens["id_token"], KeySet.import_key_set(keys), algorithms=["ES256"]).claims

        page = person.open("/console/sign-out")
        person.send(page.form("/console/sign-out"))
        wait_for(lambda: len(received) == 2)

        path, _, body = received[1]
        logout = jwt.decode(parse_qs(body)["logout_token"][0], KeySet.import_key_set(keys), algorithms=["ES256"])
        assert path == "/logout"
        assert logout.header["typ"] == "logout+jwt"
        assert (logout.claims["sid"], logout.claims["sub"]) == (id_token["sid"], id_token["sub"])
        assert logout.claims["aud"] == credentials["client_id"]
        assert "nonce" not in logout.claims
        # Neither what is sent nor to whom as what stands in the process's log.
        for secret in (TOKEN, auth_req_id, credentials["client_secret"], tokens["access_token"]):
            assert secret not in server.log


def test_a_server_that_is_killed_before_its_client_heard_tells_it_after_its_next_start(tmp_path: Path) -> None:
    port, own = free_port(), free_port()
    with running(tmp_path / "data", own, ACCREDIT_PRIVATE_HOSTS="127.0.0.1") as server:
        credentials = registered(server, tmp_path, port)
        auth_req_id = ask(server, credentials)
        allow(sign_in(server))
        # Nobody listens yet.
        wait_for(lambda: "message not delivered" in server.log)
        server.stop(signal.SIGKILL)

    with (
        listening(port) as received,
        running(tmp_path / "data", own, ACCREDIT_PRIVATE_HOSTS="127.0.0.1") as server,
    ):
        wait_for(lambda: received)

        assert json.loads(received[0][2]) == {"auth_req_id": auth_req_id}
        assert redeem(server, credentials, auth_req_id)["scope"] == "openid email"


@pytest.mark.parametrize("setting", ["", "localhost"], ids=["none", "another name"])
def test_a_private_address_that_is_not_named_is_not_reached(tmp_path: Path, setting: str) -> None:
    port = free_port()
    with running(tmp_path / "data", ACCREDIT_PRIVATE_HOSTS=setting) as server, listening(port) as received:
        credentials = registered(server, tmp_path, port)
        auth_req_id = ask(server, credentials)
        allow(sign_in(server))
        wait_for(lambda: "message not delivered" in server.log)

        assert received == []
        assert redeem(server, credentials, auth_req_id)["token_type"] == "Bearer"
