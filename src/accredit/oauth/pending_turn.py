"""A request that a person approved on another device, changed into tokens, once."""

import msgspec

from accredit.oauth.errors import InvalidGrant
from accredit.oauth.families import Families, open_families
from accredit.oauth.grant import Granted, TokenRequest
from accredit.oauth.on_behalf import OnBehalf, Turn, open_on_behalf
from accredit.oauth.pending import Kind, PendingAuthorizations, once_of
from accredit.oauth.rooms import OAuthRooms
from accredit.storage.writer import Once


class PendingTurns:
    """What the device grant and the CIBA grant share."""

    def __init__(self, pending: PendingAuthorizations, families: Families, on_behalf: OnBehalf) -> None:
        self._pending = pending
        self._families = families
        self._on_behalf = on_behalf

    async def take(self, kind: Kind, code: str, request: TokenRequest) -> Granted:
        """The tokens of an approved request. Raises as `PendingAuthorizations.poll` and `OnBehalf.issue`."""
        one = await self._pending.poll(kind, code, request.client.agent.id)
        if one.family is None:
            raise InvalidGrant("the request holds no answer", next_step="begin anew")
        family = one.family
        if request.client.is_public:
            # RFC 9449 §5: the refresh tokens of who has no secret are bound to the key instead.
            family = msgspec.structs.replace(family, confirmation=request.confirmation)

        async def on_reuse(_once: Once) -> None:
            await self._families.end(family, request.client.agent, "a code was used twice", with_delegation=True)

        scope = " ".join(family.scopes)
        turn = Turn(family=family, scope=scope, once=once_of(one), on_reuse=on_reuse, is_first=True)
        return await self._on_behalf.issue(request, turn)


def open_pending_turns(rooms: OAuthRooms) -> PendingTurns:
    """As the server is wired."""
    return PendingTurns(rooms.pending, open_families(rooms), open_on_behalf(rooms))
