"""Providers over the management API and by command."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.api.server import ManagementServer
from tests.cli.conftest import Accredit, write
from tests.federation.test_providers import oidc, saml

PROVIDERS = "/api/v1/sign-in-providers"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagementServer]:
    with ManagementServer(tmp_path_factory.mktemp("accredit-data")) as running:
        yield running


@pytest.fixture
def client(server: ManagementServer) -> Iterator[httpx2.Client]:
    with server.client() as one:
        yield one


@pytest.fixture
def run(server: ManagementServer) -> Accredit:
    return Accredit(server)


def test_a_provider_is_added_shown_listed_and_removed(server: ManagementServer, client: httpx2.Client) -> None:
    text = oidc("over-api", "https://api.example.com", more='[roles]\ng = ["administrator"]')

    added = client.post(PROVIDERS, json={"configuration": text, "file": "a.toml", "secret": "the secret"})

    assert added.status_code == 201
    view = added.json()
    assert (view["kind"], view["has_secret"], view["version"]) == ("oidc", True, 1)
    assert view["register_there"] == f"{server.url}/console/sign-in/callback/over-api"
    assert view["configuration"]["roles"] == {"g": ["administrator"]}
    assert "the secret" not in added.text
    assert client.get(f"{PROVIDERS}/over-api").json() == view
    assert view in client.get(PROVIDERS).json()["providers"]
    assert client.delete(f"{PROVIDERS}/over-api").status_code == 204
    assert client.get(f"{PROVIDERS}/over-api").status_code == 404
    assert client.delete(f"{PROVIDERS}/over-api").status_code == 404


def test_a_saml_provider_names_its_address(server: ManagementServer, client: httpx2.Client) -> None:
    view = client.post(PROVIDERS, json={"configuration": saml()}).json()

    assert (view["kind"], view["has_secret"]) == ("saml", False)
    assert view["register_there"] == f"{server.url}/console/sign-in/saml/saml"


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"configuration": "name = ", "file": "bad.toml"}, 400, "bad.toml:1"),
        ({"configuration": oidc("no-secret", "https://n.example.com")}, 400, "needs a secret"),
        ({"configuration": oidc("never", "https://n.example.com"), "secret": "s", "replace": True}, 404, "never"),
        ({"configuration": 7}, 400, "configuration"),
        ({"configuration": "", "file": "a\nb"}, 400, "file"),
        ({"configuration": "", "secret": ""}, 400, "secret"),
    ],
)
def test_what_cannot_be_used_is_refused(client: httpx2.Client, body: dict[str, object], status: int, told: str) -> None:
    answer = client.post(PROVIDERS, json=body)

    assert answer.status_code == status
    assert told in answer.json()["detail"]


def test_a_provider_is_added_replaced_and_removed_by_command(run: Accredit, tmp_path: Path) -> None:
    issuer = "https://cli.example.com"
    path = write(tmp_path / "cli.toml", oidc("by-command", issuer, domains='["cli.example.com"]'))
    secret = write(tmp_path / "secret", "the secret\n")

    added = run("sign-in", "provider", "add", path, "--secret-file", secret)
    refused = run("sign-in", "provider", "add", path, "--secret-file", secret)
    replaced = run.json("sign-in", "provider", "add", path, "--replace")
    listed = run("sign-in", "provider", "list")
    shown = run("sign-in", "provider", "show", "by-command")
    removed = run("sign-in", "provider", "remove", "by-command")

    assert added.exit_code == 0
    assert "/console/sign-in/callback/by-command" in added.stdout
    assert refused.exit_code == 1
    assert "--replace" in refused.stderr
    assert (replaced["version"], replaced["has_secret"]) == (2, True)
    assert "cli.example.com" in listed.stdout
    assert "sealed" in shown.stdout
    assert removed.exit_code == 0
    assert run("sign-in", "provider", "show", "by-command").exit_code == 1
    assert not any("the secret" in one.output for one in (added, refused, listed, shown, removed))


def test_a_subject_is_linked_by_command(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "link.toml", oidc("linking", "https://link.example.com", client_authentication='"none"'))
    run("sign-in", "provider", "add", path)
    run.reader("linked-agent")

    linked = run.json("sign-in", "provider", "link", "linking", "--subject", "ana-7", "--email", "ana@example.com")
    again = run("sign-in", "provider", "link", "linking", "--subject", "ana-7", "--email", "ana@example.com")
    nobody = run("sign-in", "provider", "link", "linking", "--subject", "x", "--email", "nobody@example.com")

    assert (linked["provider"], linked["subject"], linked["email"]) == ("linking", "ana-7", "ana@example.com")
    assert [again.exit_code, nobody.exit_code] == [1, 1]
