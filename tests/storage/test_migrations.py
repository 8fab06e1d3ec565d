"""Every form of the tables that a version wrote is brought to the present one, with what it holds."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

import accredit.storage.migrate as module
from accredit.agents.store import load_agent
from accredit.errors import Conflict
from accredit.storage.db import Database
from accredit.storage.migrate import migrate
from accredit.storage.schema import metadata


def of_revision(folder: Path, revision: str) -> Database:
    database = Database(f"sqlite:///{folder / 'accredit.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))
    with database.writing.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return database


def test_a_new_database_is_just_what_the_schema_says(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'accredit.db'}")

    migrate(database)

    with database.writing.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_what_the_first_version_wrote_is_still_there(tmp_path: Path) -> None:
    database = of_revision(tmp_path, "0001")
    with database.writing.begin() as connection:
        connection.exec_driver_sql("INSERT INTO people VALUES ('per_1', 'ana@example.com', 'Ana', '[]', 1.0)")
        connection.exec_driver_sql(
            "INSERT INTO agents VALUES "
            "('agt_1', 'reader', 'per_1', 'service', '[]', '[\"crm\"]', 2, 'active', 3, 4, 1.0)"
        )
        connection.exec_driver_sql(
            "INSERT INTO credentials VALUES ('crd_1', 'agt_1', 'client_secret', x'00', NULL, 1.0, NULL)"
        )

    migrate(database)

    agent = database.read_now(lambda c: load_agent(c, "agt_1"))
    assert agent is not None
    assert (agent.name, agent.systems, agent.epoch, agent.max_session_seconds) == ("reader", ("crm",), 3, 28_800)
    assert [one.id for one in agent.credentials] == ["crd_1"]
    with database.writing.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    database = of_revision(tmp_path, "head")
    with database.writing.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(Conflict, match="9999"):
        migrate(database)
    database.close()
