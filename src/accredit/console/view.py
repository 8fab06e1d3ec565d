"""What the pages read, as they need it: the rooms below give it, and so can a test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from accredit.agents.model import Agent
from accredit.audit.reading import EventProof, LoggedEvent, RemovedEvent
from accredit.ids import PersonId
from accredit.people.model import Person
from accredit.systems.model import System

Entry = LoggedEvent | RemovedEvent
"""A place in the log: an event, or what is left of one whose text was removed."""


class Log(Protocol):
    """The log, read. Each method raises Unavailable if the database does not answer."""

    async def latest(self, limit: int) -> Sequence[Entry]:
        """The newest events, newest first, at most 1,000."""

    async def before(self, seq: int, limit: int) -> Sequence[Entry]:
        """The events below `seq`, newest first."""

    async def after(self, seq: int, limit: int) -> Sequence[Entry]:
        """The events above `seq`, oldest first."""

    async def event(self, seq: int) -> Entry:
        """One event. Raises NotFound."""

    async def event_by_id(self, event_id: str) -> Entry:
        """The event with this id. Raises NotFound."""

    async def outcome(self, decision: LoggedEvent) -> LoggedEvent | None:
        """The event that tells how a decision ended, if it follows closely."""

    async def prove(self, seq: int) -> EventProof:
        """The event's proof, against a checkpoint that covers it. Raises NotFound."""

    async def checkpoint(self) -> str:
        """The newest checkpoint, a signed note. Raises NotFound if there is none yet."""

    def keys(self) -> str:
        """The log's verifier keys, one a line."""


class Agents(Protocol):
    """The register of agents."""

    async def list(self, after: str, limit: int) -> Sequence[Agent]:
        """Agents by name, those after `after`."""

    async def get(self, agent_id: str) -> Agent | None:
        """One agent as it is now."""


class Systems(Protocol):
    """The register of systems."""

    def all(self) -> tuple[System, ...]:
        """Every system, by name."""

    def get(self, name: str) -> System | None:
        """The system of this name."""


class Directory(Protocol):
    """The directory of people."""

    async def get(self, person: PersonId) -> Person | None:
        """The person of this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleData:
    """All that the pages read."""

    agents: Agents
    systems: Systems
    people: Directory
    log: Log
