"""Who asks: the client of the `client_id` (RFC 6749 §4.1.1)."""

from dataclasses import replace

from accredit.oauth.clients import Clients
from accredit.oauth.errors import InvalidRequest, UnauthorizedClient
from accredit.oauth.step import AuthorizationRequest


class LoadClient:
    """Until the redirect URI is checked too, an error is shown to the person and sent to nobody."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def __call__(self, request: AuthorizationRequest) -> AuthorizationRequest:
        """Raises InvalidRequest, InvalidClient, UnauthorizedClient, Unavailable."""
        client_id = request.get("client_id")
        if not client_id:
            raise InvalidRequest("client_id is missing")
        client = await self._clients.find(client_id)
        if "authorization_code" not in client.metadata.grant_types:
            raise UnauthorizedClient("this client may not ask people", next_step="ask the owner of the agent")
        return replace(request, client=client)
