"""Device authorization (RFC 8628 §3.1): a client without a browser gets a code that a person types elsewhere."""

import msgspec

from accredit.oauth.asking import Asking, check_grant, open_asking
from accredit.oauth.client_auth import AuthenticatedClient, ClientAuthentication
from accredit.oauth.client_endpoint import Answer, ClientEndpoint
from accredit.oauth.pending import (
    DEVICE_GRANT,
    INTERVAL_SECONDS,
    LIFETIME_SECONDS,
    PendingAuthorizations,
    shown_user_code,
)
from accredit.oauth.refusals import open_refusals
from accredit.oauth.rooms import OAuthRooms

PATH = "/oauth/device_authorization"
PAGE = "/console/device"


class _DeviceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class DeviceAuthorization:
    """The endpoint's act."""

    def __init__(self, pending: PendingAuthorizations, asking: Asking, issuer: str) -> None:
        self._pending = pending
        self._asking = asking
        self._issuer = issuer

    async def __call__(self, client: AuthenticatedClient, form: dict[str, str]) -> Answer:
        """Raises UnauthorizedClient, InvalidTarget, InvalidScope, InvalidAuthorizationDetails, Unavailable."""
        check_grant(client.agent, DEVICE_GRANT)
        request = await self._asking.read(client.agent, form)
        device_code, user_code = await self._pending.open_device(client, request, LIFETIME_SECONDS)
        shown = shown_user_code(user_code)
        answer = _DeviceAnswer(
            device_code=device_code,
            user_code=shown,
            verification_uri=f"{self._issuer}{PAGE}",
            verification_uri_complete=f"{self._issuer}{PAGE}?user_code={shown}",
            expires_in=LIFETIME_SECONDS,
            interval=INTERVAL_SECONDS,
        )
        return Answer(200, answer)


def open_device_authorization(rooms: OAuthRooms, authentication: ClientAuthentication) -> ClientEndpoint:
    """As the server is wired."""
    act = DeviceAuthorization(rooms.pending, open_asking(rooms), rooms.issuer)
    return ClientEndpoint(authentication, rooms.certificates, rooms.group, open_refusals(rooms), act)
