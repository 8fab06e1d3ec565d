"""The device code grant: what a person approved elsewhere, changed into a token (RFC 8628 §3.4)."""

from accredit.oauth.grant import Granted, TokenRequest
from accredit.oauth.pending import DEVICE_GRANT
from accredit.oauth.pending_turn import PendingTurns


class DeviceCode:
    """Answers `authorization_pending` until the person has answered."""

    grant_type = DEVICE_GRANT
    required = frozenset({"device_code"})
    optional: frozenset[str] = frozenset()
    is_open_to_public_clients = True

    def __init__(self, turns: PendingTurns) -> None:
        self._turns = turns

    async def handle(self, request: TokenRequest) -> Granted:
        """Raises the errors of RFC 8628 §3.5, InvalidGrant, InvalidScope, UnauthorizedClient."""
        return await self._turns.take("device", request.parameters["device_code"], request)
