"""One file a grant; `GRANTS` makes one of each."""

from collections.abc import Callable

from accredit.oauth.codes import open_seals
from accredit.oauth.families import open_families
from accredit.oauth.grant import Grant
from accredit.oauth.grants.authorization_code import AuthorizationCodeGrant
from accredit.oauth.grants.ciba import Ciba
from accredit.oauth.grants.client_credentials import ClientCredentials
from accredit.oauth.grants.device_code import DeviceCode
from accredit.oauth.grants.jwt_bearer import JwtBearer
from accredit.oauth.grants.refresh_token import RefreshTokenGrant
from accredit.oauth.grants.token_exchange import TokenExchange
from accredit.oauth.id_jag import open_id_jag
from accredit.oauth.on_behalf import open_on_behalf
from accredit.oauth.pending_turn import open_pending_turns
from accredit.oauth.rooms import OAuthRooms

GRANTS: tuple[Callable[[OAuthRooms], Grant], ...] = (
    lambda rooms: AuthorizationCodeGrant(open_seals(rooms), open_families(rooms), open_on_behalf(rooms)),
    lambda rooms: RefreshTokenGrant(rooms.refresh_tokens, open_families(rooms), open_on_behalf(rooms), rooms.clock),
    lambda rooms: ClientCredentials(rooms.policy, rooms.issuance, rooms.resources),
    lambda rooms: TokenExchange(rooms, open_id_jag(rooms)),
    JwtBearer,
    lambda rooms: DeviceCode(open_pending_turns(rooms)),
    lambda rooms: Ciba(open_pending_turns(rooms)),
)


def make_grants(rooms: OAuthRooms) -> dict[str, Grant]:
    """Every grant by its type."""
    return {grant.grant_type: grant for grant in (make(rooms) for make in GRANTS)}
