"""Which method a client assertion is of: an agent's own key, or the word of another issuer about a workload."""

import base64
import binascii
import functools
from collections.abc import Mapping

import msgspec

JWT_BEARER_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523 §2.2."""
SPIFFE_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
"""draft-ietf-oauth-spiffe-client-auth-02 §3.1."""
JWT_BEARER_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
"""RFC 7523 §2.1."""
WORKLOAD = "workload_assertion"
"""The method of a request whose grant is the word of an issuer about who sends it: the assertion is the proof."""


class _Named(msgspec.Struct, frozen=True):
    iss: str | None = None
    sub: str | None = None


def is_of_another_issuer(form: Mapping[str, str]) -> bool:
    """Whether the client assertion says that somebody else than the client made it. Nothing is verified here."""
    if form.get("client_assertion_type") == SPIFFE_ASSERTION:
        return True
    return _names_another(form.get("client_assertion", ""))


@functools.lru_cache(maxsize=64)
def _names_another(assertion: str) -> bool:
    # Several methods ask this of one request: it is read once.
    _, _, rest = assertion.partition(".")
    payload = rest.partition(".")[0]
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Named)
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        return False
    # RFC 7523 §3: a client's own assertion has it as issuer and as subject. A JWT-SVID need not name an issuer.
    return found.sub is not None and found.iss != found.sub
