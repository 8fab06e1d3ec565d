"""Token revocation (RFC 7009): a client ends its own tokens, and with each all that came of it.

Whatever a client sends, the answer is the same: it does not tell whether a token is known, or whose it is.
"""

from accredit.audit.event import AuditEvent
from accredit.clock import Clock, rfc3339
from accredit.ids import EventId, NewId
from accredit.oauth.client_auth import AuthenticatedClient, ClientAuthentication
from accredit.oauth.client_endpoint import Answer, ClientEndpoint
from accredit.oauth.errors import InvalidRequest
from accredit.oauth.refusals import open_refusals
from accredit.oauth.rooms import OAuthRooms
from accredit.tokens.ending import REVOKED, Endable, TokenEnding

PATH = "/oauth/revoke"


class Revocation:
    """The endpoint's act."""

    def __init__(self, ending: TokenEnding, clock: Clock, new_id: NewId) -> None:
        self._ending = ending
        self._clock = clock
        self._new_id = new_id

    async def __call__(self, client: AuthenticatedClient, form: dict[str, str]) -> Answer:
        """Raises InvalidRequest, Unavailable. `token_type_hint` is not needed: a token says what it is (§2.1)."""
        token = form.get("token")
        if token is None:
            raise InvalidRequest("token is missing", next_step="send the token that is to be ended")
        found = self._ending.read(token)
        if found is not None and found.agent == client.agent.id:
            await self._ending.end(found.id, found.expires_at, self._event(found, client))
        return Answer(200, None)

    def _event(self, found: Endable, client: AuthenticatedClient) -> AuditEvent:
        return AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type=REVOKED,
            action=REVOKED,
            agent=client.agent.id,
            agent_name=client.agent.name,
            authentication=client.method,
            token_id=found.id,
            person=found.person,
            resource=found.id,
            outcome="ok",
        )


def open_revocation(rooms: OAuthRooms, authentication: ClientAuthentication) -> ClientEndpoint:
    """As the server is wired."""
    act = Revocation(rooms.token_ending, rooms.clock, rooms.new_id)
    return ClientEndpoint(authentication, rooms.certificates, rooms.group, open_refusals(rooms), act)
