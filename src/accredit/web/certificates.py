"""The client's certificate, as a proxy that ends TLS hands it on in a header.

Of the form of RFC 9440 (`:base64 of DER:`), or PEM that is URL-encoded, as nginx (`$ssl_client_escaped_cert`) and Envoy
(`%DOWNSTREAM_PEER_CERT%`) write it. Anybody can write the header: from a peer that is no trusted proxy it says nothing.
"""

import base64
import binascii
from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from accredit.errors import InputRefused
from accredit.web.asgi import Scope

_LIMIT_BYTES = 16_384
_CACHE_LIMIT = 4_096


class CertificateHeaderInvalid(InputRefused):
    """A trusted proxy sent a header that holds no certificate, or more than one."""

    code = "invalid_client_certificate"


class ClientCertificates:
    """Finds the certificate of a request. Without a header's name there is none.

    `trusted_proxies` are addresses or networks (RFC 4632, RFC 4291). Raises InputRefused for anything else.
    """

    def __init__(self, header: str = "", trusted_proxies: Iterable[str] = ()) -> None:
        self._header = header.lower().encode("latin-1")
        self._trusted = tuple(_network(text) for text in trusted_proxies)
        self._parsed: OrderedDict[bytes, bytes] = OrderedDict()
        if header and not self._trusted:
            raise InputRefused(
                "client_certificate_header is set, and trusted_proxies is empty",
                next_step="name the proxies that set the header, and see that they take it from nobody else",
            )

    def of(self, scope: Scope) -> bytes | None:
        """The client's certificate in DER: the TLS layer proved that the client has its key.

        None if there is none, or if the peer is no trusted proxy. Raises CertificateHeaderInvalid.
        """
        if not self._header:
            return None
        values = [value for name, value in scope["headers"] if name == self._header and value]
        if not values or not self._is_trusted(scope):
            return None
        if len(values) > 1:
            # The proxy added its own beside the client's: which is which cannot be told.
            raise CertificateHeaderInvalid("the proxy let a second certificate header through")
        return self._parse(values[0])

    def _is_trusted(self, scope: Scope) -> bool:
        client = scope.get("client")
        if not client:
            return False
        try:
            address = ip_address(client[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._trusted)

    def _parse(self, value: bytes) -> bytes:
        known = self._parsed.get(value)
        if known is None:
            known = self._parsed[value] = _decode(value)
            if len(self._parsed) > _CACHE_LIMIT:
                self._parsed.popitem(last=False)
        return known


def _decode(value: bytes) -> bytes:
    try:
        if len(value) > _LIMIT_BYTES:
            raise ValueError("too large")
        if value[:1] == b":" and value[-1:] == b":":
            der = base64.b64decode(value[1:-1], validate=True)
            certificate = x509.load_der_x509_certificate(der)
        else:
            found = x509.load_pem_x509_certificates(unquote(value.decode("ascii"), errors="strict").encode())
            if len(found) != 1:
                raise ValueError("not one certificate")
            certificate = found[0]
    except (ValueError, binascii.Error) as error:
        raise CertificateHeaderInvalid("the certificate header holds no certificate", detail=str(error)) from error
    return certificate.public_bytes(Encoding.DER)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=True)
    except ValueError as error:
        raise InputRefused(
            f"trusted_proxies: {text!r} is no address and no network", next_step="for example 10.0.0.0/8"
        ) from error
