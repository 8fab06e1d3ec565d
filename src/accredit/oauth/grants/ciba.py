"""The CIBA grant: what a person approved when they were asked, changed into a token (CIBA Core §10.1)."""

from accredit.oauth.grant import Granted, TokenRequest
from accredit.oauth.pending import CIBA_GRANT
from accredit.oauth.pending_turn import PendingTurns


class Ciba:
    """Poll and ping mode ask here alike."""

    grant_type = CIBA_GRANT
    required = frozenset({"auth_req_id"})
    optional: frozenset[str] = frozenset()
    is_open_to_public_clients = False

    def __init__(self, turns: PendingTurns) -> None:
        self._turns = turns

    async def handle(self, request: TokenRequest) -> Granted:
        """Raises the errors of CIBA Core §11, InvalidGrant, InvalidScope, UnauthorizedClient."""
        return await self._turns.take("ciba", request.parameters["auth_req_id"], request)
