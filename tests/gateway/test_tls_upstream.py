"""Upstreams over TLS: the certificate is checked against the machine's authorities and the host's name."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from accredit.outbound import Outbound
from accredit.outbound.failures import UpstreamFailure
from accredit.outbound.target import parse_target

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    name: str, key: EllipticCurvePrivateKey, issuer: str, issuer_key: EllipticCurvePrivateKey, *, authority: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, SHA256())
    )


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, EllipticCurvePrivateKey]:
    """An authority's certificate, and its key."""
    key = generate_private_key(SECP256R1())
    path = tmp_path / "authority.pem"
    certificate = _certificate("authority", key, "authority", key, authority=True)
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path, key


def _served(tmp_path: Path, name: str, issuer_key: EllipticCurvePrivateKey) -> ssl.SSLContext:
    key = generate_private_key(SECP256R1())
    path = tmp_path / "server.pem"
    certificate = _certificate(name, key, "authority", issuer_key, authority=False)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def _ask(context: ssl.SSLContext) -> bytes:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    outbound = Outbound(5, 5)
    try:
        async with outbound.open("GET", parse_target(f"https://localhost:{port}/mcp"), []) as got:
            return await got.read_all(100)
    finally:
        await outbound.close()
        server.close()


def test_an_upstream_with_a_certificate_of_a_known_authority_answers(
    tmp_path: Path, authority: tuple[Path, EllipticCurvePrivateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))

    assert asyncio.run(_ask(_served(tmp_path, "localhost", authority[1]))) == b"ok"


@pytest.mark.parametrize(("name", "known"), [("elsewhere.example", True), ("localhost", False)])
def test_another_name_or_an_unknown_authority_is_refused(
    tmp_path: Path,
    authority: tuple[Path, EllipticCurvePrivateKey],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    known: bool,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]) if known else "/dev/null")

    with pytest.raises(UpstreamFailure):
        asyncio.run(_ask(_served(tmp_path, name, authority[1])))
