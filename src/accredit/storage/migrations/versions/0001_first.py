"""The first form of every table."""

from alembic import op

from accredit.storage.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table and the one row of `head`."""
    connection = op.get_bind()
    metadata.create_all(connection)
    connection.exec_driver_sql("INSERT INTO head (id, next_event, next_change) VALUES (1, 0, 1)")
