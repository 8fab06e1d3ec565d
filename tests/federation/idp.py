"""A SAML identity provider of the test's own: it makes responses, signs them with xmlsec, and can be made to lie."""

import base64
import datetime
import zlib
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lxml import etree
from onelogin.saml2.utils import OneLogin_Saml2_Utils

ENTITY_ID = "https://idp.example.com/saml"
SSO_URL = "https://idp.example.com/saml/sso"
NAMES = {
    "p": "urn:oasis:names:tc:SAML:2.0:protocol",
    "a": "urn:oasis:names:tc:SAML:2.0:assertion",
    "d": "http://www.w3.org/2000/09/xmldsig#",
}
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
SIGNATURE = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
DIGEST = "http://www.w3.org/2001/04/xmlenc#sha256"


def _certificate() -> tuple[RSAPrivateKey, str, str]:
    key = generate_private_key(65_537, 2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return key, private, made.public_bytes(Encoding.PEM).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """What a response says. Times are seconds from now."""

    request: str | None
    acs: str
    audience: str | None
    recipient: str | None = None
    confirmed_request: str | None = ""
    subject: str = "ana-7"
    name_format: str = PERSISTENT
    email: str = "ana@example.com"
    groups: tuple[str, ...] = ("accredit-admins", "everybody")
    issuer: str = ENTITY_ID
    destination: str | None = ""
    begins: float = -60
    ends: float = 120
    confirmed_until: float | None = 120
    authenticated: float = -5
    context: str = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
    status: str = "urn:oasis:names:tc:SAML:2.0:status:Success"
    method: str = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
    assertion_id: str = "_assertion-1"
    response_id: str = "_response-1"


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """Its key and certificate are made once."""

    private: str
    certificate: str
    now: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))

    @staticmethod
    def make() -> "IdentityProvider":
        _, private, certificate = _certificate()
        return IdentityProvider(private, certificate)

    def signed(self, says: Says, signature: str = SIGNATURE, digest: str = DIGEST) -> Any:
        """A response whose assertion is signed, as an element."""
        response = self.unsigned(says)
        [assertion] = response.findall("a:Assertion", NAMES)
        response.replace(assertion, self.sign(assertion, signature, digest))
        return response

    def sign(self, element: Any, signature: str = SIGNATURE, digest: str = DIGEST) -> Any:
        """The element with a signature in it."""
        text = OneLogin_Saml2_Utils.add_sign(
            etree.tostring(element), self.private, self.certificate, sign_algorithm=signature, digest_algorithm=digest
        )
        return etree.fromstring(text if isinstance(text, bytes) else text.encode())

    def unsigned(self, says: Says) -> Any:
        """A response without any signature."""
        confirmed = says.request if says.confirmed_request == "" else says.confirmed_request
        recipient = says.acs if says.recipient is None else says.recipient
        destination = says.acs if says.destination == "" else says.destination
        restriction = (
            f"<saml:AudienceRestriction><saml:Audience>{says.audience}</saml:Audience></saml:AudienceRestriction>"
            if says.audience is not None
            else ""
        )
        groups = "".join(f"<saml:AttributeValue>{group}</saml:AttributeValue>" for group in says.groups)
        return etree.fromstring(
            f"""<samlp:Response xmlns:samlp="{NAMES["p"]}" xmlns:saml="{NAMES["a"]}" ID="{says.response_id}"
 Version="2.0" IssueInstant="{self._at(0)}"{_attribute("Destination", destination)}
{_attribute("InResponseTo", says.request)}><saml:Issuer>{says.issuer}</saml:Issuer>
<samlp:Status><samlp:StatusCode Value="{says.status}"/></samlp:Status>
<saml:Assertion ID="{says.assertion_id}" Version="2.0" IssueInstant="{self._at(0)}">
<saml:Issuer>{says.issuer}</saml:Issuer>
<saml:Subject><saml:NameID Format="{says.name_format}">{says.subject}</saml:NameID>
<saml:SubjectConfirmation Method="{says.method}"><saml:SubjectConfirmationData{_attribute("Recipient", recipient)}
{_attribute("InResponseTo", confirmed)}{_attribute("NotOnOrAfter", self._until(says.confirmed_until))}/>
</saml:SubjectConfirmation></saml:Subject>
<saml:Conditions NotBefore="{self._at(says.begins)}" NotOnOrAfter="{self._at(says.ends)}">{restriction}
</saml:Conditions>
<saml:AuthnStatement AuthnInstant="{self._at(says.authenticated)}"><saml:AuthnContext>
<saml:AuthnContextClassRef>{says.context}</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>
<saml:AttributeStatement><saml:Attribute Name="email"><saml:AttributeValue>{says.email}</saml:AttributeValue>
</saml:Attribute><saml:Attribute Name="name"><saml:AttributeValue>Ana Abel</saml:AttributeValue></saml:Attribute>
<saml:Attribute Name="groups">{groups}</saml:Attribute></saml:AttributeStatement>
</saml:Assertion></samlp:Response>""".encode()
        )

    def _until(self, seconds: float | None) -> str | None:
        return None if seconds is None else self._at(seconds)

    def _at(self, seconds: float) -> str:
        return (self.now + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode(response: Any) -> str:
    """As it stands in a form (saml-bindings-2.0-os §3.5.4)."""
    raw = response if isinstance(response, bytes) else etree.tostring(response)
    return base64.b64encode(raw).decode()


def read_request(url: str) -> tuple[Any, str]:
    """The request of a redirect, and its RelayState (§3.4.4.1)."""
    query = parse_qs(urlsplit(url).query)
    xml = zlib.decompress(base64.b64decode(query["SAMLRequest"][0]), -15)
    return etree.fromstring(xml), query["RelayState"][0]


def _attribute(name: str, value: str | None) -> str:
    return "" if value is None else f' {name}="{value}"'


__all__ = ["IdentityProvider", "Says", "encode", "read_request", "replace"]
