"""A request that was pushed takes the place of what the browser brought (RFC 9126 §4)."""

from dataclasses import replace

from accredit.oauth.errors import InvalidRequestUri
from accredit.oauth.pushed import PushedRequests
from accredit.oauth.step import AuthorizationRequest


class LoadPushedRequest:
    """Nothing else that the browser brings is looked at: whoever sits in between could have changed it."""

    def __init__(self, pushed: PushedRequests) -> None:
        self._pushed = pushed

    async def __call__(self, request: AuthorizationRequest) -> AuthorizationRequest:
        """Raises InvalidRequestUri, Unavailable. The request URI is used up."""
        uri = request.parameters.get("request_uri")
        if uri is None:
            return request
        parameters = await self._pushed.take(uri, request.client.client_id)
        if parameters is None:
            raise InvalidRequestUri(
                "the request_uri is not one of this client's, was used, or is more than 90 seconds old",
                next_step="push the request again (RFC 9126 §2)",
            )
        return replace(request, parameters=parameters, is_pushed=True)
