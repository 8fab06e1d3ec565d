"""What the pages read, as they need it: the rooms below give it, and so can a test."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from accredit.agents.model import Agent
from accredit.audit.reading import EventProof, LoggedEvent, RemovedEvent
from accredit.delegations.consent import Answered, Asked, Choice, SignInFirst, Waiting
from accredit.delegations.model import Delegation
from accredit.ids import AgentId, PersonId
from accredit.people.model import Person, Session, WaysIn
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

    async def list(self, after: str, limit: int) -> Sequence[Person]:
        """People by address, those after `after`."""

    async def ways_in(self, people: Sequence[Person]) -> dict[PersonId, WaysIn]:
        """How each of these people can sign in, beside a one-time link."""


class Consents(Protocol):
    """Authorization requests that wait for a person; each is named by the sealed text that the browser brings.

    Each method raises InputRefused for a text that is not ours or too old, and Unavailable.
    """

    async def begin(self, sealed: str, session: Session | None) -> Asked | SignInFirst | Answered:
        """What to ask, or what has to happen first. Without a session nobody is signed in.

        Nothing is given here but what the person wanted to be remembered.
        """

    async def approve(self, sealed: str, session: Session, choice: Choice) -> SignInFirst | Answered:
        """Let the agent act. Raises Conflict if the request was answered before."""

    async def refuse(self, sealed: str, session: Session) -> Answered:
        """Say no. Raises Conflict if the request was answered before."""


class PendingConsents(Protocol):
    """Requests that came from elsewhere: a device's, and those that an agent makes to a person.

    Each method raises Unavailable. Nobody can name a reference who was not given it: by a code, or as the one asked.
    """

    async def of_user_code(self, user_code: str) -> str | None:
        """The reference of the device request that waits under a code; None if none does."""

    async def waiting(self, session: Session) -> Sequence[Waiting]:
        """What agents ask of this person now, the newest first."""

    async def count(self, session: Session) -> int:
        """How much that is."""

    async def show(self, reference: str, session: Session) -> tuple[Waiting, Asked]:
        """What a person is asked. Raises NotFound if it is not theirs to answer, or was answered, or is too old."""

    async def approve(self, reference: str, session: Session, choice: Choice) -> None:
        """Let the agent act. Raises NotFound, Conflict, and InputRefused for a choice that was not offered."""

    async def refuse(self, reference: str, session: Session) -> None:
        """Say no. Raises NotFound, Conflict."""


class Departures(Protocol):
    """Where a client wants somebody to go who signs out (OpenID Connect RP-Initiated Logout)."""

    def destination(self, sealed: str) -> str | None:
        """The address in a sealed text; None if it is not ours, or too old."""


class Delegated(Protocol):
    """What people have delegated."""

    async def of_person(self, person: PersonId) -> Sequence[Delegation]:
        """What a person has delegated and what holds now, the newest first."""

    async def of_agent(self, agent: AgentId, limit: int) -> Sequence[Delegation]:
        """What was delegated to an agent and what holds now, the newest first."""

    async def count(self, people: Collection[PersonId]) -> dict[PersonId, int]:
        """How many delegations of these people hold now; one who has none is left out."""

    async def end(self, person: PersonId, delegation_id: str, session: Session) -> None:
        """End one's own, and all that came of it. Raises NotFound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleData:
    """All that the pages read."""

    agents: Agents
    systems: Systems
    people: Directory
    log: Log
    delegations: Delegated
    consents: Consents
    pending: PendingConsents
    departures: Departures
