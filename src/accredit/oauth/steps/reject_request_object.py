"""Request objects are not read, and a pushed request names no other (RFC 9101, RFC 9126 §2.1)."""

from accredit.oauth.errors import InvalidRequest, RequestNotSupported
from accredit.oauth.step import AuthorizationRequest, Leg


async def reject_request_object(request: AuthorizationRequest) -> AuthorizationRequest:
    """Raises RequestNotSupported, InvalidRequest."""
    if "request" in request.parameters:
        raise RequestNotSupported("request objects are not read here", next_step="push the request (RFC 9126)")
    if request.leg is Leg.PUSHED and "request_uri" in request.parameters:
        raise InvalidRequest("a pushed request holds no request_uri (RFC 9126 §2.1)")
    return request
