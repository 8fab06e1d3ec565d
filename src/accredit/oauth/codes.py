"""What travels through the browser sealed: an authorization request on its way to the person, and a code back.

Nothing of them is stored. A request can be read back for ten minutes, and answered once; a code lives for a minute,
and that it was used is a row in the commit of its event.
"""

import hashlib

import msgspec

from accredit.canonical import base64url, from_base64url
from accredit.clock import Clock
from accredit.errors import InputRefused, Unavailable
from accredit.keys.seal import Sealer
from accredit.oauth.rooms import OAuthRooms
from accredit.sensitive import Sensitive
from accredit.storage.writer import Once
from accredit.tokens.refresh import RefreshFamily

CODE_PREFIX = "aac_"
CODE_SECONDS = 60
REQUEST_SECONDS = 600
_CODE = "authorization_code"
_REQUEST = "authorization_request"
_LIMIT = 65_536


class SealedRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request that passed every check, as the client sent it: it passes them again when it is answered.

    `id` names it, so that it is answered once; `made_at` is in seconds since 1970.
    """

    id: str
    made_at: float
    parameters: dict[str, str]
    is_pushed: bool = False

    def once(self) -> Once:
        """What is spent when the request is answered."""
        key = hashlib.sha256(f"authorization request\0{self.id}".encode()).digest()
        # A minute longer than the request itself: clocks of two processes differ.
        return Once(key, self.made_at + REQUEST_SECONDS + CODE_SECONDS)


class AuthorizationCode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a code stands for (RFC 6749 §4.1.2).

    `family` is the chain that it begins: who acts for whom, where, and with which scopes. `owns_delegation`: the
    delegation was made for this code, and ends with it if the code is used twice.
    """

    id: str
    family: RefreshFamily
    redirect_uri: str
    code_challenge: str
    expires_at: float
    dpop_jkt: str = ""
    owns_delegation: bool = False

    def once(self) -> Once:
        """What is spent when the code is used."""
        key = hashlib.sha256(f"authorization code\0{self.id}".encode()).digest()
        # A minute longer than the code itself: clocks of two processes differ.
        return Once(key, self.expires_at + CODE_SECONDS)


class Seals:
    """Seals both, each in its own context: one is never taken for the other."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        self._sealer = sealer
        self._clock = clock

    def seal_request(self, request: SealedRequest) -> str:
        """The text that the browser carries."""
        return base64url(self._sealer.seal(msgspec.json.encode(request), _REQUEST))

    def open_request(self, unverified: str) -> SealedRequest | None:
        """The request, if it is ours, unchanged, and less than ten minutes old."""
        plain = self._open(unverified, _REQUEST)
        if plain is None:
            return None
        request = msgspec.json.decode(plain, type=SealedRequest)
        return request if self._clock.seconds() < request.made_at + REQUEST_SECONDS else None

    def seal_code(self, code: AuthorizationCode) -> Sensitive:
        """The text of a code."""
        return Sensitive(CODE_PREFIX + base64url(self._sealer.seal(msgspec.json.encode(code), _CODE)))

    def open_code(self, unverified: str) -> AuthorizationCode | None:
        """The code, if it is ours, unchanged, and less than a minute old; it may have been used."""
        if not unverified.startswith(CODE_PREFIX):
            return None
        plain = self._open(unverified.removeprefix(CODE_PREFIX), _CODE)
        if plain is None:
            return None
        code = msgspec.json.decode(plain, type=AuthorizationCode)
        return code if self._clock.seconds() < code.expires_at else None

    def _open(self, unverified: str, context: str) -> bytes | None:
        if len(unverified) > _LIMIT:
            return None
        try:
            return self._sealer.open(from_base64url(unverified), context)
        except (InputRefused, Unavailable):
            return None


def open_seals(rooms: OAuthRooms) -> Seals:
    """As the server is wired."""
    return Seals(Sealer(rooms.keyring.authorization), rooms.clock)
