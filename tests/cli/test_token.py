"""`accredit token`: as the agent, with its own credential."""

import json
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.cli.conftest import Accredit, write

Key = ECKey | OKPKey | RSAKey


def secret_file(run: Accredit, name: str, folder: Path) -> str:
    added = run.json("agent", "credential", "add", name, "--kind", "client_secret")
    return write(folder / f"{name}.secret", added["client_secret"] + "\n")


def register(run: Accredit, name: str, key: Key, folder: Path) -> None:
    path = write(folder / f"{name}.jwks", json.dumps({"keys": [key.as_dict(private=False)]}))
    run.json("agent", "credential", "add", name, "--kind", "public_key", "--jwks", path)


def claims(token: str) -> dict[str, object]:
    return msgspec.json.decode(jws.extract_compact(token.encode()).payload, type=dict[str, object])


def test_an_agent_gets_a_token_with_its_secret(run: Accredit, tmp_path: Path) -> None:
    resource = run.system("crm", tmp_path)
    client_id = run.reader("reader", "crm")

    response = run.json("token", client_id, "--secret-file", secret_file(run, "reader", tmp_path))

    assert response["token_type"] == "Bearer"
    assert response["scope"] == "crm:contacts.read"
    assert claims(response["access_token"])["sub"] == client_id
    assert claims(response["access_token"])["aud"] == resource


def test_people_get_the_bare_token_and_a_note(run: Accredit, tmp_path: Path) -> None:
    client_id = run.reader("plain")

    result = run("token", client_id, "--secret-file", secret_file(run, "plain", tmp_path))

    assert claims(result.stdout.strip())["sub"] == client_id
    assert "300 seconds" in result.stderr


def test_a_name_is_looked_up_and_resource_and_scope_are_asked_for(run: Accredit, tmp_path: Path) -> None:
    resource = run.system("mail", tmp_path)
    run.system("disk", tmp_path)
    run.reader("named", "mail", "disk")
    secret = secret_file(run, "named", tmp_path)

    response = run.json(
        "token", "named", "--resource", resource, "--scope", "mail:contacts.read", "--secret-file", secret
    )

    assert claims(response["access_token"])["aud"] == resource
    assert response["scope"] == "mail:contacts.read"


def test_an_id_needs_no_management_token(run: Accredit, tmp_path: Path) -> None:
    client_id = run.reader("lonely")
    secret = secret_file(run, "lonely", tmp_path)

    result = run("token", client_id, "--secret-file", secret, env={"ACCREDIT_URL": run.server.url})

    assert result.exit_code == 0


@pytest.mark.parametrize(
    "key",
    [
        ECKey.generate_key("P-256", {"kid": "one"}),
        ECKey.generate_key("P-384"),
        OKPKey.generate_key("Ed25519"),
        RSAKey.generate_key(2048),
    ],
    ids=["P-256 with kid", "P-384", "Ed25519", "RSA"],
)
def test_an_agent_gets_a_token_with_its_private_key_as_jwk_and_as_pem(
    run: Accredit, tmp_path: Path, key: Key, request: pytest.FixtureRequest
) -> None:
    name = f"signer {request.node.callspec.id}"
    client_id = run.reader(name)
    register(run, name, key, tmp_path)
    jwk = write(tmp_path / "key.jwk", json.dumps(key.as_dict(private=True)))
    pem = write(tmp_path / "key.pem", key.as_pem(private=True).decode())

    for path in (jwk, pem):
        response = run.json("token", name, "--key", path)

        assert claims(response["access_token"])["sub"] == client_id


def test_a_wrong_secret_is_refused_with_the_number_of_its_event(run: Accredit, tmp_path: Path) -> None:
    client_id = run.reader("guessed")
    wrong = write(tmp_path / "wrong", "acs_wrong")

    result = run("token", client_id, "--secret-file", wrong, "--json")

    error = json.loads(result.stderr)
    event = run.json("audit", "show", str(error["event"]))
    assert result.exit_code == 1
    assert error["code"] == "invalid_client"
    assert event["type"] == "token.refused"


def test_a_key_that_is_not_the_agents_is_refused(run: Accredit, tmp_path: Path) -> None:
    run.reader("victim")
    other = write(tmp_path / "other.jwk", json.dumps(ECKey.generate_key("P-256").as_dict(private=True)))

    result = run("token", "victim", "--key", other)

    assert result.exit_code == 1
    assert "Event: " in result.stderr


def encrypted_pem() -> str:
    encryption = BestAvailableEncryption(b"secret")
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not a key",
        "{",
        '{"kty":"oct","k":"AAAA"}',
        '{"kty":"EC","crv":"P-256"}',
        json.dumps(ECKey.generate_key("P-256").as_dict(private=False)),
        json.dumps(ECKey.generate_key("P-521").as_dict(private=True)),
        ECKey.generate_key("P-256").as_pem(private=False).decode(),
        encrypted_pem(),
    ],
)
def test_a_file_without_a_fitting_private_key_cannot_run(run: Accredit, tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "key", text)

    result = run("token", "agt_any", "--key", path)

    assert result.exit_code == 2
    assert "What to do: " in result.stderr
    assert "Traceback" not in result.output


def test_one_credential_is_given_and_just_one(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "secret", "acs_x")

    neither = run("token", "agt_any")
    both = run("token", "agt_any", "--secret-file", path, "--key", path)

    assert (neither.exit_code, both.exit_code) == (2, 2)


def test_a_server_of_another_address_gets_no_secret(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "secret", "acs_x")
    elsewhere = run.server.url.replace("localhost", "127.0.0.1") + "/prefix"

    result = run("token", "agt_any", "--secret-file", path, env={"ACCREDIT_URL": elsewhere})

    assert result.exit_code == 2
    assert "oauth-authorization-server" in result.stderr
