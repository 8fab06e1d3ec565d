"""`accredit issuer …`, and a workload as an agent's credential."""

import json
from pathlib import Path

from tests.cli.conftest import Accredit, write
from tests.federation.foreign import GITHUB, describe

SUBJECT = "repo:acme/scout:environment:prod"


def test_an_issuer_is_added_shown_listed_and_removed(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "ci.toml", describe("ci", "https://ci.example.com", "generic"))

    added = run.json("issuer", "add", path)
    again = run("issuer", "add", path)
    replaced = run("issuer", "add", path, "--replace")
    shown = run("issuer", "show", "ci")
    listed = run("issuer", "list")
    removed = run.json("issuer", "remove", "ci")

    assert added["configuration"]["issuer"] == "https://ci.example.com"
    assert (again.exit_code, replaced.exit_code) == (1, 0)
    assert "https://ci.example.com" in shown.stdout
    assert "named by its metadata" in shown.stdout
    assert "workloads" in listed.stdout
    assert removed == {"removed": "ci"}
    assert run("issuer", "show", "ci").exit_code == 1


def test_a_peer_is_shown_with_its_resources(run: Accredit, tmp_path: Path) -> None:
    run.reader("chatty")
    peer = '[people]\n[peer.resources]\n"https://api.example" = ["chat.read"]\n[peer.clients]\nchatty = "there"\n'
    path = write(tmp_path / "chat.toml", describe("chat", "https://chat.example", "provider", peer))

    run.json("issuer", "add", path)

    shown = run("issuer", "show", "chat").stdout
    assert "chat.read" in shown
    assert "takes our identity assertions" in shown


def test_what_is_wrong_in_a_description_is_told_with_the_file(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "bad.toml", describe("bad", "http://ci.example.com", "generic"))

    result = run("issuer", "add", path)

    assert result.exit_code == 1
    assert "bad.toml: issuer must be" in result.stderr


def test_a_workload_is_a_credential_of_an_agent(run: Accredit, tmp_path: Path) -> None:
    run.reader("deployer")
    run.json("issuer", "add", write(tmp_path / "github.toml", describe("github", GITHUB, "github_actions")))
    add = ("agent", "credential", "add", "deployer", "--kind", "federated", "--issuer", GITHUB, "--subject", SUBJECT)

    without_an_id = run(*add)
    added = run.json(*add, "--claim", "repository_owner_id=123456")
    held = run.json("agent", "credential", "list", "deployer")["credentials"]

    assert without_an_id.exit_code == 1
    assert "repository_owner_id" in without_an_id.stderr
    assert (added["issuer"], added["subject"]) == (GITHUB, SUBJECT)
    assert held == [added]
    assert added["claims"] == {"repository_owner_id": "123456"}
    assert SUBJECT in run("agent", "credential", "list", "deployer").stdout


def test_a_workload_of_an_issuer_that_nobody_trusts_is_no_credential(run: Accredit) -> None:
    run.reader("hopeful")

    result = run(
        *("agent", "credential", "add", "hopeful", "--kind", "federated"),
        *("--issuer", "https://nobody.example", "--subject", "x"),
    )

    assert result.exit_code == 1
    assert "no trusted issuer" in result.stderr
    assert run.json("agent", "credential", "list", "hopeful")["credentials"] == []


def test_the_options_of_a_workload_go_with_its_kind(run: Accredit) -> None:
    run.reader("picky-workload")
    add = ("agent", "credential", "add", "picky-workload", "--kind")

    wrong = [
        run(*add, "federated", "--subject", "x"),
        run(*add, "federated", "--issuer", "https://a.example"),
        run(*add, "client_secret", "--claim", "a=b"),
        run(*add, "federated", "--issuer", "https://a.example", "--subject", "x", "--claim", "a"),
        run(*add, "client_secret", "--issuer", "https://a.example"),
    ]

    assert [one.exit_code for one in wrong] == [2] * 5


def test_the_api_refuses_a_workload_with_members_of_another_kind(run: Accredit) -> None:
    run.reader("mixed")
    bodies = [
        {"kind": "federated", "subject": "x"},
        {"kind": "federated", "issuer": "https://a.example"},
        {"kind": "federated", "issuer": "https://a.example", "subject": "x", "jwks": {}},
        {"kind": "client_secret", "issuer": "https://a.example"},
        {"kind": "client_secret", "claims": {"a": "b"}},
    ]

    with run.server.client() as client:
        answers = [client.post("/api/v1/agents/mixed/credentials", json=body) for body in bodies]

    assert [one.status_code for one in answers] == [400] * 5
    assert json.loads(answers[0].content)["code"] == "input_refused"
