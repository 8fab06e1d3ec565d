"""What is kept as it was sent, and given back: of a bounded length, and nothing that hides."""

import re

from accredit.oauth.errors import InvalidRequest
from accredit.oauth.step import AuthorizationRequest

_LIMITS = {"state": 2_048, "nonce": 512, "login_hint": 254, "acr_values": 512}
_ALL = 16_384
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


async def check_texts(request: AuthorizationRequest) -> AuthorizationRequest:
    """Raises InvalidRequest."""
    if sum(map(len, request.parameters.values())) > _ALL:
        raise InvalidRequest("the request is too long", next_step="ask for less at once")
    for name, most in _LIMITS.items():
        text = request.get(name)
        if len(text) > most or not text.isprintable():
            raise InvalidRequest(f"{name} is longer than {most}, or has a character that is not seen")
    thumbprint = request.parameters.get("dpop_jkt")
    if thumbprint is not None and _THUMBPRINT.fullmatch(thumbprint) is None:
        raise InvalidRequest("dpop_jkt is not the SHA-256 thumbprint of a key (RFC 9449 §10)")
    return request
