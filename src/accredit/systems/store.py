"""The rows of systems and of their tools."""

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from accredit.storage.schema import systems, tools
from accredit.storage.writer import Tx
from accredit.systems.model import System, Tool


def load_systems(connection: Connection) -> list[System]:
    """Every system, by name."""
    rows = connection.execute(select(systems.c.definition).order_by(systems.c.name))
    return [msgspec.json.decode(row.definition, type=System) for row in rows]


def load_register(connection: Connection) -> tuple[dict[str, System], dict[str, dict[str, Tool]]]:
    """Every system by name, and every system's tools, of one moment."""
    return {system.name: system for system in load_systems(connection)}, load_tools(connection)


def has_system(connection: Connection, name: str) -> bool:
    """Whether there is a system of this name."""
    return connection.execute(select(systems.c.id).where(systems.c.name == name)).first() is not None


def load_manifest(connection: Connection, name: str) -> str | None:
    """The manifest as it was given."""
    return connection.execute(select(systems.c.manifest).where(systems.c.name == name)).scalar_one_or_none()


def load_tools(connection: Connection) -> dict[str, dict[str, Tool]]:
    """Every learned tool: system → name → tool."""
    found: dict[str, dict[str, Tool]] = {}
    for row in connection.execute(select(tools.c.system, tools.c.name, tools.c.input_schema).order_by(tools.c.name)):
        found.setdefault(row.system, {})[row.name] = Tool(name=row.name, input_schema=row.input_schema)
    return found


def insert_system(tx: Tx, system: System, manifest: str, now: float) -> None:
    """Add a system."""
    values = {
        "id": system.id,
        "name": system.name,
        "manifest": manifest,
        "definition": msgspec.json.encode(system).decode(),
        "version": system.version,
        "created_at": now,
    }
    tx.connection.execute(insert(systems), values)


def update_system(tx: Tx, system: System, manifest: str) -> None:
    """Replace a system's manifest."""
    values = {"manifest": manifest, "definition": msgspec.json.encode(system).decode(), "version": system.version}
    tx.connection.execute(update(systems).where(systems.c.id == system.id).values(values))


def replace_tools(tx: Tx, system: str, learned: list[Tool], now: float) -> None:
    """Put what was learned in the place of what was known."""
    tx.connection.execute(delete(tools).where(tools.c.system == system))
    if learned:
        values = [
            {"system": system, "name": tool.name, "input_schema": tool.input_schema, "learned_at": now}
            for tool in learned
        ]
        tx.connection.execute(insert(tools), values)
