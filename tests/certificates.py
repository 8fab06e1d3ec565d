"""Certificates of a test: an authority, what it signs, and what signs itself."""

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from accredit.agents.certificates import certificate_thumbprint

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def thumbprint(self) -> str:
        return certificate_thumbprint(self.der)


def name(common_name: str, organization: str = "Example") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def an_authority(common_name: str = "Test authority") -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name(common_name), name(common_name), key, _now() - DAY, _now() + 3_650 * DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Pair(builder.sign(key, SHA256()), key)


def signed_by(
    authority: Pair,
    common_name: str = "reader",
    *names: x509.GeneralName,
    valid: tuple[datetime.datetime, datetime.datetime] | None = None,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
) -> Pair:
    """A certificate of an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    begin, end = valid or (_now() - DAY, _now() + 3_650 * DAY)
    builder = _builder(name(common_name), authority.certificate.subject, key, begin, end)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
    )
    return Pair(builder.sign(authority.key, SHA256()), key)


def self_signed(common_name: str = "reader", valid: tuple[datetime.datetime, datetime.datetime] | None = None) -> Pair:
    """A certificate by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    begin, end = valid or (_now() - DAY, _now() + 3_650 * DAY)
    return Pair(_builder(name(common_name), name(common_name), key, begin, end).sign(key, SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
