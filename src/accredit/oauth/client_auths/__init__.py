"""One file a method of client authentication; `CLIENT_AUTHS` makes one of each."""

from collections.abc import Callable

from accredit.oauth.client_auth import ClientAuth, ClientAuthentication
from accredit.oauth.client_auths.client_secret import ClientSecret
from accredit.oauth.client_auths.federated import Federated
from accredit.oauth.client_auths.none import PublicClient
from accredit.oauth.client_auths.private_key_jwt import PrivateKeyJwt
from accredit.oauth.client_auths.tls_client import TlsClient
from accredit.oauth.client_keys import ClientKeys, ClientKeySets
from accredit.oauth.rooms import OAuthRooms

CLIENT_AUTHS: tuple[Callable[[OAuthRooms], ClientAuth], ...] = (
    lambda rooms: ClientSecret(rooms.agents, rooms.hash_secret),
    lambda rooms: PrivateKeyJwt(
        rooms.agents,
        ClientKeys(rooms.client_documents, ClientKeySets(rooms.guarded, rooms.clock)),
        rooms.clock,
        rooms.issuer,
    ),
    lambda rooms: TlsClient(
        rooms.agents,
        rooms.clock,
        rooms.settings.client_certificate_header,
        rooms.settings.client_certificate_authorities,
    ),
    lambda rooms: PublicClient(rooms.agents),
    lambda rooms: Federated(rooms.trust.assertions),
)


def make_client_authentication(rooms: OAuthRooms) -> ClientAuthentication:
    """Every method, of which a request uses one."""
    return ClientAuthentication(tuple(make(rooms) for make in CLIENT_AUTHS))
