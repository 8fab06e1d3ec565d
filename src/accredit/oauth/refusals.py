"""How a client is refused, at whichever endpoint: the record of it, and the challenge."""

from accredit.audit.event import AuditEvent
from accredit.audit.group import Group
from accredit.clock import Clock, rfc3339
from accredit.ids import EventId, NewId
from accredit.oauth.client_auth import ClientRequest
from accredit.oauth.errors import InvalidClient, OAuthError
from accredit.oauth.rooms import OAuthRooms
from accredit.web.asgi import Headers

_DETAIL = 200


class Refusals:
    """Writes the events: a secret is not guessed without a trace (ADR 0006)."""

    def __init__(self, group: Group, clock: Clock, new_id: NewId) -> None:
        self._group = group
        self._clock = clock
        self._new_id = new_id

    async def record(self, error: OAuthError, path: str, method: str | None) -> None:
        """Give the error its event, if it is about who the client is. `method`: how it tried. Raises Unavailable."""
        if not isinstance(error, InvalidClient) or error.event is not None:
            return
        await self.write(error, "client.refused", "client.authenticate", method, resource=path)

    async def write(
        self, error: OAuthError, kind: str, action: str, method: str | None, *, resource: str | None = None
    ) -> None:
        """Give an error its event, in whose commit `error.once` is spent. Raises UsedBefore, Unavailable."""
        event = AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type=kind,
            action=action,
            authentication=method,
            resource=resource,
            decision="deny",
            reason=error.code if not error.detail else f"{error.code}: {error.detail[:_DETAIL]}",
        )
        error.event = (await self._group.add(event, error.once)).seq


def basic_challenge(error: OAuthError, client: ClientRequest | None) -> Headers:
    """The header that a client gets who failed by the Authorization header (RFC 6749 §5.2); none for others."""
    if error.code == "invalid_client" and client is not None and client.authorization is not None:
        return [(b"www-authenticate", b'Basic realm="accredit"')]
    return []


def open_refusals(rooms: OAuthRooms) -> Refusals:
    """As the server is wired."""
    return Refusals(rooms.group, rooms.clock, rooms.new_id)
