"""Responses that are not as they were signed.

The wrappings are those of Somorovsky and others, "On Breaking SAML: Be Whoever You Want to Be" (USENIX Security 2012).
"""

import base64
import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lxml import etree

from tests.federation.idp import NAMES, IdentityProvider, Says

Spoil = Callable[[IdentityProvider, Says], Any]


def _evil(idp: IdentityProvider, says: Says, assertion_id: str = "_evil") -> Any:
    """The assertion that an attacker wants to be read."""
    [made] = idp.unsigned(replace(says, subject="the-boss", assertion_id=assertion_id)).findall("a:Assertion", NAMES)
    return made


def _unsigned(idp: IdentityProvider, says: Says) -> Any:
    return idp.unsigned(says)


def _only_the_response_signed(idp: IdentityProvider, says: Says) -> Any:
    return idp.sign(idp.unsigned(says))


def _signature_taken_out(idp: IdentityProvider, says: Says) -> Any:
    response = idp.signed(says)
    signature = response.find("a:Assertion/d:Signature", NAMES)
    signature.getparent().remove(signature)
    return response


def _signed_by_another(_: IdentityProvider, says: Says) -> Any:
    # Its own certificate stands in KeyInfo: that is not where trust comes from.
    return IdentityProvider.make().signed(says)


def _another_subject(idp: IdentityProvider, says: Says) -> Any:
    response = idp.signed(says)
    response.find("a:Assertion/a:Subject/a:NameID", NAMES).text = "the-boss"
    return response


def _another_group(idp: IdentityProvider, says: Says) -> Any:
    response = idp.signed(replace(says, groups=("everybody",)))
    response.find(".//a:Attribute[@Name='groups']/a:AttributeValue", NAMES).text = "accredit-admins"
    return response


def _another_signature_value(idp: IdentityProvider, says: Says) -> Any:
    response = idp.signed(says)
    value = response.find(".//d:SignatureValue", NAMES)
    value.text = base64.b64encode(bytes(256)).decode()
    return response


def _sha1(idp: IdentityProvider, says: Says) -> Any:
    return idp.signed(says, f"{NAMES['d']}rsa-sha1", f"{NAMES['d']}sha1")


def _sha1_digest(idp: IdentityProvider, says: Says) -> Any:
    return idp.signed(says, digest=f"{NAMES['d']}sha1")


def _hmac_with_the_certificate(idp: IdentityProvider, says: Says) -> Any:
    response = idp.signed(says)
    response.find(".//d:SignatureMethod", NAMES).set("Algorithm", f"{NAMES['d']}hmac-sha1")
    return response


def _xslt(idp: IdentityProvider, says: Says) -> Any:
    response = idp.signed(says)
    transforms = response.find(".//d:Transforms", NAMES)
    etree.SubElement(transforms, f"{{{NAMES['d']}}}Transform", Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116")
    return response


def comment_in_the_name(idp: IdentityProvider, says: Says) -> Any:
    # The canonical form has no comments, so this verifies: what is read must be the whole text, not its beginning.
    response = idp.signed(replace(says, subject="the-boss.evil"))
    name = response.find("a:Assertion/a:Subject/a:NameID", NAMES)
    name.text = "the-boss"
    comment = etree.Comment("x")
    comment.tail = ".evil"
    name.append(comment)
    return response


def _xsw(number: int) -> Spoil:
    """Signature wrapping: the signed element is moved aside, and an evil one stands in its place."""

    def wrap(idp: IdentityProvider, says: Says) -> Any:
        if number in (1, 2):
            return _wrap_response(idp, says, number)
        response = idp.signed(says)
        [good] = response.findall("a:Assertion", NAMES)
        same_id = _evil(idp, says, good.get("ID"))
        evil = _evil(idp, says)
        signature = good.find("d:Signature", NAMES)
        if number == 3:
            good.addprevious(evil)
        elif number == 4:
            response.replace(good, evil)
            evil.append(good)
        elif number == 5:
            # The evil assertion takes the signature; the good one stands at the end.
            good.remove(signature)
            same_id.insert(1, signature)
            response.replace(good, same_id)
            response.append(good)
        elif number == 6:
            good.remove(signature)
            same_id.insert(1, signature)
            response.replace(good, same_id)
            signature.append(good)
        elif number == 7:
            extensions = etree.Element(f"{{{NAMES['p']}}}Extensions")
            extensions.append(evil)
            good.addprevious(extensions)
        elif number == 8:
            good.remove(signature)
            same_id.insert(1, signature)
            response.replace(good, same_id)
            obj = etree.SubElement(signature, f"{{{NAMES['d']}}}Object")
            obj.append(good)
        return response

    return wrap


def _wrap_response(idp: IdentityProvider, says: Says, number: int) -> Any:
    good = idp.sign(idp.signed(says))
    signature = good.find("d:Signature", NAMES)
    evil = copy.deepcopy(good)
    evil.set("ID", "_evil-response")
    own = evil.find("d:Signature", NAMES)
    evil.remove(own)
    evil.find("a:Assertion/a:Subject/a:NameID", NAMES).text = "the-boss"
    if number == 1:
        bare = copy.deepcopy(good)
        bare.remove(bare.find("d:Signature", NAMES))
        signature.append(bare)
        evil.insert(1, signature)
    else:
        bare = copy.deepcopy(good)
        bare.remove(bare.find("d:Signature", NAMES))
        evil.insert(1, bare)
        evil.insert(2, signature)
    return evil


def _two_assertions(idp: IdentityProvider, says: Says) -> Any:
    response = idp.signed(says)
    response.append(_evil(idp, says))
    return response


def _assertion_in_an_attribute_value(idp: IdentityProvider, says: Says) -> Any:
    response = idp.signed(says)
    [good] = response.findall("a:Assertion", NAMES)
    evil = _evil(idp, says)
    response.replace(good, evil)
    evil.find(".//a:AttributeValue", NAMES).append(good)
    return response


SPOILT: dict[str, Spoil] = {
    "unsigned": _unsigned,
    "signed only around it": _only_the_response_signed,
    "without its signature": _signature_taken_out,
    "signed by another": _signed_by_another,
    "with another subject": _another_subject,
    "with another group": _another_group,
    "with another signature": _another_signature_value,
    "signed with SHA-1": _sha1,
    "hashed with SHA-1": _sha1_digest,
    "signed with an HMAC": _hmac_with_the_certificate,
    "transformed by XSLT": _xslt,
    "with two assertions": _two_assertions,
    "wrapped in an attribute": _assertion_in_an_attribute_value,
    **{f"wrapped, XSW{number}": _xsw(number) for number in range(1, 9)},
}


WHY_SPOILT = {
    "unsigned": "the assertion is not signed",
    "signed only around it": "the assertion is not signed",
    "without its signature": "the assertion is not signed",
    "signed by another": "Signature validation failed",
    "with another subject": "Signature validation failed",
    "with another group": "Signature validation failed",
    "with another signature": "Signature validation failed",
    "signed with SHA-1": "an algorithm that is not allowed",
    "hashed with SHA-1": "an algorithm that is not allowed",
    "signed with an HMAC": "an algorithm that is not allowed",
    "transformed by XSLT": "Transform",
    "with two assertions": "one Assertion",
    "wrapped in an attribute": "one Assertion",
    "wrapped, XSW1": "an ID comes twice",
    "wrapped, XSW2": "an ID comes twice",
    "wrapped, XSW3": "one Assertion",
    "wrapped, XSW4": "one Assertion",
    "wrapped, XSW5": "an ID comes twice",
    "wrapped, XSW6": "an ID comes twice",
    "wrapped, XSW7": "one Assertion",
    "wrapped, XSW8": "an ID comes twice",
}
