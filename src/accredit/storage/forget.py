"""What is kept only for a while: `jti` values that would be refused for their age, expired tokens, old changes."""

from sqlalchemy import delete, select

from accredit.clock import Clock
from accredit.storage import schema
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

CHANGES_KEPT_SECONDS = 3_600.0


async def forget(transactions: Transactions, clock: Clock) -> None:
    """Delete what has expired; nothing to delete, nothing written. Raises Unavailable."""
    now = clock.seconds()
    used, changes, statuses = schema.used_once, schema.changes, schema.token_statuses
    told = schema.session_clients
    # A session that ended by itself: its clients are not told (Back-Channel Logout §2.5 is of those who sign out).
    is_over = told.c.session.not_in(select(schema.sessions.c.id).where(schema.sessions.c.expires_at > now))
    expired = select(used.c.key).where(used.c.expires_at < now).limit(1)
    old = select(changes.c.number).where(changes.c.time < now - CHANGES_KEPT_SECONDS).limit(1)
    past = select(statuses.c.list).where(statuses.c.expires_at < now).limit(1)
    over = select(told.c.session).where(is_over).limit(1)
    if not await transactions.read(lambda c: any(c.execute(query).first() for query in (expired, old, past, over))):
        return

    def write(tx: Tx) -> None:
        tx.connection.execute(delete(used).where(used.c.expires_at < now))
        tx.connection.execute(delete(statuses).where(statuses.c.expires_at < now))
        tx.connection.execute(delete(told).where(is_over))
        # A process that was away for so long has refused for want of news, and loads everything at its start.
        tx.connection.execute(delete(changes).where(changes.c.time < now - CHANGES_KEPT_SECONDS))

    await transactions.change(write)
