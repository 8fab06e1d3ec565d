"""Where the answer goes: a redirect URI that the client registered, character by character (OAuth 2.1 §4.1.1)."""

from dataclasses import replace

from accredit.agents.client_metadata import matches_redirect_uri
from accredit.oauth.errors import InvalidRequest
from accredit.oauth.step import AuthorizationRequest


async def check_redirect_uri(request: AuthorizationRequest) -> AuthorizationRequest:
    """From here on the client is answered. Raises InvalidRequest, which is shown to the person and sent to nobody."""
    uri = request.get("redirect_uri")
    if not uri:
        raise InvalidRequest("redirect_uri is missing", next_step="send the one that the answer is to go to")
    if not any(matches_redirect_uri(registered, uri) for registered in request.client.metadata.redirect_uris):
        raise InvalidRequest(
            "the redirect_uri is not one that this client has registered",
            next_step="the two must be the same, character by character",
        )
    return replace(request, redirect_uri=uri)
