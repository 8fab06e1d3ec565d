"""PKCE is always there, and always S256 (RFC 7636, OAuth 2.1 §4.1.1): a downgrade has nothing to go down to."""

import re

from accredit.oauth.errors import InvalidRequest
from accredit.oauth.step import AuthorizationRequest

METHOD = "S256"
# The SHA-256 of a verifier in base64url, without padding: always of this length.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


async def check_pkce(request: AuthorizationRequest) -> AuthorizationRequest:
    """Raises InvalidRequest."""
    if not request.get("code_challenge"):
        raise InvalidRequest("code_challenge is missing", next_step="use PKCE with S256 (RFC 7636 §4.3)")
    # RFC 7636 §4.3: without a method it would be plain.
    if request.get("code_challenge_method") != METHOD:
        raise InvalidRequest("code_challenge_method must be S256", next_step="use PKCE with S256 (RFC 7636 §4.3)")
    if _CHALLENGE.fullmatch(request.get("code_challenge")) is None:
        raise InvalidRequest("code_challenge is not the SHA-256 of a verifier in base64url")
    return request
