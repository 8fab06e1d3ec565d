"""The record of clients that could not prove themselves, at whichever endpoint they tried."""

from accredit.audit.event import AuditEvent
from accredit.audit.group import Group
from accredit.clock import Clock, rfc3339
from accredit.ids import EventId, NewId
from accredit.oauth.errors import InvalidClient, OAuthError
from accredit.oauth.rooms import OAuthRooms

_DETAIL = 200


class Refusals:
    """Writes an event for a failed client authentication: a secret is not guessed without a trace (ADR 0006)."""

    def __init__(self, group: Group, clock: Clock, new_id: NewId) -> None:
        self._group = group
        self._clock = clock
        self._new_id = new_id

    async def record(self, error: OAuthError, path: str, method: str | None) -> None:
        """Give the error its event, if it is about who the client is. `method`: how it tried. Raises Unavailable."""
        if not isinstance(error, InvalidClient) or error.event is not None:
            return
        event = AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type="client.refused",
            action="client.authenticate",
            authentication=method,
            resource=path,
            decision="deny",
            reason=error.code if not error.detail else f"{error.code}: {error.detail[:_DETAIL]}",
        )
        error.event = (await self._group.add(event)).seq


def open_refusals(rooms: OAuthRooms) -> Refusals:
    """As the server is wired."""
    return Refusals(rooms.group, rooms.clock, rooms.new_id)
