"""Some requests must be pushed: by a setting for all of them, or by the client's own metadata (RFC 9126 §5 and §6)."""

from accredit.oauth.errors import InvalidRequest
from accredit.oauth.step import AuthorizationRequest


class CheckPushed:
    """`required`: whether every request must be pushed."""

    def __init__(self, *, required: bool) -> None:
        self._required = required

    async def __call__(self, request: AuthorizationRequest) -> AuthorizationRequest:
        """Raises InvalidRequest."""
        required = self._required or request.client.metadata.require_pushed_authorization_requests
        if required and not request.is_pushed:
            raise InvalidRequest("this request must be pushed", next_step="send it to /oauth/par first (RFC 9126)")
        return request
