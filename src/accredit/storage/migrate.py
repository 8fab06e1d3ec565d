"""Bring the tables to the form that the code knows, with Alembic, and refuse a database newer than the code."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from accredit.errors import Conflict
from accredit.storage.db import Database


def migrate(database: Database) -> None:
    """Apply every revision that is missing, in one transaction.

    Raises Conflict if the database was written by newer code.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    with database.writing.begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        known = {script.revision for script in scripts.walk_revisions()}
        if current is not None and current not in known:
            raise Conflict(
                f"the database has revision {current}, which this version does not know",
                next_step="run the version of accredit that wrote it, or a newer one",
            )
        if current != scripts.get_current_head():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
