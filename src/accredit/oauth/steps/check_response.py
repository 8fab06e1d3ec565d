"""How is answered: with a code, in the query of the redirect URI, and in no other way (OAuth 2.1 §4.1.1)."""

from accredit.oauth.errors import InvalidRequest, UnsupportedResponseType
from accredit.oauth.step import AuthorizationRequest

RESPONSE_TYPES = ("code",)
RESPONSE_MODES = ("query",)


async def check_response(request: AuthorizationRequest) -> AuthorizationRequest:
    """Raises InvalidRequest, UnsupportedResponseType."""
    response_type = request.parameters.get("response_type")
    if response_type is None:
        raise InvalidRequest("response_type is missing", next_step="send response_type=code")
    if response_type not in RESPONSE_TYPES:
        raise UnsupportedResponseType("only the response type code is answered", next_step="send response_type=code")
    if request.parameters.get("response_mode", "query") not in RESPONSE_MODES:
        raise InvalidRequest("only the response mode query is answered", next_step="leave response_mode out")
    return request
