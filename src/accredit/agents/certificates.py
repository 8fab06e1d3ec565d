"""Client certificates as credentials (RFC 8705 §2): a subject that an authority vouches for, or one certificate."""

import hashlib
from collections.abc import Callable
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from accredit.canonical import base64url
from accredit.errors import InputRefused

_NEXT = "write dn:CN=…, dns:…, uri:…, email:… or ip:… (RFC 8705 §2.1.2)"
_LIMIT = 1_024
_PEM_LIMIT_BYTES = 16_384


def certificate_thumbprint(certificate: bytes) -> str:
    """The `x5t#S256` of a certificate in DER (RFC 8705 §3.1)."""
    return base64url(hashlib.sha256(certificate).digest())


def parse_tls_subject(text: str) -> str:
    """Check what a certificate must hold: one name, with its kind before it; a DN as RFC 4514 writes it.

    Raises InputRefused.
    """
    kind, _, value = text.partition(":")
    if kind not in _MATCHERS or not value or len(text) > _LIMIT or not text.isprintable():
        raise InputRefused("not the subject of a certificate", next_step=_NEXT)
    try:
        if kind == "dn" and not x509.Name.from_rfc4514_string(value).rdns:
            raise InputRefused("the DN is empty: any certificate would fit", next_step=_NEXT)
        if kind == "ip":
            value = str(ip_address(value))
    except ValueError as error:
        raise InputRefused(f"not a name of the kind {kind}", next_step=_NEXT, detail=str(error)) from error
    return f"{kind}:{value}"


def parse_certificate(pem: str) -> str:
    """Check one certificate in PEM, and give its thumbprint. Raises InputRefused."""
    if "PRIVATE KEY" in pem:
        raise InputRefused("the file holds a private key", next_step="give the certificate alone; make a new pair")
    try:
        found = x509.load_pem_x509_certificates(pem.encode()[:_PEM_LIMIT_BYTES])
    except ValueError as error:
        raise InputRefused("not a certificate in PEM (RFC 7468)", detail=str(error)) from error
    if len(found) != 1:
        raise InputRefused("the file holds more than one certificate", next_step="give the client's own alone")
    return certificate_thumbprint(found[0].public_bytes(Encoding.DER))


def has_subject(certificate: x509.Certificate, subject: str) -> bool:
    """Whether a certificate, whose chain was verified, holds the name that `parse_tls_subject` gave back."""
    kind, _, value = subject.partition(":")
    matcher = _MATCHERS.get(kind)
    return matcher is not None and matcher(certificate, value)


def _has_dn(certificate: x509.Certificate, value: str) -> bool:
    # The whole name, attribute by attribute: a part of it is another name.
    return certificate.subject == x509.Name.from_rfc4514_string(value)


def _has_dns(certificate: x509.Certificate, value: str) -> bool:
    # RFC 8705 §2.1.2: a certificate with a wildcard is none of a client.
    return value.lower() in [name.lower() for name in _names(certificate).get_values_for_type(x509.DNSName)]


def _has_uri(certificate: x509.Certificate, value: str) -> bool:
    return value in _names(certificate).get_values_for_type(x509.UniformResourceIdentifier)


def _has_email(certificate: x509.Certificate, value: str) -> bool:
    return value in _names(certificate).get_values_for_type(x509.RFC822Name)


def _has_ip(certificate: x509.Certificate, value: str) -> bool:
    return value in [str(address) for address in _names(certificate).get_values_for_type(x509.IPAddress)]


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


_MATCHERS: dict[str, Callable[[x509.Certificate, str], bool]] = {
    "dn": _has_dn,
    "dns": _has_dns,
    "uri": _has_uri,
    "email": _has_email,
    "ip": _has_ip,
}
