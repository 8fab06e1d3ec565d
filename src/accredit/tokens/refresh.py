"""Refresh tokens: sealed texts, stored nowhere. Each is used once, and gives the next of its family (RFC 9700 §4.14.2).

That a generation was used is a row in the commit of its event; a second use ends the family, and with it everything
that came of it.
"""

import hashlib

import msgspec

from accredit.canonical import base64url, from_base64url
from accredit.delegations.model import ActionDetails
from accredit.errors import InputRefused, Unavailable
from accredit.ids import AgentId, DelegationId, FamilyId, PersonId, SessionId
from accredit.keys.seal import Sealer
from accredit.sensitive import Sensitive
from accredit.storage.writer import Once
from accredit.tokens.model import Confirmation

PREFIX = "art_"
_CONTEXT = "refresh_token"
_LIMIT = 8_192


class RefreshFamily(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a chain of refresh tokens may be changed into, and its place in the chain: `generation` counts from 0.

    `scopes` and `details` are what was granted at first: a refresh can ask for less, and for all of it again the next
    time (RFC 6749 §6). `confirmation` binds the chain to the key of a public client (RFC 9449 §5). `expires_at`
    (seconds since 1970) does not move.
    """

    id: FamilyId
    generation: int
    agent: AgentId
    epoch: int
    person: PersonId
    delegation: DelegationId
    audience: str
    scopes: tuple[str, ...]
    expires_at: float
    details: tuple[ActionDetails, ...] = ()
    confirmation: Confirmation | None = None
    session: SessionId | None = None
    nonce: str = ""
    acr: str = ""
    amr: tuple[str, ...] = ()
    auth_time: float = 0.0

    def next(self) -> "RefreshFamily":
        """The next generation."""
        return msgspec.structs.replace(self, generation=self.generation + 1)

    def once(self) -> Once:
        """What is spent when this generation is used."""
        key = hashlib.sha256(f"refresh\0{self.id}\0{self.generation}".encode()).digest()
        # A minute longer than the token itself: clocks of two processes differ.
        return Once(key, self.expires_at + 60)


class RefreshTokens:
    """Seals and opens refresh tokens."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, family: RefreshFamily) -> Sensitive:
        """The text of a family's token of this generation."""
        return Sensitive(PREFIX + base64url(self._sealer.seal(msgspec.json.encode(family), _CONTEXT)))

    def open(self, unverified: str) -> RefreshFamily | None:
        """What a text holds if it is ours; it may be used, expired or ended: the caller checks that."""
        if not unverified.startswith(PREFIX) or len(unverified) > _LIMIT:
            return None
        try:
            plain = self._sealer.open(from_base64url(unverified.removeprefix(PREFIX)), _CONTEXT)
            return msgspec.json.decode(plain, type=RefreshFamily)
        except (InputRefused, Unavailable, msgspec.MsgspecError):
            return None
