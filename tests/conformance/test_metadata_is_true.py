"""Whether the server does what its metadata says: a row for each member of the two documents, tried on a server.

A member without a row fails, so nothing is advertised that no test has tried.
"""

import secrets
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from tests.conformance.authlib_client import as_client, with_code
from tests.conformance.documents import Documents, serving
from tests.conformance.peers import a_client, a_secret, claims_of, metadata, resource
from tests.conformance.person import Person, sign_in
from tests.examples.conftest import RunningCrm
from tests.server.running import Running, running

DOCUMENTS = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
CALLBACK = "https://client.example/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEYS: dict[str, Any] = {
    "ES256": ECKey.generate_key("P-256", {"kid": "ES256"}, private=True),
    "ES384": ECKey.generate_key("P-384", {"kid": "ES384"}, private=True),
    "PS256": RSAKey.generate_key(2_048, {"kid": "PS256"}, private=True),
    "RS256": RSAKey.generate_key(2_048, {"kid": "RS256"}, private=True),
    "Ed25519": OKPKey.generate_key("Ed25519", {"kid": "Ed25519"}, private=True),
}
KEYS["EdDSA"] = KEYS["Ed25519"]


@dataclass(slots=True)
class Tried:
    """A server and what is needed to try it. `secret_id` has a secret, `key_id` has keys of every algorithm."""

    server: Running
    person: Person
    documents: Documents
    secret_id: str
    secret: str
    key_id: str

    @property
    def said(self) -> dict[str, Any]:
        return metadata(self.server)

    def get(self, path: str, **parameters: str) -> httpx2.Response:
        url = path if path.startswith("http") else self.server.issuer + path
        return httpx2.get(url, params=parameters or None, timeout=30, trust_env=False)

    def post(self, path: str, form: dict[str, str], headers: dict[str, str] | None = None) -> httpx2.Response:
        url = path if path.startswith("http") else self.server.issuer + path
        return httpx2.post(url, data=form, headers=headers, timeout=30, trust_env=False)

    def asks(self, **changed: str | None) -> str:
        """An authorization URL that is good but for what is changed."""
        good: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.secret_id,
            "redirect_uri": CALLBACK,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "resource": resource(self.server),
        }
        sent = {name: value for name, value in {**good, **changed}.items() if value is not None}
        return f"{self.said['authorization_endpoint']}?{urlencode(sent)}"

    def error_of(self, url: str) -> str:
        """The error that the client is told of; empty where a person is asked."""
        answer = httpx2.get(url, timeout=30, trust_env=False)
        assert answer.status_code == 303, answer.text
        return parse_qs(urlsplit(answer.headers["location"]).query).get("error", [""])[0]

    def is_asked(self, url: str) -> bool:
        return "/console/consent" in httpx2.get(url, timeout=30, trust_env=False).headers.get("location", "")

    def as_secret(self, **form: str) -> dict[str, str]:
        return {"client_id": self.secret_id, "client_secret": self.secret, **form}

    def as_key(self, algorithm: str, **form: str) -> dict[str, str]:
        now = int(time.time())
        claims = {"iss": self.key_id, "sub": self.key_id, "aud": self.server.issuer, "iat": now, "exp": now + 60}
        assertion = _signed(
            {"alg": algorithm, "kid": KEYS[algorithm].kid},
            {**claims, "jti": secrets.token_hex(16)},
            KEYS[algorithm],
        )
        return {"client_assertion_type": ASSERTION, "client_assertion": assertion, **form}


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory, crm: RunningCrm) -> Iterator[Tried]:
    folder = tmp_path_factory.mktemp("said")
    with serving(folder) as documents:
        settings: dict[str, Any] = {"SSL_CERT_FILE": str(documents.authority), "ACCREDIT_PRIVATE_HOSTS": documents.host}
        with running(folder / "data", ACCREDIT_OPEN_CLIENT_SYSTEMS="crm", **settings) as server:
            server.add_crm(crm.url)
            jwks = {"keys": [KEYS[name].as_dict(private=False) for name in KEYS if name != "EdDSA"]}
            grants = ["client_credentials"]
            by_key = a_client(
                server, "by-key", grant_types=grants, token_endpoint_auth_method="private_key_jwt", jwks=jwks
            )
            said = metadata(server)["grant_types_supported"]
            by_secret = a_client(server, "by-secret", redirect_uris=[CALLBACK], grant_types=said)
            yield Tried(server, sign_in(server), documents, by_secret, a_secret(server, by_secret), by_key)


def issuer(tried: Tried, value: Any) -> None:
    assert value == tried.server.issuer


def answers_a_client(tried: Tried, value: Any) -> None:
    """There, for POST alone, and for no stranger."""
    stranger = tried.post(value, {"token": "x", "grant_type": "client_credentials"})
    assert (stranger.status_code, stranger.json()["error"]) == (401, "invalid_client")
    assert tried.get(value).status_code == 405


def jwks_uri(tried: Tried, value: Any) -> None:
    KeySet.import_key_set(tried.get(value).json())


def scopes(tried: Tried, value: Any) -> None:
    assert {"openid", "crm:contacts.read", "agent:read", "user:delegate:read"} <= set(value)
    for scope in ("openid", "crm:contacts.read"):
        assert tried.is_asked(tried.asks(scope=scope))
    assert tried.error_of(tried.asks(scope="nobody:has.this")) == "invalid_scope"


def grants(tried: Tried, value: Any) -> None:
    for grant in value:
        answer = tried.post("/oauth/token", tried.as_secret(grant_type=grant)).json()
        assert answer.get("error") != "unsupported_grant_type", grant
    for grant in ("password", "implicit", "urn:ietf:params:oauth:grant-type:saml2-bearer"):
        assert tried.post("/oauth/token", tried.as_secret(grant_type=grant)).json()["error"] == "unsupported_grant_type"


def methods_of(path: str) -> "Check":
    def methods(tried: Tried, value: Any) -> None:
        form = {"grant_type": "client_credentials"} if path == "/oauth/token" else {"token": "x"}
        basic = httpx2.BasicAuth(tried.secret_id, tried.secret)
        ways: dict[str, Callable[[], httpx2.Response]] = {
            "client_secret_basic": lambda: httpx2.post(tried.server.issuer + path, data=form, auth=basic, timeout=30),
            "client_secret_post": lambda: tried.post(path, tried.as_secret(**form)),
            "private_key_jwt": lambda: tried.post(path, tried.as_key("ES256", **form)),
        }
        assert set(value) == {*ways, "spiffe_jwt", *({"none"} if path != "/oauth/introspect" else ())}
        for name, way in ways.items():
            assert way().status_code == 200, name
        if "none" in value:
            public = a_client(
                tried.server,
                "public-" + path.rpartition("/")[2],
                redirect_uris=[CALLBACK],
                token_endpoint_auth_method="none",
            )
            # A public client is known; what it asks for with an empty hand is another matter.
            said = tried.post(path, {"client_id": public, **form, "grant_type": "authorization_code"})
            assert said.json().get("error") != "invalid_client" if said.content else said.status_code == 200
        unknown = tried.post(path, {"client_assertion_type": ASSERTION + "x", "client_assertion": "x", **form})
        assert unknown.status_code == 401

    return methods


def algorithms_of(path: str) -> "Check":
    def algorithms(tried: Tried, value: Any) -> None:
        form = {"grant_type": "client_credentials"} if path == "/oauth/token" else {"token": "x"}
        for name in value:
            assert tried.post(path, tried.as_key(name, **form)).status_code == 200, name

    return algorithms


def introspection_algorithms(tried: Tried, value: Any) -> None:
    for name in value:
        client = a_client(
            tried.server,
            f"looks-{name.lower()}",
            redirect_uris=[CALLBACK],
            introspection_signed_response_alg=name,
        )
        form = {"client_id": client, "client_secret": a_secret(tried.server, client), "token": "x"}
        answer = tried.post("/oauth/introspect", form, {"accept": "application/token-introspection+jwt"})
        assert _checked(tried, answer.text, name)["token_introspection"] == {"active": False}


def id_token_algorithms(tried: Tried, value: Any) -> None:
    for name in value:
        client_id = a_client(
            tried.server, f"signs-{name.lower()}", redirect_uris=[CALLBACK], id_token_signed_response_alg=name
        )
        tokens = _tokens(tried, client_id, "openid")
        assert _checked(tried, tokens["id_token"], name)["aud"] == client_id


def dpop_algorithms(tried: Tried, value: Any) -> None:
    for name in value:
        key = KEYS[name]
        public = {one: text for one, text in key.as_dict(private=False).items() if one not in ("kid", "alg", "use")}
        url, now = f"{tried.server.issuer}/oauth/token", int(time.time())
        payload = {"jti": secrets.token_hex(16), "htm": "POST", "htu": url, "iat": now}
        proof = _signed({"alg": name, "typ": "dpop+jwt", "jwk": public}, payload, key)
        answer = tried.post(url, tried.as_secret(grant_type="client_credentials"), {"dpop": proof})
        assert answer.json()["token_type"] == "DPoP", name
        assert claims_of(answer.json()["access_token"])["cnf"] == {"jkt": key.thumbprint()}


def certificates_bind(tried: Tried, value: Any) -> None:
    # No proxy is set up that brings certificates, and a header of a stranger is none.
    assert value is False
    answer = tried.post(
        "/oauth/token", tried.as_secret(grant_type="client_credentials"), {"client-cert": ":MIIB:", "x-cert": "x"}
    )
    assert "cnf" not in claims_of(answer.json()["access_token"])


def authorization_endpoint(tried: Tried, value: Any) -> None:
    assert tried.asks().startswith(value)
    assert tried.is_asked(tried.asks())


def response_types(tried: Tried, value: Any) -> None:
    assert value == ["code"]
    for other in ("token", "id_token", "code id_token", "none"):
        assert tried.error_of(tried.asks(response_type=other)) == "unsupported_response_type"


def response_modes(tried: Tried, value: Any) -> None:
    assert value == ["query"]
    assert tried.is_asked(tried.asks(response_mode="query"))
    for other in ("fragment", "form_post", "query.jwt"):
        assert tried.error_of(tried.asks(response_mode=other)) == "invalid_request"


def challenges(tried: Tried, value: Any) -> None:
    assert value == ["S256"]
    assert tried.error_of(tried.asks(code_challenge_method="plain")) == "invalid_request"
    assert tried.error_of(tried.asks(code_challenge=None)) == "invalid_request"


def iss_in_answers(tried: Tried, value: Any) -> None:
    assert value is True
    for url in (tried.person.allow(tried.asks()), tried.person.refuse(tried.asks())):
        assert parse_qs(urlsplit(url).query)["iss"] == [tried.server.issuer]


def details_types(tried: Tried, value: Any) -> None:
    assert value == ["accredit_action"]
    good = '[{"type":"accredit_action","system":"crm","actions":["crm.contacts.get"],"purpose":"Look up"}]'
    assert tried.is_asked(tried.asks(authorization_details=good))
    other = good.replace("accredit_action", "payment_initiation")
    assert tried.error_of(tried.asks(authorization_details=other)) == "invalid_authorization_details"


def prompts(tried: Tried, value: Any) -> None:
    for prompt in value:
        assert tried.is_asked(tried.asks(prompt=prompt)), prompt
    assert tried.error_of(tried.asks(prompt="create")) == "invalid_request"


def no_request_objects(tried: Tried, value: Any) -> None:
    assert value is False
    assert tried.error_of(tried.asks(request="eyJhbGciOiJub25lIn0.e30.")) in (
        "request_not_supported",
        "invalid_request",
    )


def no_request_uris(tried: Tried, value: Any) -> None:
    assert value is False
    answer = tried.get(tried.asks(request_uri=f"https://{tried.documents.host}/request.jwt"))
    assert "/console/consent" not in answer.headers.get("location", "")
    assert "/request.jwt" not in tried.documents.asked


def no_claims_parameter(tried: Tried, value: Any) -> None:
    assert value is False
    assert tried.is_asked(tried.asks(claims='{"id_token":{"email":{"essential":true}}}'))


def document_clients(tried: Tried, value: Any) -> None:
    assert value is True
    url = tried.documents.publish("said.json", redirect_uris=[CALLBACK])
    assert tried.is_asked(tried.asks(client_id=url))


def pushed(tried: Tried, value: Any) -> None:
    answers_a_client(tried, value)
    form = dict(parse_qs(urlsplit(tried.asks()).query))
    sent = {name: values[0] for name, values in form.items()}
    answer = tried.post(value, {**sent, "client_secret": tried.secret})
    assert answer.status_code == 201
    reference = {"client_id": tried.secret_id, "request_uri": answer.json()["request_uri"]}
    assert tried.is_asked(f"{tried.said['authorization_endpoint']}?{urlencode(reference)}")


def need_not_be_pushed(tried: Tried, value: Any) -> None:
    assert value is False
    assert tried.is_asked(tried.asks())


def device(tried: Tried, value: Any) -> None:
    answers_a_client(tried, value)
    answer = tried.post(value, tried.as_secret(resource=resource(tried.server)))
    assert answer.status_code == 200
    assert tried.person.open(answer.json()["verification_uri_complete"]).status == 200


def backchannel(tried: Tried, value: Any) -> None:
    answers_a_client(tried, value)
    form = {"scope": "openid crm:contacts.read", "resource": resource(tried.server), "login_hint": "nobody@example.com"}
    assert tried.post(value, tried.as_secret(**form)).json()["interval"] > 0


def delivery_modes(tried: Tried, value: Any) -> None:
    assert value == ["poll", "ping"]
    ciba: dict[str, Any] = {"grant_types": ["urn:openid:params:grant-type:ciba"]}
    for mode in value:
        place: dict[str, Any] = (
            {"backchannel_client_notification_endpoint": "https://client.example/ping"} if mode == "ping" else {}
        )
        a_client(tried.server, f"is-told-by-{mode}", backchannel_token_delivery_mode=mode, **ciba, **place)
    with pytest.raises(AssertionError):
        a_client(tried.server, "is-told-by-push", backchannel_token_delivery_mode="push", **ciba)


def no_user_codes(tried: Tried, value: Any) -> None:
    del tried
    assert value is False


def userinfo(tried: Tried, value: Any) -> None:
    assert tried.get(value).status_code == 401
    tokens = _tokens(tried, tried.secret_id, "openid profile email", secret=tried.secret, for_crm=False)
    answer = httpx2.get(value, headers={"authorization": f"Bearer {tokens['access_token']}"}, timeout=30)
    assert answer.json().keys() == {"sub", "name", "email"}


def end_session(tried: Tried, value: Any) -> None:
    page = sign_in(tried.server).open(value)
    assert page.form("/console/sign-out")


def subject_types(tried: Tried, value: Any) -> None:
    assert value == ["public"]
    other = a_client(tried.server, "sees-the-same", redirect_uris=[CALLBACK])
    subjects = {
        claims_of(_tokens(tried, client_id, "openid", secret=secret)["id_token"])["sub"]
        for client_id, secret in ((tried.secret_id, tried.secret), (other, None))
    }
    assert len(subjects) == 1


def claims(tried: Tried, value: Any) -> None:
    tokens = _tokens(tried, tried.secret_id, "openid profile email", secret=tried.secret, for_crm=False)
    told = httpx2.get(
        tried.said["userinfo_endpoint"], headers={"authorization": f"Bearer {tokens['access_token']}"}, timeout=30
    ).json()
    # `acr` and `amr` are there where the way of signing in has them; a link has none.
    assert set(value) == {*claims_of(tokens["id_token"]), *told, "acr", "amr"} - {"iss", "aud", "exp", "iat", "at_hash"}


def logout_is_told(tried: Tried, value: Any) -> None:
    """`tests/oauth` and `tests/console` have the message itself; here, that a client can ask for it."""
    assert value is True
    told: dict[str, Any] = {
        "backchannel_logout_uri": "https://client.example/out",
        "backchannel_logout_session_required": True,
    }
    a_client(tried.server, f"is-told-{secrets.token_hex(4)}", redirect_uris=[CALLBACK], **told)


def registration(tried: Tried, value: Any) -> None:
    body = {"redirect_uris": [CALLBACK]}
    assert httpx2.post(value, json=body, timeout=30).status_code == 401
    token = tried.server.api("POST", "/api/v1/registration-tokens", {"owner": "ana@example.com"})["token"]
    answer = httpx2.post(value, json=body, headers={"authorization": f"Bearer {token}"}, timeout=30)
    assert answer.status_code == 201


def id_jag(tried: Tried, value: Any) -> None:
    """Issuing and taking one is in `test_mcp_sdk.py`; here, that both legs know the type."""
    assert len(value) == 1
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
        "subject_token": "x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "audience": "https://nobody.example",
    }
    assert tried.post("/oauth/token", tried.as_secret(**form)).json()["error"] == "invalid_target"


Check = Callable[[Tried, Any], None]
CHECKS: dict[str, Check] = {
    "issuer": issuer,
    "token_endpoint": answers_a_client,
    "jwks_uri": jwks_uri,
    "scopes_supported": scopes,
    "grant_types_supported": grants,
    "token_endpoint_auth_methods_supported": methods_of("/oauth/token"),
    "token_endpoint_auth_signing_alg_values_supported": algorithms_of("/oauth/token"),
    "introspection_endpoint": answers_a_client,
    "introspection_endpoint_auth_methods_supported": methods_of("/oauth/introspect"),
    "introspection_endpoint_auth_signing_alg_values_supported": algorithms_of("/oauth/introspect"),
    "introspection_signing_alg_values_supported": introspection_algorithms,
    "revocation_endpoint": answers_a_client,
    "revocation_endpoint_auth_methods_supported": methods_of("/oauth/revoke"),
    "revocation_endpoint_auth_signing_alg_values_supported": algorithms_of("/oauth/revoke"),
    "dpop_signing_alg_values_supported": dpop_algorithms,
    "tls_client_certificate_bound_access_tokens": certificates_bind,
    "authorization_endpoint": authorization_endpoint,
    "response_types_supported": response_types,
    "response_modes_supported": response_modes,
    "code_challenge_methods_supported": challenges,
    "authorization_response_iss_parameter_supported": iss_in_answers,
    "authorization_details_types_supported": details_types,
    "prompt_values_supported": prompts,
    "request_parameter_supported": no_request_objects,
    "request_uri_parameter_supported": no_request_uris,
    "claims_parameter_supported": no_claims_parameter,
    "client_id_metadata_document_supported": document_clients,
    "pushed_authorization_request_endpoint": pushed,
    "require_pushed_authorization_requests": need_not_be_pushed,
    "device_authorization_endpoint": device,
    "backchannel_authentication_endpoint": backchannel,
    "backchannel_token_delivery_modes_supported": delivery_modes,
    "backchannel_user_code_parameter_supported": no_user_codes,
    "userinfo_endpoint": userinfo,
    "end_session_endpoint": end_session,
    "subject_types_supported": subject_types,
    "id_token_signing_alg_values_supported": id_token_algorithms,
    "claims_supported": claims,
    "backchannel_logout_supported": logout_is_told,
    "backchannel_logout_session_supported": logout_is_told,
    "registration_endpoint": registration,
    "authorization_grant_profiles_supported": id_jag,
    "identity_chaining_requested_token_types_supported": id_jag,
}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_member_has_a_row_and_every_row_a_member(tried: Tried, document: str) -> None:
    found = httpx2.get(tried.server.issuer + document, timeout=30, trust_env=False)

    assert found.headers["content-type"] == "application/json"
    assert found.json().keys() == CHECKS.keys()
    assert None not in found.json().values()


@pytest.mark.parametrize("member", CHECKS)
def test_what_is_said_is_true(tried: Tried, member: str) -> None:
    CHECKS[member](tried, tried.said[member])


def _tokens(
    tried: Tried, client_id: str, scope: str, *, secret: str | None = None, for_crm: bool = True
) -> dict[str, Any]:
    """What a client gets by a code."""
    target = {"resource": resource(tried.server)} if for_crm else {}
    secret = a_secret(tried.server, client_id) if secret is None else secret
    with as_client(tried.server, client_id, secret, redirect_uri=CALLBACK, scope=scope) as client:
        return with_code(client, tried.server, tried.person, **target)


def _signed(header: dict[str, Any], payload: dict[str, Any], key: Any) -> str:
    registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    with warnings.catch_warnings():
        # RFC 9864 calls EdDSA an old name; it is still advertised beside the new one.
        warnings.simplefilter("ignore", UserWarning)
        return jws.serialize_compact(header, msgspec.json.encode(payload), key, registry=registry)


def _checked(tried: Tried, token: str, algorithm: str) -> dict[str, Any]:
    """The claims of a JWT whose signature holds, by one of the published keys and this algorithm."""
    keys = KeySet.import_key_set(tried.get(tried.said["jwks_uri"]).json())
    header = jws.extract_compact(token.encode()).headers()
    assert header["alg"] == algorithm
    if algorithm == "EdDSA":
        with pytest.warns(UserWarning, match="RFC 9864"):
            jws.deserialize_compact(token, keys, algorithms=[algorithm])
    else:
        jws.deserialize_compact(token, keys, algorithms=[algorithm])
    return claims_of(token)
