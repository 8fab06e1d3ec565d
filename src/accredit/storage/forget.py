"""What is kept only for a while: `jti` values that would be refused for their age, changes that everyone has seen."""

from sqlalchemy import delete, select

from accredit.clock import Clock
from accredit.storage import schema
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

CHANGES_KEPT_SECONDS = 3_600.0


async def forget(transactions: Transactions, clock: Clock) -> None:
    """Delete what has expired; nothing to delete, nothing written. Raises Unavailable."""
    now = clock.seconds()
    used, changes = schema.used_once, schema.changes
    expired = select(used.c.key).where(used.c.expires_at < now).limit(1)
    old = select(changes.c.number).where(changes.c.time < now - CHANGES_KEPT_SECONDS).limit(1)
    if not await transactions.read(lambda c: c.execute(expired).first() or c.execute(old).first()):
        return

    def write(tx: Tx) -> None:
        tx.connection.execute(delete(used).where(used.c.expires_at < now))
        # A process that was away for so long has refused for want of news, and loads everything at its start.
        tx.connection.execute(delete(changes).where(changes.c.time < now - CHANGES_KEPT_SECONDS))

    await transactions.change(write)
