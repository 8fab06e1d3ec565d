"""What was ended before its time: tokens, refresh families, delegations.

Everything that is derived from one of them carries its id in its lineage, so ending a thing and all that came of it
is one row. Every process holds the live rows in memory, kept current by the change feed.
"""

from collections.abc import Iterable

from accredit.agents.store import (
    delete_expired_revocations,
    has_expired_revocations,
    insert_revocation,
    load_revocations,
)
from accredit.clock import Clock
from accredit.storage.feed import Feed
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

CHANGE = "revocation"
# A token is taken a little longer than it says, and clocks of two processes differ: what ended it outlives both.
KEPT_SECONDS = 60.0


class Revocations:
    """The ids that are ended. Used on the event loop only."""

    def __init__(self, transactions: Transactions, feed: Feed, clock: Clock) -> None:
        self._transactions = transactions
        self._feed = feed
        self._clock = clock
        self._ended: dict[str, float] = {}
        feed.subscribe(CHANGE, self._hear)

    async def load(self) -> None:
        """Read every live row; call it after the feed has started. Raises Unavailable."""
        now = self._clock.seconds()
        self._ended.update(await self._transactions.read(lambda c: load_revocations(c, now)))

    def end(self, tx: Tx, thing: str, expires_at: float) -> None:
        """End a thing in the caller's transaction; `expires_at` is when the last of it would have expired anyway."""
        until = expires_at + KEPT_SECONDS
        insert_revocation(tx.connection, thing, until)
        # The subject carries the time: a process hears of it without asking the database.
        tx.changed(CHANGE, f"{thing} {until:.0f}")

    async def is_ended(self, things: Iterable[str]) -> bool:
        """Whether any of these was ended. Raises Unavailable if that cannot be known (fail closed)."""
        if not self._feed.is_stale():
            return not self._ended.keys().isdisjoint(things)
        now = self._clock.seconds()
        return not (await self._transactions.read(lambda c: load_revocations(c, now))).keys().isdisjoint(things)

    def is_known_ended(self, things: Iterable[str]) -> bool:
        """The same from memory alone, for what was checked against the database a moment ago."""
        return not self._ended.keys().isdisjoint(things)

    async def forget(self) -> None:
        """Drop what has expired. Raises Unavailable."""
        now = self._clock.seconds()
        for thing in [thing for thing, expires_at in self._ended.items() if expires_at < now]:
            del self._ended[thing]
        if await self._transactions.read(lambda c: has_expired_revocations(c, now)):
            await self._transactions.change(lambda tx: delete_expired_revocations(tx.connection, now))

    def _hear(self, subject: str) -> None:
        thing, _, expires_at = subject.rpartition(" ")
        self._ended[thing] = float(expires_at)
