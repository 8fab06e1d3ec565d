"""What the pages read, as they need it: the rooms below give it, and so can a test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from accredit.agents.model import Agent
from accredit.audit.event import AuditEvent
from accredit.ids import PersonId
from accredit.people.model import Person
from accredit.systems.model import System


class LoggedEvent(Protocol):
    """An event as it stands in the log; its body and nonce may have gone, the number stays."""

    @property
    def seq(self) -> int: ...
    @property
    def event(self) -> AuditEvent | None: ...
    @property
    def nonce(self) -> bytes | None: ...
    @property
    def body(self) -> bytes | None: ...


class Proof(Protocol):
    """What shows that an event is in the log."""

    @property
    def proof(self) -> str: ...


class Log(Protocol):
    """The log, read. Each method raises Unavailable if the database does not answer."""

    async def latest(self, limit: int) -> Sequence[LoggedEvent]:
        """The newest events, newest first."""

    async def before(self, seq: int, limit: int) -> Sequence[LoggedEvent]:
        """The events below `seq`, newest first."""

    async def after(self, seq: int, limit: int) -> Sequence[LoggedEvent]:
        """The events above `seq`, oldest first."""

    async def event(self, seq: int) -> LoggedEvent | None:
        """One event."""

    async def prove(self, seq: int) -> Proof:
        """The event's proof. Raises Unavailable while no checkpoint covers it, NotFound, and Conflict if its body went."""

    async def checkpoint(self) -> str:
        """The newest checkpoint, a signed note (c2sp.org/tlog-checkpoint)."""

    def vkeys(self) -> Sequence[str]:
        """The verifier keys of the log, the Ed25519 one first (c2sp.org/signed-note)."""


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
