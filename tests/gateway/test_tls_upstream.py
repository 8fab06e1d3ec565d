"""Upstreams over TLS: the certificate is checked against the machine's authorities and the host's name."""

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from accredit.outbound import Outbound
from accredit.outbound.failures import UpstreamFailure
from accredit.outbound.target import parse_target
from tests.outbound.certificates import sign_certificate

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, EllipticCurvePrivateKey]:
    """An authority's certificate, and its key."""
    key = generate_private_key(SECP256R1())
    path = tmp_path / "authority.pem"
    certificate = sign_certificate("authority", key, "authority", key, authority=True)
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path, key


def _served(tmp_path: Path, name: str, issuer_key: EllipticCurvePrivateKey) -> ssl.SSLContext:
    key = generate_private_key(SECP256R1())
    path = tmp_path / "server.pem"
    certificate = sign_certificate(name, key, "authority", issuer_key, authority=False)
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
