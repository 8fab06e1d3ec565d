"""One file a method of client authentication; `CLIENT_AUTHS` makes one of each."""

from collections.abc import Callable

from accredit.agents.registry import Agents
from accredit.clock import Clock
from accredit.oauth.client_auth import ClientAuth
from accredit.oauth.client_auths.client_secret import ClientSecret
from accredit.oauth.client_auths.private_key_jwt import PrivateKeyJwt

CLIENT_AUTHS: tuple[Callable[[Agents, Callable[[str], bytes], Clock, str], ClientAuth], ...] = (
    lambda agents, hash_secret, _clock, _issuer: ClientSecret(agents, hash_secret),
    lambda agents, _hash_secret, clock, issuer: PrivateKeyJwt(agents, clock, issuer),
)
