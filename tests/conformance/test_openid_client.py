"""npm's openid-client and oauth4webapi, which refuse every answer that is not as the RFCs say, against a server.

The scripts stand in `scripts/`; what they print is looked at here. The server asks for DPoP nonces.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import ECKey

from accredit.people.directory import LOCAL_ADMINISTRATOR_EMAIL
from tests.conformance.peers import (
    MODULES,
    SCRIPTS,
    SECONDS,
    a_client,
    a_secret,
    claims_of,
    metadata,
    resource,
    start_node,
)
from tests.conformance.person import Person, sign_in
from tests.examples.conftest import RunningCrm
from tests.server.running import Running, call_body, call_headers, running

CALLBACK = "https://client.example/callback"
NOTHING_GRANTED = {"access_token", "token_type", "expires_in", "scope"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crm: RunningCrm) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("nonces") / "data", ACCREDIT_DPOP_NONCES="on") as server:
        server.add_crm(crm.url)
        yield server


def run(script: str, server: Running, person: Person, **given: Any) -> Any:
    """Run a script to its end; what it printed. The person does what it asks for."""
    process = start_node(SCRIPTS / script, PEERS=str(MODULES.parent))
    try:
        assert process.stdin is not None and process.stdout is not None
        _tell(process.stdin, {"issuer": server.issuer, "resource": resource(server), **given})
        for line in process.stdout:
            said = json.loads(line)
            if "done" in said:
                process.wait(SECONDS)
                return said["done"]
            _tell(process.stdin, _act(person, said["ask"], said["value"]))
        raise AssertionError(process.communicate()[1])
    finally:
        process.kill()
        process.communicate()


def _tell(stream: Any, value: object) -> None:
    stream.write(json.dumps(value) + "\n")
    stream.flush()


def _act(person: Person, what: str, value: Any) -> object:
    match what:
        case "allow":
            return person.allow(value)
        case "refuse":
            return person.refuse(value)
        case "device":
            return answer_device(person, value)
        case _:
            return answer_request(person, value)


def answer_device(person: Person, begun: dict[str, Any]) -> str:
    """Open the address with the code in it, look at the code, and answer."""
    page = person.open(begun["verification_uri_complete"])
    request = person.send(page.form("/console/device"))
    assert begun["user_code"] in request.text
    return person.send(request.form(request.path), begun["answer"]).url


def answer_request(person: Person, begun: dict[str, Any]) -> str:
    """Find the one request that waits, and answer it."""
    (reference,) = re.findall(r'href="(/console/requests/[A-Za-z0-9_-]{20,})"', person.open("/console/requests").text)
    request = person.open(reference)
    assert "Order 7" in request.text
    return person.send(request.form(request.path), begun["answer"]).url


def test_code_with_pkce_par_resource_and_dpop_nonces_then_refresh_with_rotation(
    server: Running, person: Person
) -> None:
    client = a_client(server, "with-dpop", redirect_uris=[CALLBACK], token_endpoint_auth_method="none")
    headers = {name: value for name, value in call_headers("", "get_contact").items() if name != "authorization"}
    scope = "openid offline_access crm:contacts.read"

    found = run(
        "code_with_dpop.mjs",
        server,
        person,
        client_id=client,
        redirect_uri=CALLBACK,
        scope=scope,
        call={"body": call_body("get_contact", {"id": 1}), "headers": headers},
    )

    assert found["pushed"] == ["client_id", "request_uri"]
    assert found["iss"] == server.issuer
    assert found["first"]["token_type"].lower() == "dpop"
    assert set(found["first"]["scope"].split()) == {"crm:contacts.read", "openid", "offline_access"}
    assert found["access_token_header"]["typ"] == "at+jwt"
    assert found["access_token"]["aud"] == resource(server)
    assert found["access_token"]["sub"] == found["id_token"]["sub"] != client
    assert found["access_token"]["act"] == {"sub": client}
    assert found["access_token"]["cnf"].keys() == {"jkt"}
    assert found["id_token"]["aud"] == client
    assert found["called"]["status"] == 200 and "Amara Okafor" in found["called"]["body"]
    assert found["second"] == {"token_type": "dpop", "scope": found["first"]["scope"], "is_new": True}
    assert [one["error"] for one in found["refused"].values()] == ["invalid_grant"] * 3


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_sign_in_with_an_id_token_and_userinfo(server: Running, person: Person, algorithm: str) -> None:
    client = a_client(
        server,
        f"signs-in-{algorithm.lower()}",
        redirect_uris=[CALLBACK],
        post_logout_redirect_uris=["https://client.example/left"],
        id_token_signed_response_alg=algorithm,
    )

    found = run(
        "sign_in.mjs",
        server,
        person,
        client_id=client,
        client_secret=a_secret(server, client),
        redirect_uri=CALLBACK,
        post_logout_redirect_uri="https://client.example/left",
        algorithm=algorithm,
    )

    assert found["userinfo"]["sub"] == found["id_token"]["sub"]
    assert found["userinfo"].keys() >= {"sub", "email"}
    assert found["id_token"].keys() >= {"iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "sid"}
    assert found["stranger"]["status"] == 401
    # Signed out in the same browser, the person is led back to the client.
    other = sign_in(server)
    page = other.open(found["logout"])
    assert other.send(page.form("/console/sign-out")).url == "https://client.example/left?state=left"


def test_pushed_authorization_details_become_a_token_that_a_resource_server_takes(
    server: Running, person: Person
) -> None:
    client = a_client(server, "strict", redirect_uris=[CALLBACK], token_endpoint_auth_method="client_secret_post")
    details = [{"type": "accredit_action", "system": "crm", "actions": ["crm.contacts.get"], "purpose": "Look up one"}]

    found = run(
        "strict_code.mjs",
        server,
        person,
        client_id=client,
        client_secret=a_secret(server, client),
        redirect_uri=CALLBACK,
        details=details,
    )

    assert found["cache"] == "no-store"
    assert found["tokens"].keys() == {*NOTHING_GRANTED, "refresh_token", "authorization_details"}
    assert found["access_token"]["scope"] == found["tokens"]["scope"] == "crm:contacts.read"
    assert found["access_token"]["authorization_details"][0]["actions"] == ["crm.contacts.get"]
    assert found["access_token"]["aud"] == found["rs"]["resource"] == resource(server)
    assert found["refreshed"]["refresh_token"] != found["tokens"]["refresh_token"]
    assert found["refreshed"]["authorization_details"] == found["tokens"]["authorization_details"]
    assert found["elsewhere"]["code"] == "OAUTH_JWT_CLAIM_COMPARISON_FAILED"
    assert found["no"]["error"] == "access_denied"
    assert found["mixed"]["code"] == "OAUTH_INVALID_RESPONSE"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
def test_client_credentials_introspection_and_revocation(server: Running, person: Person, method: str) -> None:
    key = ECKey.generate_key("P-256", {"kid": method}, private=True)
    keys: dict[str, Any] = {"jwks": {"keys": [key.as_dict(private=False)]}} if method == "private_key_jwt" else {}
    client = a_client(
        server, method.replace("_", "-"), grant_types=["client_credentials"], token_endpoint_auth_method=method, **keys
    )

    found = run(
        "client_credentials.mjs",
        server,
        person,
        client_id=client,
        client_secret=a_secret(server, client) if method != "private_key_jwt" else "",
        method=method,
        private_key=key.as_pem(private=True).decode(),
        kid=method,
        scope="crm:contacts.read",
    )

    assert found["tokens"].keys() == NOTHING_GRANTED
    assert found["active"].keys() >= {"active", "scope", "client_id", "sub", "aud", "iss", "exp", "iat", "jti"}
    assert (found["active"]["active"], found["active"]["sub"]) == (True, client)
    assert found["signed"] == found["active"]
    assert found["signed_header"]["typ"] == "token-introspection+jwt"
    assert found["unknown"] == found["ended"] == {"active": False}
    assert found["stranger"]["error"] == "invalid_client"


@pytest.mark.parametrize("way", ["device", "ciba"])
def test_a_person_answers_elsewhere(server: Running, person: Person, way: str) -> None:
    grant = {"device": "urn:ietf:params:oauth:grant-type:device_code", "ciba": "urn:openid:params:grant-type:ciba"}[way]
    client = a_client(server, way, grant_types=[grant, "refresh_token"])

    found = run(
        "elsewhere.mjs",
        server,
        person,
        client_id=client,
        client_secret=a_secret(server, client),
        way=way,
        scope="openid crm:contacts.read",
        login_hint=LOCAL_ADMINISTRATOR_EMAIL,
    )

    assert found["begun"]["expires_in"] > 0 and found["begun"]["interval"] == 5
    assert set(found["tokens"]["scope"].split()) == {"openid", "crm:contacts.read"}
    assert found["id_token"]["aud"] == client
    assert claims_of(found["tokens"]["access_token"])["act"] == {"sub": client}
    assert found["refreshed"]["refresh_token"] != found["tokens"]["refresh_token"]
    assert found["no"]["error"] == "access_denied"


def test_a_client_registers_itself_with_an_initial_access_token(server: Running, person: Person) -> None:
    new = {"owner": "ana@example.com", "roles": ["ai-agent-readonly"], "systems": ["crm"]}
    token = server.api("POST", "/api/v1/registration-tokens", new)["token"]

    found = run("register.mjs", server, person, redirect_uri=CALLBACK, initial_access_token=token)

    assert found["closed"]["status"] == 401
    assert found["client"]["client_id"].startswith("agt_")
    assert "client_secret" not in found["client"]
    assert "crm:contacts.read" in found["tokens"]["scope"]


def test_both_documents_say_the_same(server: Running) -> None:
    assert metadata(server) == metadata(server, "/.well-known/openid-configuration")
