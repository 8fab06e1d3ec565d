"""Requests that wait for the browser: pushed by the client (RFC 9126), or too long to be carried in a URL.

A row is found by the hash of a random reference, of one purpose: a copy of the database answers nothing.
"""

import hashlib
import secrets
from collections.abc import Mapping

import msgspec

from accredit.canonical import base64url
from accredit.clock import Clock
from accredit.errors import Unavailable
from accredit.oauth.client_documents import is_client_url
from accredit.oauth.store import PendingRow, count_pending, insert_pending, load_pending, take_pending
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Once, Tx

PREFIX = "urn:ietf:params:oauth:request_uri:"
PUSHED_SECONDS = 90
CARRIED_PREFIX = "ref_"
_REFERENCE_BYTES = 32
_PUSHED = "par"
_CARRIED = "carried"
# How many requests of one client wait at once; fewer of one that nobody here has registered.
_AT_ONCE = 1_000
_AT_ONCE_OF_STRANGERS = 100


class TooManyWait(Unavailable):
    """So many requests of this client wait that another is not kept."""


class PushedRequests:
    """Keeps each for a while: 90 seconds, or as long as a request may be answered."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def push(self, client_id: str, parameters: Mapping[str, str], once: tuple[Once, ...]) -> str:
        """Keep a request; returns its `request_uri`. `once` is used up with it. Raises UsedBefore, Unavailable."""
        text = msgspec.json.encode(dict(parameters)).decode()
        return PREFIX + await self._keep(_PUSHED, client_id, text, PUSHED_SECONDS, once)

    async def take(self, request_uri: str, client_id: str) -> Mapping[str, str] | None:
        """The parameters of a `request_uri`, once; None if it is unknown, used, too old, or another client's."""
        if not request_uri.startswith(PREFIX):
            return None
        key, now = _key(_PUSHED, request_uri.removeprefix(PREFIX)), self._clock.seconds()
        # Another client's is left: it must not be used up by who only saw it.
        taken, _ = await self._transactions.change(lambda tx: take_pending(tx.connection, key, _PUSHED, client_id, now))
        return None if taken is None else msgspec.json.decode(taken, type=dict[str, str])

    async def carry(self, client_id: str, sealed: str, seconds: int) -> str:
        """Keep a sealed request that no URL could carry; returns what the browser carries instead."""
        return CARRIED_PREFIX + await self._keep(_CARRIED, client_id, sealed, seconds, ())

    async def carried(self, reference: str) -> str | None:
        """The sealed request of a reference; None if it is unknown or too old. A page may be loaded again."""
        key = _key(_CARRIED, reference.removeprefix(CARRIED_PREFIX))
        row = await self._transactions.read(lambda c: load_pending(c, key))
        return None if row is None or row.kind != _CARRIED or self._clock.seconds() >= row.expires_at else row.request

    async def _keep(self, kind: str, client_id: str, text: str, seconds: int, once: tuple[Once, ...]) -> str:
        reference = base64url(secrets.token_bytes(_REFERENCE_BYTES))
        now = self._clock.seconds()
        row = PendingRow(
            key=_key(kind, reference),
            kind=kind,
            agent=client_id,
            person=None,
            user_code=None,
            request=text,
            status="pending",
            answer=None,
            created_at=now,
            expires_at=now + seconds,
        )
        most = _AT_ONCE_OF_STRANGERS if is_client_url(client_id) else _AT_ONCE

        def write(tx: Tx) -> None:
            for one in once:
                tx.use(one)
            # Whoever has no secret to prove, as a public client, must not fill the table.
            if count_pending(tx.connection, kind, client_id, now) >= most:
                raise TooManyWait("too many requests of this client wait", next_step="try again in a minute")
            insert_pending(tx.connection, row)

        await self._transactions.change(write)
        return reference


def _key(kind: str, reference: str) -> bytes:
    return hashlib.sha256(f"{kind}\0{reference}".encode()).digest()
