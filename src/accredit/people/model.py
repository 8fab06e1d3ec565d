"""People: those who own agents, and those who run the installation."""

from dataclasses import dataclass

from accredit.ids import PersonId, SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone with an address. `roles` are of the fixed table of management: `administrator` or none."""

    id: PersonId
    email: str
    name: str
    roles: tuple[str, ...]
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A person signed in to the console. Times are seconds since 1970."""

    id: SessionId
    person: Person
    created_at: float
    expires_at: float
