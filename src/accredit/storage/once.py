"""Whether a value that may be used once was used: for those that only ask. Using it is `writer`'s."""

from sqlalchemy import Connection, select

from accredit.storage.schema import used_once
from accredit.storage.writer import Once


def is_used(connection: Connection, once: Once) -> bool:
    """Whether it was used before."""
    return connection.execute(select(used_once.c.key).where(used_once.c.key == once.key)).first() is not None
