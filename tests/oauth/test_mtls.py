"""Clients that prove themselves by a certificate (RFC 8705), as a proxy hands it on."""

import base64
import datetime
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from accredit.agents.client_metadata import ClientMetadata
from accredit.errors import InputRefused
from accredit.tokens.errors import InvalidToken
from accredit.tokens.model import Presented
from tests.certificates import DAY, Pair, an_authority, self_signed, signed_by
from tests.oauth.counting import counted_reads
from tests.oauth.endpoint import CRM_RESOURCE, Endpoint, with_endpoint
from tests.rooms import ADMINISTRATOR

# The clock of the tests stands on 2027-01-15.
NOW = datetime.datetime.fromtimestamp(1_800_000_000, datetime.UTC)
AUTHORITY = an_authority()
STRANGER = an_authority()
EXPIRED = (NOW - 9 * DAY, NOW - DAY)
NOT_YET = (NOW + DAY, NOW + 9 * DAY)
READER = signed_by(AUTHORITY, "reader", x509.DNSName("reader.example.com"))
ALONE = self_signed()

Act = Callable[[Endpoint], Awaitable[None]]


def as_rfc9440(pair: Pair) -> str:
    return ":" + base64.b64encode(pair.der).decode() + ":"


def as_escaped_pem(pair: Pair) -> str:
    return quote(pair.pem)


async def ask(endpoint: Endpoint, pair: Pair | None, form: Any = None, **headers: str) -> httpx2.Response:
    certificate = {} if pair is None else {"Client-Cert": as_rfc9440(pair)}
    sent = {"grant_type": "client_credentials", "client_id": endpoint.agent.id, **(form or {})}
    return await endpoint.client.post("/oauth/token", data=sent, headers={**certificate, **headers})


def serve(folder: Path, act: Act, *, trusted: str = "127.0.0.1", authorities: bool = True) -> None:
    """An endpoint behind a proxy at 127.0.0.1, which is where the test's requests come from."""
    path = folder / "authorities.pem"
    path.write_text(AUTHORITY.pem)
    with_endpoint(
        folder,
        act,
        client_certificate_header="client-cert",
        trusted_proxies=(trusted,),
        client_certificate_authorities=str(path) if authorities else "",
    )


SUBJECTS = {
    "a DN": ("dn:CN=reader,O=Example", READER),
    "a DNS name": ("dns:reader.example.com", READER),
    "a DNS name in capitals": ("dns:READER.example.com", READER),
    "a URI": (
        "uri:spiffe://example.com/reader",
        signed_by(AUTHORITY, "x", x509.UniformResourceIdentifier("spiffe://example.com/reader")),
    ),
    "an address": ("ip:10.0.0.7", signed_by(AUTHORITY, "x", x509.IPAddress(ip_address("10.0.0.7")))),
    "an e-mail address": ("email:r@example.com", signed_by(AUTHORITY, "x", x509.RFC822Name("r@example.com"))),
}


@pytest.mark.parametrize("kind", SUBJECTS)
def test_a_certificate_of_the_authority_with_the_subject_authenticates(tmp_path: Path, kind: str) -> None:
    subject, pair = SUBJECTS[kind]

    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_subject("reader", subject, ADMINISTRATOR)

        answer = await ask(endpoint, pair)

        assert answer.status_code == 200, answer.text
        event = (await endpoint.events())[-1]
        assert (event.authentication, event.sender_constraint) == ("tls_client_auth", "mtls")
        claims = endpoint.verifier.read(answer.json()["access_token"])
        assert claims.cnf is not None
        assert (claims.cnf.x5t_s256, claims.cnf.jkt) == (pair.thumbprint, None)
        assert answer.json()["token_type"] == "Bearer"

    serve(tmp_path, act)


REFUSED = {
    "another subject": signed_by(AUTHORITY, "writer", x509.DNSName("writer.example.com")),
    "the subject in a longer name": signed_by(AUTHORITY, "reader.example.com"),
    "a name that begins alike": signed_by(AUTHORITY, "x", x509.DNSName("reader.example.com.evil.example")),
    "a wildcard": signed_by(AUTHORITY, "x", x509.DNSName("*.example.com")),
    "another authority with the same name": signed_by(STRANGER, "reader", x509.DNSName("reader.example.com")),
    "signed by itself": self_signed("reader"),
    "expired": signed_by(AUTHORITY, "reader", x509.DNSName("reader.example.com"), valid=EXPIRED),
    "not valid yet": signed_by(AUTHORITY, "reader", x509.DNSName("reader.example.com"), valid=NOT_YET),
    "for servers": signed_by(
        AUTHORITY, "reader", x509.DNSName("reader.example.com"), usage=ExtendedKeyUsageOID.SERVER_AUTH
    ),
    "the authority's own": AUTHORITY,
}


@pytest.mark.parametrize("name", REFUSED)
def test_another_certificate_is_refused(tmp_path: Path, name: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_subject("reader", "dns:reader.example.com", ADMINISTRATOR)

        answer = await ask(endpoint, REFUSED[name])

        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")

    serve(tmp_path, act)


def test_without_authorities_no_subject_is_believed(tmp_path: Path) -> None:
    """A proxy that lets self-signed certificates through would let anybody be anybody."""

    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_subject("reader", "dn:CN=reader,O=Example", ADMINISTRATOR)

        for pair in (READER, self_signed("reader")):
            assert (await ask(endpoint, pair)).json()["error"] == "invalid_client"

    serve(tmp_path, act, authorities=False)


def test_a_registered_certificate_authenticates_by_itself_and_no_other_with_its_name(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_certificate("reader", ALONE.pem, ADMINISTRATOR)

        answer = await ask(endpoint, ALONE)
        other = await ask(endpoint, self_signed("reader"))

        assert answer.status_code == 200
        assert (await endpoint.events())[-2].authentication == "self_signed_tls_client_auth"
        assert other.json()["error"] == "invalid_client"

    serve(tmp_path, act, authorities=False)


def test_a_registered_certificate_that_has_expired_is_refused(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        old = self_signed(valid=EXPIRED)
        await endpoint.rooms.agents.add_tls_certificate("reader", old.pem, ADMINISTRATOR)

        assert (await ask(endpoint, old)).json()["error"] == "invalid_client"

    serve(tmp_path, act)


def test_a_certificate_in_a_registered_key_set_authenticates(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        numbers = ALONE.key.public_key().public_numbers()
        jwk = {
            "kty": "EC",
            "crv": "P-256",
            "x": base64.urlsafe_b64encode(numbers.x.to_bytes(32)).rstrip(b"=").decode(),
            "y": base64.urlsafe_b64encode(numbers.y.to_bytes(32)).rstrip(b"=").decode(),
            "x5c": [base64.b64encode(ALONE.der).decode()],
        }
        await endpoint.rooms.agents.add_public_key("reader", msgspec.json.encode(jwk).decode(), ADMINISTRATOR)

        assert (await ask(endpoint, ALONE)).status_code == 200

    serve(tmp_path, act)


def test_a_revoked_credential_authenticates_nobody(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        added = await endpoint.rooms.agents.add_tls_certificate("reader", ALONE.pem, ADMINISTRATOR)
        await endpoint.rooms.agents.revoke_credential("reader", added.id, ADMINISTRATOR)

        assert (await ask(endpoint, ALONE)).json()["error"] == "invalid_client"

    serve(tmp_path, act)


def test_a_suspended_agent_is_refused_alike(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_certificate("reader", ALONE.pem, ADMINISTRATOR)
        await endpoint.rooms.agents.suspend("reader", ADMINISTRATOR)

        suspended = await ask(endpoint, ALONE)
        unknown = await ask(endpoint, ALONE, {"client_id": "agt_01JD0000000000000000000000"})

        assert suspended.json() | {"event": 0} == unknown.json() | {"event": 0}

    serve(tmp_path, act)


def test_an_unknown_agent_and_another_certificate_are_answered_alike_after_the_same_work(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_certificate("reader", ALONE.pem, ADMINISTRATOR)
        assert (await ask(endpoint, ALONE)).status_code == 200
        answers = []
        for client_id in (endpoint.agent.id, "agt_01JD0000000000000000000000", "https://none.example/client"):
            with counted_reads(endpoint.rooms.database) as reads:
                answer = await ask(endpoint, READER, {"client_id": client_id})
            answers.append((answer.status_code, answer.json() | {"event": 0}, reads.count))

        assert answers[0] == answers[1] == answers[2]
        assert (answers[0][0], answers[0][2]) == (401, 1)

    serve(tmp_path, act)


def test_a_header_of_a_peer_that_is_no_trusted_proxy_says_nothing(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_certificate("reader", ALONE.pem, ADMINISTRATOR)

        assert (await ask(endpoint, ALONE)).json()["error"] == "invalid_client"

    serve(tmp_path, act, trusted="10.0.0.0/8")


def test_without_the_setting_the_header_says_nothing(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_certificate("reader", ALONE.pem, ADMINISTRATOR)

        assert (await ask(endpoint, ALONE)).json()["error"] == "invalid_client"

    with_endpoint(tmp_path, act)


def test_both_forms_of_the_header_are_read(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_certificate("reader", ALONE.pem, ADMINISTRATOR)

        for value in (as_rfc9440(ALONE), as_escaped_pem(ALONE)):
            assert (await ask(endpoint, None, **{"Client-Cert": value})).status_code == 200

    serve(tmp_path, act)


@pytest.mark.parametrize(
    "value",
    ["x", "::", ":AAAA:", quote(ALONE.pem + ALONE.pem), ":" + "A" * 20_000 + ":", "%ff%fe"],
    ids=["text", "nothing", "no certificate", "two", "oversized", "not UTF-8"],
)
def test_a_header_that_holds_no_certificate_is_an_error(tmp_path: Path, value: str) -> None:
    async def act(endpoint: Endpoint) -> None:
        answer = await endpoint.token()
        broken = await endpoint.client.post(
            "/oauth/token",
            data={"grant_type": "client_credentials", "client_id": endpoint.agent.id, "client_secret": endpoint.secret},
            headers={"Client-Cert": value},
        )

        assert answer.status_code == 200
        assert (broken.status_code, broken.json()["error"]) == (400, "invalid_request")

    serve(tmp_path, act)


def test_two_headers_are_an_error_and_not_a_choice(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_certificate("reader", ALONE.pem, ADMINISTRATOR)
        form = {"grant_type": "client_credentials", "client_id": endpoint.agent.id}
        headers = [("Client-Cert", as_rfc9440(READER)), ("Client-Cert", as_rfc9440(ALONE))]

        answer = await endpoint.client.post("/oauth/token", data=form, headers=headers)

        assert answer.json()["error"] == "invalid_request"

    serve(tmp_path, act)


def test_a_header_without_proxies_to_trust_does_not_start(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        del endpoint

    with pytest.raises(InputRefused):
        with_endpoint(tmp_path, act, client_certificate_header="client-cert")


def test_a_secret_over_a_connection_with_a_certificate_is_a_secret(tmp_path: Path) -> None:
    """In a mesh every connection has a certificate: it binds only the tokens of those that asked for it."""

    async def act(endpoint: Endpoint) -> None:
        secret = {"client_secret": endpoint.secret}
        plain = await ask(endpoint, ALONE, secret)
        assert plain.status_code == 200
        assert endpoint.verifier.read(plain.json()["access_token"]).cnf is None

        metadata = ClientMetadata(grant_types=("client_credentials",), tls_client_certificate_bound_access_tokens=True)
        await endpoint.rooms.agents.set_client("reader", metadata, ADMINISTRATOR)
        bound = await ask(endpoint, ALONE, secret)
        without = await ask(endpoint, None, secret)

        claims = endpoint.verifier.read(bound.json()["access_token"])
        assert claims.cnf is not None
        assert claims.cnf.x5t_s256 == ALONE.thumbprint
        assert without.json()["error"] == "invalid_request"

    serve(tmp_path, act)


def test_a_certificate_makes_a_public_client_no_other_and_no_client_public(tmp_path: Path) -> None:
    """RFC 8705 §4: a public client may come with a certificate of its own, which proves nothing of who it is."""
    public = ClientMetadata(token_endpoint_auth_method="none", redirect_uris=("https://app.example/cb",))

    async def act(endpoint: Endpoint) -> None:
        form = {"client_id": endpoint.agent.id, "token": "x"}
        headers = {"Client-Cert": as_rfc9440(ALONE)}
        before = await endpoint.client.post("/oauth/revoke", data=form, headers=headers)
        await endpoint.rooms.agents.set_client("reader", public, ADMINISTRATOR)

        ends = await endpoint.client.post("/oauth/revoke", data=form, headers=headers)
        looks = await endpoint.client.post("/oauth/introspect", data=form, headers=headers)
        asks = await ask(endpoint, ALONE)

        assert before.status_code == 401
        assert ends.status_code == 200
        assert looks.status_code == 401
        assert asks.json()["error"] == "unauthorized_client"

    serve(tmp_path, act)


def test_a_bound_token_is_taken_with_its_certificate_alone(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await endpoint.rooms.agents.add_tls_certificate("reader", ALONE.pem, ADMINISTRATOR)
        token = (await ask(endpoint, ALONE)).json()["access_token"]
        verify = endpoint.verifier.verify

        caller = await verify(token, CRM_RESOURCE, Presented(certificate=ALONE.thumbprint))
        assert caller.evidence.sender_constraint == "mtls"
        for presented in (
            Presented(),
            Presented(certificate=READER.thumbprint),
            Presented(scheme="dpop", certificate=ALONE.thumbprint),
        ):
            with pytest.raises(InvalidToken):
                await verify(token, CRM_RESOURCE, presented)

    serve(tmp_path, act)


def test_what_is_registered_is_checked(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        agents = endpoint.rooms.agents
        for subject in ("", "reader", "dn:", "dn:x", "cn:reader", "ip:x", "dns:", "dn:CN=a\nb"):
            with pytest.raises(InputRefused):
                await agents.add_tls_subject("reader", subject, ADMINISTRATOR)
        for certificate in ("", "x", ALONE.pem + READER.pem, ALONE.pem + ALONE.key_pem):
            with pytest.raises(InputRefused):
                await agents.add_tls_certificate("reader", certificate, ADMINISTRATOR)

    serve(tmp_path, act)
