"""A person as a principal: their rights bound what an agent may do for them."""

from accredit.agents.model import Agent, AgentStatus
from accredit.ids import AgentId
from accredit.people.model import Person
from accredit.systems.model import System

PERSON_TYPE = "person"
"""The type of a principal that is a person; agents cannot have it."""
_HIGHEST_LEVEL = 4


def as_principal(person: Person, system: System) -> Agent:
    """The principal that policies see for a person before a system. It is asked about, and never acts."""
    return Agent(
        id=AgentId(person.id),
        name=person.email,
        owner=person.id,
        owner_email=person.email,
        type=PERSON_TYPE,
        roles=person.roles,
        systems=(system.name,),
        capability_level=_HIGHEST_LEVEL,
        status=AgentStatus.ACTIVE,
        epoch=0,
        # Of the roles: what is remembered of the person ends when they change.
        version=hash(person.roles),
        created_at=person.created_at,
        credentials=(),
    )
