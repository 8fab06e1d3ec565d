"""SAML 2.0: the web browser profile, begun by us (saml-profiles-2.0-os §4.1). An extra: `accredit[saml]`.

python3-saml verifies the signature and most conditions; what it leaves to its caller is checked here: that the signed
assertion answers this request, was sent to this address, names us as its audience, and is signed as we allow. It
blocks, so it works in a thread. Its parser takes no document type and fetches nothing.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from onelogin.saml2.authn_request import OneLogin_Saml2_Authn_Request
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from accredit.federation.claims import identity_of
from accredit.federation.configuration import Configuration, SamlProvider
from accredit.federation.connector import Attempt, Begun, Parts, Vouched
from accredit.federation.errors import ProviderInvalid, SignOnRefused, refused
from accredit.storage.writer import Once

RESPONSE_LIMIT_BYTES = 262_144
SECONDS = 10.0
# What the library allows between the clocks, and what its answer may be replayed within at the longest.
CLOCK_SECONDS = 300
_SUBJECT_LIMIT = 255
_PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
_ASSERTION = "urn:oasis:names:tc:SAML:2.0:assertion"
_DSIG = "http://www.w3.org/2000/09/xmldsig#"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
_NAMES = {"p": _PROTOCOL, "a": _ASSERTION, "d": _DSIG}
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_SIGNATURES = frozenset(
    _MORE + kind for kind in ("rsa-sha256", "rsa-sha384", "rsa-sha512", "ecdsa-sha256", "ecdsa-sha384")
)
_DIGESTS = frozenset(
    ("http://www.w3.org/2001/04/xmlenc#sha256", _MORE + "sha384", "http://www.w3.org/2001/04/xmlenc#sha512")
)
_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
_TRANSFORMS = frozenset((_DSIG + "enveloped-signature", _C14N))

_MORE_IN_SIGNATURE = tuple(f"{{{_DSIG}}}{name}" for name in ("Object", "Manifest", "RetrievalMethod"))

# lxml and the library bring no types: what comes out of them is typed at the border of this file.
Element = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class _Assertion:
    """What is taken out of a verified assertion."""

    id: str
    subject: str
    attributes: Mapping[str, object]
    context: str
    authenticated_at: float | None
    expires_at: float


def make(configuration: Configuration, secret: str | None, parts: Parts) -> "SamlConnector":
    """The connector of one provider. Raises ProviderInvalid."""
    if not isinstance(configuration, SamlProvider):
        raise ProviderInvalid("this is no SAML provider")
    if secret is not None:
        raise ProviderInvalid("a SAML provider takes no secret", next_step="leave it out")
    return SamlConnector(configuration, parts)


class SamlConnector:
    """One identity provider. Requests go by redirect, unsigned; answers come by POST and must be signed."""

    state_parameter = "RelayState"
    posted = True

    def __init__(self, configuration: SamlProvider, parts: Parts) -> None:
        self._configuration = configuration
        self._acs = f"{parts.base}/console/sign-in/saml/{configuration.name}"
        self._entity_id = f"{self._acs}/metadata"
        self._settings = OneLogin_Saml2_Settings(self._settings_of(configuration))

    async def begin(self, attempt: Attempt) -> Begun:
        """The address with the request in it (saml-bindings-2.0-os §3.4)."""
        request = OneLogin_Saml2_Authn_Request(
            self._settings, force_authn=self._configuration.force_authn or attempt.fresh
        )
        fields = {"SAMLRequest": request.get_request(), "RelayState": attempt.state}
        url = str(OneLogin_Saml2_Utils.redirect(self._configuration.sso_url, fields))
        return Begun(url, msgspec.structs.replace(attempt, request=str(request.get_id())))

    async def finish(self, attempt: Attempt, answer: Mapping[str, str]) -> Vouched:
        """Verify the response in a thread."""
        text = answer.get("SAMLResponse", "")
        try:
            async with asyncio.timeout(SECONDS):
                found = await asyncio.to_thread(self._verify, text, attempt.request)
        except TimeoutError as error:
            raise refused("SAML: the response took too long to verify") from error
        if attempt.fresh and (found.authenticated_at or 0.0) < attempt.started_at - CLOCK_SECONDS:
            raise refused("SAML: AuthnInstant: not anew")
        one = self._configuration
        return Vouched(
            # The company's own provider asserts the address under its signature; there is no other word for it.
            identity=identity_of(one, f"saml:{one.name}", found.subject, found.attributes, email_verified=True),
            acr=found.context,
            amr=(),
            auth_time=found.authenticated_at,
            once=(Once(_key(one.entity_id, found.id), found.expires_at + 2 * CLOCK_SECONDS),),
        )

    async def sign_out_url(self) -> str | None:
        """None: single logout is not offered."""
        return None

    def metadata(self) -> bytes | None:
        """Our description as a service provider (saml-metadata-2.0-os §2.4.4)."""
        document = self._settings.get_sp_metadata()
        return document if isinstance(document, bytes) else str(document).encode()

    def _verify(self, text: str, request_id: str) -> _Assertion:
        if not request_id:
            raise refused("SAML: no request was made")
        try:
            if not 0 < len(text) <= RESPONSE_LIMIT_BYTES:
                raise refused("SAML: the response is empty or too long")
            # Lines of base64 may be broken (RFC 2045); nothing else is passed over.
            base64.b64decode("".join(text.split()), validate=True)
            response = OneLogin_Saml2_Response(self._settings, text)
            _check_shape(response.document)
            parts = urlsplit(self._acs)
            here: dict[str, object] = {
                "https": "on" if parts.scheme == "https" else "off",
                "http_host": parts.netloc,
                "script_name": parts.path,
                "post_data": {},
            }
            response.is_valid(here, request_id, raise_exceptions=True)
            return self._take(response, request_id)
        except SignOnRefused:
            raise
        except binascii.Error as error:
            raise refused("SAML: not base64") from error
        except Exception as error:  # whatever the library stumbles over is no proof of anything
            raise refused(f"SAML: {type(error).__name__}: {str(error)[:300]}") from error

    def _take(self, response: Any, request_id: str) -> _Assertion:
        document = response.document
        [assertion] = document.findall("a:Assertion", _NAMES)
        confirmation = self._check_confirmation(assertion, request_id)
        if document.get("InResponseTo") != request_id:
            raise refused("SAML: InResponseTo of the response")
        if document.get("Destination") not in (None, self._acs):
            raise refused("SAML: Destination")
        audiences = assertion.findall("a:Conditions/a:AudienceRestriction/a:Audience", _NAMES)
        if [one.text for one in audiences] != [self._entity_id]:
            raise refused("SAML: Audience")
        name_id = response.get_nameid()
        if response.get_nameid_format() == _TRANSIENT or not name_id or len(name_id) > _SUBJECT_LIMIT:
            raise refused("SAML: a NameID that does not last, or none")
        contexts = response.get_authn_contexts()
        wanted = self._configuration.authn_contexts
        if wanted and not set(contexts) <= set(wanted):
            raise refused("SAML: AuthnContextClassRef")
        statement = assertion.find("a:AuthnStatement", _NAMES)
        return _Assertion(
            id=str(assertion.get("ID")),
            subject=str(name_id),
            attributes={name: _one_or_all(values) for name, values in response.get_attributes().items()},
            context=str(contexts[0]) if contexts else "",
            authenticated_at=_time(statement.get("AuthnInstant")),
            expires_at=_time(confirmation.get("NotOnOrAfter")) or 0.0,
        )

    def _check_confirmation(self, assertion: Element, request_id: str) -> Element:
        """The bearer confirmation (profiles §4.1.4.2, §4.1.4.3). The library lets each of these be absent."""
        found = assertion.findall("a:Subject/a:SubjectConfirmation", _NAMES)
        data = [one.find("a:SubjectConfirmationData", _NAMES) for one in found if one.get("Method") == _BEARER]
        if len(found) != 1 or len(data) != 1 or data[0] is None:
            raise refused("SAML: there must be one SubjectConfirmation, by bearer")
        if data[0].get("InResponseTo") != request_id or data[0].get("Recipient") != self._acs:
            raise refused("SAML: InResponseTo or Recipient of the assertion")
        if data[0].get("NotOnOrAfter") is None or data[0].get("NotBefore") is not None:
            raise refused("SAML: NotOnOrAfter or NotBefore of the confirmation")
        return data[0]

    def _settings_of(self, one: SamlProvider) -> dict[str, object]:
        return {
            "strict": True,
            "debug": False,
            "sp": {
                "entityId": self._entity_id,
                "assertionConsumerService": {
                    "url": self._acs,
                    "binding": "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST",
                },
                "NameIDFormat": "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
            },
            "idp": {
                "entityId": one.entity_id,
                "singleSignOnService": {
                    "url": one.sso_url,
                    "binding": "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect",
                },
                "x509certMulti": {"signing": list(one.certificates)},
            },
            "security": {
                "wantAssertionsSigned": True,
                "wantNameId": True,
                "wantAttributeStatement": False,
                "rejectDeprecatedAlgorithm": True,
                "allowSingleLabelDomains": True,
                "requestedAuthnContext": list(one.authn_contexts) if one.authn_contexts else False,
                "failOnAuthnContextMismatch": bool(one.authn_contexts),
                # It does not run out: providers keep the document for years.
                "metadataValidUntil": "",
                "metadataCacheDuration": "",
            },
        }


def _check_shape(document: Element) -> None:
    """Refuse whatever could make the verified element another than the one that is read (XML signature wrapping)."""
    if document.tag != f"{{{_PROTOCOL}}}Response":
        raise refused("SAML: not a Response")
    ids = [value for element in document.iter() for name, value in element.attrib.items() if name.lower() == "id"]
    if len(ids) != len(set(ids)):
        raise refused("SAML: an ID comes twice")
    assertions = list(document.iter(f"{{{_ASSERTION}}}Assertion"))
    if len(assertions) != 1 or assertions[0].getparent() is not document:
        raise refused("SAML: there must be one Assertion, in the Response itself")
    if any(True for _ in document.iter(f"{{{_ASSERTION}}}EncryptedAssertion")):
        raise refused("SAML: encrypted assertions are not taken")
    signatures = list(document.iter(f"{{{_DSIG}}}Signature"))
    for signature in signatures:
        _check_signature_shape(signature, document, assertions[0])
    if not any(one.getparent() is assertions[0] for one in signatures):
        raise refused("SAML: the assertion is not signed")


def _check_signature_shape(signature: Element, document: Element, assertion: Element) -> None:
    """One reference, to the element around it, transformed and hashed as saml-core-2.0-os §5.4 allows."""
    signed = signature.getparent()
    if signed is not document and signed is not assertion:
        raise refused("SAML: a signature in another place")
    references = signature.findall("d:SignedInfo/d:Reference", _NAMES)
    if len(references) != 1 or references[0].get("URI") != f"#{signed.get('ID')}":
        raise refused("SAML: Reference")
    # One tag at a time: the library's own elements cannot look for several.
    if any(True for tag in _MORE_IN_SIGNATURE for _ in signature.iter(tag)):
        raise refused("SAML: a signature with more in it")

    def algorithms(path: str) -> list[str]:
        return [str(one.get("Algorithm")) for one in signature.findall(path, _NAMES)]

    transforms = algorithms("d:SignedInfo/d:Reference/d:Transforms/d:Transform")
    if len(transforms) > len(_TRANSFORMS) or not set(transforms) <= _TRANSFORMS:
        raise refused("SAML: Transform")
    if algorithms("d:SignedInfo/d:CanonicalizationMethod") != [_C14N]:
        raise refused("SAML: CanonicalizationMethod")
    method, digest = algorithms("d:SignedInfo/d:SignatureMethod"), algorithms("d:SignedInfo/d:Reference/d:DigestMethod")
    if len(method) != 1 or method[0] not in _SIGNATURES or len(digest) != 1 or digest[0] not in _DIGESTS:
        raise refused("SAML: an algorithm that is not allowed")


def _time(text: str | None) -> float | None:
    return None if text is None else float(OneLogin_Saml2_Utils.parse_SAML_to_time(text))


def _one_or_all(values: list[object]) -> object:
    return values[0] if len(values) == 1 else tuple(values)


def _key(entity_id: str, assertion_id: str) -> bytes:
    return hashlib.sha256(f"saml\0{entity_id}\0{assertion_id}".encode()).digest()
