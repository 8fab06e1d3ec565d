"""The messages that the authorization server sends by itself, by kind: who delivers each."""

from collections.abc import Mapping

from accredit.oauth.backchannel_authentication import PING, Pings
from accredit.oauth.backchannel_logout import KIND, BackchannelLogout
from accredit.oauth.rooms import OAuthRooms
from accredit.storage.outbox import Deliver


def message_handlers(rooms: OAuthRooms) -> Mapping[str, Deliver]:
    """Handlers for `storage.outbox`."""
    return {
        KIND: BackchannelLogout(rooms.agents, rooms.id_tokens, rooms.guarded).deliver,
        PING: Pings(rooms.outbox, rooms.guarded).deliver,
    }
