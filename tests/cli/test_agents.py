"""`accredit agent …`."""

import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from tests.cli.conftest import Accredit, write


def test_an_agent_is_created_and_its_client_id_is_printed(run: Accredit) -> None:
    agent = run.json("agent", "create", "scout", "--owner", "ana@example.com", "--role", "a", "--role", "b")

    assert agent["client_id"] == agent["id"]
    assert agent["id"].startswith("agt_")
    assert agent["roles"] == ["a", "b"]
    assert agent["capability_level"] == 2


def test_a_role_that_no_policy_names_is_remarked_on(run: Accredit) -> None:
    result = run(
        "agent", "create", "typo", "--owner", "a@b.c", "--role", "ai-agent-readnoly", "--role", "ai-agent-admin"
    )

    assert result.exit_code == 0
    assert "ai-agent-readnoly" in result.stderr
    assert "ai-agent-admin" not in result.stderr


def test_an_agent_is_shown_to_people_in_words(run: Accredit) -> None:
    client_id = run.reader("plain")

    result = run("agent", "show", "plain")

    assert result.exit_code == 0
    assert client_id in result.stdout
    assert "none is allowed" in result.stdout


def test_an_agent_is_shown_by_name_and_by_id(run: Accredit) -> None:
    client_id = run.reader("Łódź 50% & more")

    assert run.json("agent", "show", "Łódź 50% & more") == run.json("agent", "show", client_id)


def test_every_agent_is_listed(run: Accredit) -> None:
    for name in ("list-b", "list-a"):
        run.reader(name)

    names = [one["name"] for one in run.json("agent", "list")["agents"]]
    table = run("agent", "list").stdout

    assert names == sorted(names)
    assert {"list-a", "list-b"} <= set(names)
    assert table.index("list-a") < table.index("list-b")


def test_an_agent_is_suspended_resumed_and_retired(run: Accredit) -> None:
    run.reader("mover")

    said = [run("agent", act, "mover").stdout.strip() for act in ("suspend", "resume", "retire")]

    assert said == [f"The agent mover is {status}." for status in ("suspended", "active", "retired")]


def test_what_is_refused_is_one_sentence_a_next_step_and_exit_code_1(run: Accredit) -> None:
    run.reader("gone")
    run("agent", "retire", "gone")

    result = run("agent", "resume", "gone")
    unknown = run("agent", "show", "nobody")

    assert result.exit_code == 1
    assert result.stderr == "Error: the agent 'gone' is retired\nWhat to do: `accredit agent show` tells its state\n"
    assert unknown.exit_code == 1
    assert unknown.stderr.splitlines()[1].startswith("What to do: ")


def test_with_json_an_error_is_an_object_on_standard_error(run: Accredit) -> None:
    result = run("agent", "show", "nobody", "--json")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert json.loads(result.stderr).keys() == {"detail", "next_step", "code", "event"}


def test_a_client_secret_is_all_that_standard_output_gets(run: Accredit) -> None:
    run.reader("keeper")

    result = run("agent", "credential", "add", "keeper", "--kind", "client_secret")

    assert result.stdout.startswith("acs_")
    assert len(result.stdout.splitlines()) == 1
    assert "this once" in result.stderr
    assert result.stdout.strip() not in run("agent", "credential", "list", "keeper", "--json").stdout


def test_a_client_secret_as_json_stands_beside_its_id(run: Accredit) -> None:
    run.reader("json-keeper")

    added = run.json("agent", "credential", "add", "json-keeper", "--kind", "client_secret")

    assert added["client_secret"].startswith("acs_")
    assert added["kind"] == "client_secret"


def test_a_credential_is_revoked(run: Accredit) -> None:
    run.reader("loser")
    added = run.json("agent", "credential", "add", "loser", "--kind", "client_secret")

    result = run("agent", "credential", "revoke", "loser", added["id"])

    listed = run.json("agent", "credential", "list", "loser")["credentials"]
    assert result.exit_code == 0
    assert [one["id"] for one in listed if one["revoked_at"]] == [added["id"]]


def test_public_keys_are_registered_from_a_file(run: Accredit, tmp_path: Path) -> None:
    run.reader("signer")
    jwk = ECKey.generate_key("P-256").as_dict(private=False)
    path = write(tmp_path / "jwks.json", json.dumps({"keys": [jwk]}))

    added = run.json("agent", "credential", "add", "signer", "--kind", "public_key", "--jwks", path)

    assert added["kind"] == "public_key"
    assert "client_secret" not in added


def test_a_private_key_is_not_registered(run: Accredit, tmp_path: Path) -> None:
    run.reader("leaker")
    jwk = ECKey.generate_key("P-256").as_dict(private=True)
    path = write(tmp_path / "jwks.json", json.dumps({"keys": [jwk]}))

    result = run("agent", "credential", "add", "leaker", "--kind", "public_key", "--jwks", path)

    assert result.exit_code == 1
    assert "private key" in result.stderr
    assert str(jwk["d"]) not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "x"),
        ("create", "--owner", "ana@example.com"),
        ("create", "x", "--owner", "ana@example.com", "--capability-level", "5"),
        ("credential", "add", "x"),
        ("credential", "add", "x", "--kind", "password"),
        ("credential", "add", "x", "--kind", "public_key"),
        ("credential", "add", "x", "--kind", "public_key", "--jwks", "/nowhere/jwks.json"),
        ("credential", "add", "x", "--kind", "client_secret", "--jwks", "pyproject.toml"),
        ("credential", "add", "x", "--kind", "public_key", "--jwks", "pyproject.toml"),
        ("promote", "x"),
    ],
)
def test_wrong_usage_exits_with_2_and_never_a_traceback(run: Accredit, arguments: tuple[str, ...]) -> None:
    result = run("agent", *arguments)

    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert "Traceback" not in result.output


CALLBACK = "https://client.example/callback"


def test_an_agent_is_created_with_bounds_and_actors(run: Accredit) -> None:
    actor = run.reader("cli-actor")

    agent = run.json(
        "agent", "create", "cli-bounded", "--owner", "a@b.c", "--max-session-seconds", "60", "--may-act", "cli-actor"
    )

    assert (agent["max_session_seconds"], agent["may_act"]) == (60, [actor])


def test_an_agent_becomes_a_public_client(run: Accredit) -> None:
    run.reader("cli-client")

    agent = run.json("agent", "client", "cli-client", "--redirect-uri", CALLBACK, "--public")

    assert agent["client"]["redirect_uris"] == [CALLBACK]
    assert agent["client"]["token_endpoint_auth_method"] == "none"
    assert CALLBACK in run("agent", "show", "cli-client").stdout


def test_a_client_is_described_by_a_file(run: Accredit, tmp_path: Path) -> None:
    run.reader("cli-described")
    path = write(
        tmp_path / "client.json", json.dumps({"client_name": "Described", "redirect_uris": ["http://localhost"]})
    )

    agent = run.json("agent", "client", "cli-described", "--file", path, "--redirect-uri", CALLBACK)

    assert (agent["client"]["client_name"], agent["client"]["redirect_uris"]) == ("Described", [CALLBACK])


@pytest.mark.parametrize("text", ["[]", "{", ""], ids=["a list", "no JSON", "empty"])
def test_a_file_that_describes_no_client_cannot_run(run: Accredit, tmp_path: Path, text: str) -> None:
    result = run("agent", "client", "any", "--file", write(tmp_path / "client.json", text))

    assert result.exit_code == 2
    assert "client.json" in result.stderr


def test_a_client_without_a_redirect_uri_and_a_file_is_a_mistake(run: Accredit) -> None:
    assert run("agent", "client", "any", "--public").exit_code == 2


def test_a_redirect_uri_that_is_not_allowed_is_refused(run: Accredit) -> None:
    run.reader("cli-refused")

    result = run("agent", "client", "cli-refused", "--redirect-uri", "http://client.example/cb")

    assert result.exit_code == 1
    assert "loopback" in result.stderr


def test_a_registration_token_is_made_listed_and_revoked(run: Accredit) -> None:
    made = run.json(
        "agent", "registration-token", "create", "--owner", "a@b.c", "--role", "ai-agent-readonly", "--uses", "2"
    )
    assert made["token"].startswith("ait_")

    listed = run.json("agent", "registration-token", "list")["registration_tokens"]
    table = run("agent", "registration-token", "list").stdout
    revoked = run.json("agent", "registration-token", "revoke", made["id"])

    assert {one["id"]: one["uses_left"] for one in listed}[made["id"]] == 2
    assert made["id"] in table and made["token"] not in table + json.dumps(listed)
    assert revoked == {"id": made["id"], "revoked": True}
    assert run("agent", "registration-token", "revoke", made["id"]).exit_code == 1


def test_people_get_the_bare_registration_token_and_a_note(run: Accredit) -> None:
    result = run("agent", "registration-token", "create", "--owner", "a@b.c")

    assert result.exit_code == 0
    assert result.stdout.startswith("ait_") and len(result.stdout.split()) == 1
    assert "once" in result.stderr
