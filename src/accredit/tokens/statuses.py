"""Token status lists (draft-ietf-oauth-status-list): one bit a token, which says that it was ended before its time.

A token's place is a row in the commit of its own event, so that the token path has no second commit; nothing is
written when a token ends. A list is made when it is asked for, from its rows and from everything that ends tokens.
"""

import asyncio
import os
import random
import zlib
from array import array

import msgspec

from accredit.canonical import base64url
from accredit.clock import Clock
from accredit.errors import Unavailable
from accredit.keys.keyring import Keyring
from accredit.storage.schema import StatusRow
from accredit.storage.transactions import Transactions
from accredit.tokens.claims import AccessTokenClaims, Status, StatusList
from accredit.tokens.signed import sign_jwt
from accredit.tokens.store import ActorMark, load_ended_places, reserve_list
from accredit.tokens.verify import LEEWAY_SECONDS

PATH = "/oauth/status"
PLACES = 1 << 17
LIST_SECONDS = 3_600.0
TTL_SECONDS = 10
LIFETIME_SECONDS = 60
TYPE = "statuslist+jwt"
_KEPT_SECONDS = 2.0
_CACHE_LIMIT = 64


class _Block:
    """A list of this process, and its places in an order that tells nothing of when a token was issued (§13.2)."""

    def __init__(self, number: int, until: float) -> None:
        self.number = number
        self.until = until
        self.places = array("I", range(PLACES))
        random.Random(os.urandom(32)).shuffle(self.places)  # noqa: S311  # hides an order, and protects nothing


class Statuses:
    """Gives tokens their places. A place is given once; each process has lists of its own."""

    def __init__(self, transactions: Transactions, clock: Clock, issuer: str, longest_seconds: int) -> None:
        self._transactions = transactions
        self._clock = clock
        self._issuer = issuer
        self._longest_seconds = longest_seconds
        self._block: _Block | None = None
        self._next: _Block | None = None

    async def prepare(self) -> None:
        """Have a list at hand, and the next one before this one is full or old. Raises Unavailable."""
        if not self._has_room(self._block):
            self._block, self._next = self._next, None
        if not self._has_room(self._block):
            self._block = await self._reserve()
        if self._next is None and self._is_half_gone(self._block):
            self._next = await self._reserve()

    def give(self, claims: AccessTokenClaims) -> Status:
        """The status claim of a token, whose row is written with the event that was queued in this turn of the loop.

        Raises Unavailable if there is no place: a token without one could not be seen to end.
        """
        if not self._has_room(self._block):
            self._block, self._next = self._next, None
        block = self._block
        if block is None or not self._has_room(block):
            raise Unavailable("there is no room in the status lists", next_step="try again in a second")
        place = block.places.pop()
        marks = [ActorMark(agent, epoch).text for agent, epoch in claims.accredit_actors.items()]
        lineage = msgspec.json.encode([claims.jti, *claims.accredit_lineage, *marks]).decode()
        expires_at = float(claims.exp + LEEWAY_SECONDS)
        row = StatusRow(block.number, place, claims.client_id, claims.accredit_epoch, lineage, expires_at)
        self._transactions.put_status(row)
        return Status(StatusList(place, f"{self._issuer}{PATH}/{block.number}"))

    def _has_room(self, block: _Block | None) -> bool:
        return block is not None and len(block.places) > 0 and self._clock.seconds() < block.until

    def _is_half_gone(self, block: _Block | None) -> bool:
        half_time = self._clock.seconds() + LIST_SECONDS / 2
        return block is None or len(block.places) < PLACES // 2 or half_time >= block.until

    async def _reserve(self) -> _Block:
        until = self._clock.seconds() + LIST_SECONDS
        # The list is known for as long as a token in it can live.
        kept = until + self._longest_seconds + LEEWAY_SECONDS
        number, _ = await self._transactions.change(lambda tx: reserve_list(tx.connection, kept))
        return await asyncio.to_thread(_Block, number, until)


class _List(msgspec.Struct, frozen=True):
    bits: int
    lst: str


class _ListClaims(msgspec.Struct, frozen=True):
    sub: str
    iat: int
    exp: int
    ttl: int
    status_list: _List


class StatusLists:
    """Makes status list tokens (§5.1), one for all who ask within two seconds."""

    def __init__(self, transactions: Transactions, keyring: Keyring, clock: Clock, issuer: str) -> None:
        self._transactions = transactions
        self._keyring = keyring
        self._clock = clock
        self._issuer = issuer
        self._made: dict[int, tuple[float, str]] = {}
        self._lock = asyncio.Lock()

    async def token(self, number: int) -> str | None:
        """The status list token of a list; None if there is no such list. Raises Unavailable."""
        async with self._lock:
            now = self._clock.seconds()
            known = self._made.get(number)
            if known is not None and now - known[0] < _KEPT_SECONDS:
                return known[1]
            ended = await self._transactions.read(lambda c: load_ended_places(c, number, now))
            if ended is None:
                return None
            if len(self._made) >= _CACHE_LIMIT:
                self._made.clear()
            made = await sign_jwt(self._keyring, TYPE, self._claims(number, ended, int(now)))
            self._made[number] = (now, made)
            return made

    def _claims(self, number: int, ended: list[int], now: int) -> _ListClaims:
        bits = bytearray(PLACES // 8)
        for place in ended:
            # §4.1: the lowest bit of a byte is its first place.
            bits[place >> 3] |= 1 << (place & 7)
        listed = _List(bits=1, lst=base64url(zlib.compress(bytes(bits), level=9)))
        uri = f"{self._issuer}{PATH}/{number}"
        return _ListClaims(sub=uri, iat=now, exp=now + LIFETIME_SECONDS, ttl=TTL_SECONDS, status_list=listed)
