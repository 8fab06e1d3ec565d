"""What people gave and have, put there for a test."""

from accredit.agents.new_agent import NewAgent
from accredit.delegations.model import Delegation
from accredit.ids import DelegationId, PersonId
from accredit.people.model import Passkey, Person
from accredit.people.store import insert_identity, insert_passkey, update_from_provider
from tests.rooms import ADMINISTRATOR, Rooms

ISSUER = "https://sso.example.com/realms/a b"


async def a_person(rooms: Rooms, email: str, *, roles: tuple[str, ...] = (), mapped: tuple[str, ...] = ()) -> Person:
    """Somebody with roles that were given here, and roles of a group."""
    person, _ = await rooms.transactions.change(lambda tx: rooms.people.ensure(tx, email, roles=roles))
    if mapped:
        given = Person(id=person.id, email=email, name="", roles=(*roles, *mapped), created_at=0, mapped_roles=mapped)
        await rooms.transactions.change(lambda tx: update_from_provider(tx, given))
    return await rooms.people.named(person.id)


async def a_delegation(rooms: Rooms, person: Person, agent: str, system: str = "crm", seconds: float = 3_600) -> str:
    """Something that this person lets an agent, by name, do; the agent is made if it is not there."""
    names = [one.name for one in await rooms.agents.list("", 100)]
    if agent not in names:
        await rooms.agents.create(NewAgent(name=agent, owner="owner@example.com"), ADMINISTRATOR)
    found = await rooms.agents.named(agent)
    now = rooms.clock.seconds()
    one = Delegation(
        id=DelegationId(rooms.delegations.new_id()),
        person=person.id,
        agent=found.id,
        system=system,
        audience=f"http://localhost/gateway/{system}/mcp",
        scopes=(f"{system}:contacts.read",),
        details=(),
        remembered=False,
        created_at=now,
        expires_at=now + seconds,
    )
    await rooms.transactions.change(lambda tx: rooms.delegations.make(tx, one, found, None, "passkey"))
    return one.id


async def known_elsewhere(rooms: Rooms, person: PersonId, subject: str, issuer: str = ISSUER) -> None:
    """Have an issuer know this person by a subject."""
    await rooms.transactions.change(
        lambda tx: insert_identity(tx.connection, issuer, subject, person, rooms.clock.seconds())
    )


async def a_passkey(rooms: Rooms, person: PersonId, name: str) -> None:
    """A passkey that signs nobody in, to be counted."""
    one = Passkey(id=name, person=person, name=name, public_key=b"", sign_count=0, created_at=0, last_used_at=None)
    await rooms.transactions.change(lambda tx: insert_passkey(tx.connection, one))
