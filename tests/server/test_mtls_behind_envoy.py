"""Mutual TLS from end to end (RFC 8705): a client, a real Envoy that ends TLS, a real server."""

import base64
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.certificates import Pair, an_authority, self_signed, signed_by
from tests.examples.conftest import RunningCrm
from tests.server.envoy import HEADER, SOURCE, envoy
from tests.server.running import Running, call_body, call_headers, free_port, running

AUTHORITY = an_authority()
SERVER = signed_by(AUTHORITY, "localhost", x509.DNSName("localhost"), usage=ExtendedKeyUsageOID.SERVER_AUTH)
SIGNED = signed_by(AUTHORITY, "reader", x509.UniformResourceIdentifier("spiffe://example.com/reader"))
ALONE = self_signed("worker")


@dataclass(slots=True)
class Front:
    """A server behind its proxy: `url` is the proxy's, and the issuer."""

    server: Running
    url: str
    folder: Path

    def client(self, pair: Pair | None = None) -> httpx2.Client:
        context = ssl.create_default_context(cadata=AUTHORITY.pem)
        if pair is not None:
            path = self.folder / f"{pair.certificate.serial_number}.pem"
            path.write_text(pair.pem + pair.key_pem)
            context.load_cert_chain(path)
        return httpx2.Client(verify=context, timeout=30, trust_env=False)

    def ask(self, pair: Pair | None, client_id: str, **headers: str) -> httpx2.Response:
        form = {"grant_type": "client_credentials", "client_id": client_id}
        with self.client(pair) as client:
            return client.post(f"{self.url}/oauth/token", data=form, headers=headers)

    def read(self, pair: Pair | None, token: str) -> httpx2.Response:
        with self.client(pair) as client:
            return client.post(
                f"{self.url}/gateway/crm/mcp",
                json=call_body("search_contacts", {"query": "a"}),
                headers=call_headers(token, "search_contacts"),
            )

    def add_agent(self, name: str, credential: dict[str, Any]) -> str:
        new = {"name": name, "owner": "ana@example.com", "roles": ["ai-agent-readonly"], "systems": ["crm"]}
        agent: str = self.server.api("POST", "/api/v1/agents", new)["id"]
        self.server.api("POST", f"/api/v1/agents/{agent}/credentials", credential)
        return agent


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, crm: RunningCrm) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    (folder / "authority.pem").write_text(AUTHORITY.pem)
    port, behind = free_port(), free_port()
    settings = {
        "ACCREDIT_ISSUER": f"https://localhost:{port}",
        "ACCREDIT_CLIENT_CERTIFICATE_HEADER": HEADER,
        "ACCREDIT_TRUSTED_PROXIES": SOURCE,
        "ACCREDIT_CLIENT_CERTIFICATE_AUTHORITIES": str(folder / "authority.pem"),
    }
    with running(folder / "data", behind, **settings) as server, envoy(folder, port, behind, AUTHORITY, SERVER):
        server.add_crm(crm.url)
        yield Front(server, f"https://localhost:{port}", folder)


@pytest.fixture(scope="module")
def reader(front: Front) -> str:
    return front.add_agent("reader", {"kind": "tls_subject", "subject": "uri:spiffe://example.com/reader"})


@pytest.fixture(scope="module")
def worker(front: Front) -> str:
    return front.add_agent("worker", {"kind": "tls_certificate", "certificate": ALONE.pem})


def test_an_agent_gets_a_token_by_its_authoritys_certificate_and_uses_it_with_that_alone(
    front: Front, reader: str
) -> None:
    answer = front.ask(SIGNED, reader)
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]

    assert front.read(SIGNED, token).json()["result"]["isError"] is False
    for other in (None, ALONE):
        refused = front.read(other, token)
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]


def test_an_agent_gets_a_token_by_a_certificate_that_it_signed_itself(front: Front, worker: str) -> None:
    answer = front.ask(ALONE, worker)

    assert answer.status_code == 200, answer.text
    assert front.read(ALONE, answer.json()["access_token"]).status_code == 200


def test_nobody_is_an_agent_by_another_certificate_or_by_none(front: Front, reader: str, worker: str) -> None:
    for client_id in (reader, worker):
        for pair in (None, self_signed("reader"), signed_by(AUTHORITY, "other")):
            assert front.ask(pair, client_id).json()["error"] == "invalid_client"


@pytest.mark.parametrize("form", ["RFC 9440", "PEM"])
def test_a_header_that_the_client_writes_is_taken_away_by_the_proxy(front: Front, worker: str, form: str) -> None:
    value = ":" + base64.b64encode(ALONE.der).decode() + ":" if form == "RFC 9440" else quote(ALONE.pem)

    assert front.ask(None, worker, **{HEADER: value}).json()["error"] == "invalid_client"
    assert front.ask(self_signed(), worker, **{HEADER: value}).json()["error"] == "invalid_client"


def test_who_goes_round_the_proxy_is_believed_no_certificate(front: Front, worker: str) -> None:
    form = {"grant_type": "client_credentials", "client_id": worker}

    answer = httpx2.post(
        f"http://127.0.0.1:{front.server.port}/oauth/token",
        data=form,
        headers={HEADER: quote(ALONE.pem)},
        timeout=30,
        trust_env=False,
    )

    assert answer.json()["error"] == "invalid_client"


def test_the_methods_are_advertised(front: Front) -> None:
    with front.client() as client:
        document = client.get(f"{front.url}/.well-known/oauth-authorization-server").json()

    assert document["issuer"] == front.url
    assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(document["token_endpoint_auth_methods_supported"])
    assert document["tls_client_certificate_bound_access_tokens"] is True
