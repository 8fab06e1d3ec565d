"""The CRM's own records: contacts and deals in one SQLite file."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

Stage = Literal["lead", "qualified", "proposal", "won", "lost"]

_TABLES = """
CREATE TABLE IF NOT EXISTS contacts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  email TEXT NOT NULL UNIQUE COLLATE NOCASE,
  company TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS deals (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  contact_id INTEGER NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
  title TEXT NOT NULL,
  stage TEXT NOT NULL,
  amount INTEGER NOT NULL
);
"""


class Contact(BaseModel):
    """A person whom the company knows."""

    id: int
    name: str
    email: str
    company: str


class Deal(BaseModel):
    """Something that may be sold; `amount` is in whole euros."""

    id: int
    contact_id: int
    title: str
    stage: Stage
    amount: int


class NotFoundError(LookupError):
    """No record has this id."""


class EmailTakenError(ValueError):
    """Another contact has this email address."""


class Book:
    """Every method opens its own connection, so it may be called from any thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._connect() as connection:
            connection.executescript(_TABLES)

    def is_empty(self) -> bool:
        """Whether there is no contact and no deal yet."""
        with self._connect() as connection:
            row = connection.execute("SELECT NOT EXISTS (SELECT 1 FROM contacts UNION SELECT 1 FROM deals)").fetchone()
        return bool(row[0])

    def add(self, contacts: list[Contact], deals: list[Deal]) -> None:
        """Add records with the ids that they have, all or none."""
        with self._connect() as connection:
            connection.executemany(
                "INSERT INTO contacts (id, name, email, company) VALUES (:id, :name, :email, :company)",
                [contact.model_dump() for contact in contacts],
            )
            connection.executemany(
                "INSERT INTO deals (id, contact_id, title, stage, amount)"
                " VALUES (:id, :contact_id, :title, :stage, :amount)",
                [deal.model_dump() for deal in deals],
            )

    def search_contacts(self, query: str, limit: int) -> list[Contact]:
        """Contacts with `query` in their name, email or company, by name; an empty query finds all."""
        # instr, not LIKE: a query of "%" looks for a percent sign.
        found = (
            "SELECT * FROM contacts WHERE instr(lower(name || char(10) || email || char(10) || company), ?) > 0"
            " ORDER BY name, id LIMIT ?"
        )
        with self._connect() as connection:
            rows = connection.execute(found, (query.lower(), limit)).fetchall()
        return [Contact.model_validate(dict(row)) for row in rows]

    def contact(self, number: int) -> Contact:
        """The contact with this id. Raises NotFoundError."""
        with self._connect() as connection:
            row = connection.execute("SELECT * FROM contacts WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise NotFoundError(f"there is no contact {number}")
        return Contact.model_validate(dict(row))

    def contacts(self) -> list[Contact]:
        """Every contact, by id."""
        with self._connect() as connection:
            rows = connection.execute("SELECT * FROM contacts ORDER BY id").fetchall()
        return [Contact.model_validate(dict(row)) for row in rows]

    def deals(self, stage: Stage | None) -> list[Deal]:
        """The deals in a stage, or all; the largest first."""
        with self._connect() as connection:
            rows = connection.execute(
                "SELECT * FROM deals WHERE ? IS NULL OR stage = ? ORDER BY amount DESC, id", (stage, stage)
            ).fetchall()
        return [Deal.model_validate(dict(row)) for row in rows]

    def create_contact(self, name: str, email: str, company: str) -> Contact:
        """Add a contact. Raises EmailTakenError."""
        try:
            with self._connect() as connection:
                row = connection.execute(
                    "INSERT INTO contacts (name, email, company) VALUES (?, ?, ?) RETURNING *", (name, email, company)
                ).fetchone()
        except sqlite3.IntegrityError as error:
            raise EmailTakenError(f"another contact has the address {email}") from error
        return Contact.model_validate(dict(row))

    def update_deal(self, number: int, stage: Stage, amount: int) -> Deal:
        """Set a deal's stage and amount. Raises NotFoundError."""
        with self._connect() as connection:
            row = connection.execute(
                "UPDATE deals SET stage = ?, amount = ? WHERE id = ? RETURNING *", (stage, amount, number)
            ).fetchone()
        if row is None:
            raise NotFoundError(f"there is no deal {number}")
        return Deal.model_validate(dict(row))

    def delete_contact(self, number: int) -> Contact:
        """Delete a contact and its deals. Raises NotFoundError."""
        with self._connect() as connection:
            row = connection.execute("DELETE FROM contacts WHERE id = ? RETURNING *", (number,)).fetchone()
        if row is None:
            raise NotFoundError(f"there is no contact {number}")
        return Contact.model_validate(dict(row))

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._file, timeout=5)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys=ON")
            with connection:
                yield connection
        finally:
            connection.close()
