"""Client certificates over the management API and by command (RFC 8705)."""

from pathlib import Path

import httpx2
import pytest

from tests.api.server import ManagementServer
from tests.certificates import self_signed
from tests.cli.conftest import Accredit, run, write

__all__ = ["run"]
PAIR = self_signed()


def _create(client: httpx2.Client, name: str) -> str:
    client.post("/api/v1/agents", json={"name": name, "owner": "ana@example.com"})
    return f"/api/v1/agents/{name}/credentials"


@pytest.mark.parametrize(
    ("body", "subject"),
    [
        ({"kind": "tls_subject", "subject": "dn:CN=reader,O=Example"}, "dn:CN=reader,O=Example"),
        ({"kind": "tls_subject", "subject": "ip:2001:DB8::1"}, "ip:2001:db8::1"),
        ({"kind": "tls_certificate", "certificate": PAIR.pem}, PAIR.thumbprint),
    ],
    ids=["subject", "address", "certificate"],
)
def test_a_certificate_is_registered_for_an_agent(
    server: ManagementServer, client: httpx2.Client, body: dict[str, str], subject: str
) -> None:
    name = f"tls-{subject[:12]}".replace(":", "-")
    path = _create(client, name)

    added = client.post(path, json=body)

    assert added.status_code == 201, added.text
    assert "client_secret" not in added.json()

    async def held() -> list[str | None]:
        return [one.subject for one in (await server.rooms.agents.named(name)).credentials]

    assert server.call(held) == [subject]


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "tls_subject"},
        {"kind": "tls_subject", "subject": "reader"},
        {"kind": "tls_subject", "subject": "dn:CN=a", "certificate": PAIR.pem},
        {"kind": "tls_certificate", "subject": "dn:CN=a"},
        {"kind": "tls_certificate", "certificate": "x"},
        {"kind": "tls_certificate", "certificate": PAIR.pem + PAIR.key_pem},
        {"kind": "client_secret", "certificate": PAIR.pem},
    ],
    ids=["no subject", "no kind of name", "both", "a subject", "no certificate", "a private key", "a secret"],
)
def test_what_is_no_certificate_is_refused(client: httpx2.Client, body: dict[str, str]) -> None:
    path = _create(client, "refused")

    answer = client.post(path, json=body)

    assert answer.status_code == 400
    assert PAIR.key_pem not in answer.text


def test_both_kinds_are_added_by_command(run: Accredit, tmp_path: Path) -> None:
    run.reader("by-command")
    path = write(tmp_path / "client.pem", PAIR.pem)
    add = ("agent", "credential", "add", "by-command", "--kind")

    alone = run.json(*add, "tls_certificate", "--certificate", path)
    signed = run.json(*add, "tls_subject", "--subject", "dns:reader.example.com")

    assert (alone["kind"], signed["kind"]) == ("tls_certificate", "tls_subject")


@pytest.mark.parametrize(
    "arguments",
    [
        ("tls_certificate",),
        ("tls_subject",),
        ("tls_subject", "--subject", "dn:CN=a", "--certificate", "pyproject.toml"),
        ("tls_certificate", "--subject", "dn:CN=a"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(run: Accredit, arguments: tuple[str, ...]) -> None:
    assert run("agent", "credential", "add", "x", "--kind", *arguments).exit_code == 2
