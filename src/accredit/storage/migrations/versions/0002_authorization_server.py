"""People sign on and delegate; tokens have families and ends; agents are OAuth clients."""

import sqlalchemy as sa
from alembic import op

from accredit.storage.schema import metadata

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    connection = op.get_bind()
    metadata.create_all(connection)
    inspector = sa.inspect(connection)
    for table in metadata.sorted_tables:
        present = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                copy = sa.Column(
                    column.name, column.type, nullable=column.nullable, server_default=column.server_default
                )
                op.add_column(table.name, copy)
        indexes = {index["name"] for index in inspector.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in indexes:
                index.create(connection, checkfirst=True)
