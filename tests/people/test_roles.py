"""Roles are given here, in one transaction with their event; the last administrator keeps theirs."""

from pathlib import Path

import pytest

from accredit.audit.reading import LoggedEvent
from accredit.errors import InputRefused, NotFound
from accredit.people.directory import LastAdministrator
from accredit.people.model import Person
from tests.people.giving import a_passkey, a_person, known_elsewhere
from tests.people.log import events
from tests.rooms import ADMINISTRATOR, Rooms, with_rooms


def test_roles_take_the_place_of_those_given_here_and_a_groups_stay(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> tuple[Person, list[LoggedEvent]]:
        ana = await a_person(rooms, "ana@example.com", roles=("old",), mapped=("from-group",))
        before = len(await events(rooms))
        await rooms.people.set_roles("Ana@Example.com ", ["delegator", "delegator", "auditor"], ADMINISTRATOR)
        return await rooms.people.named(ana.id), (await events(rooms))[before:]

    ana, recorded = with_rooms(tmp_path, act)

    assert (ana.roles, ana.mapped_roles) == (("delegator", "auditor", "from-group"), ("from-group",))
    [changed] = [one.event for one in recorded]
    assert (changed.type, changed.person, changed.resource) == (
        "person.roles_changed",
        ADMINISTRATOR.person,
        ana.id,
    )
    assert changed.reason == "roles that are given here: delegator, auditor"


def test_a_change_is_seen_at_once_by_who_keeps_people_in_memory(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> tuple[Person | None, Person | None]:
        ana = await a_person(rooms, "ana@example.com")
        before = await rooms.people.get(ana.id)
        await rooms.people.set_roles("ana@example.com", ["delegator"], ADMINISTRATOR)
        return before, await rooms.people.get(ana.id)

    before, after = with_rooms(tmp_path, act)

    assert (before and before.roles, after and after.roles) == ((), ("delegator",))


@pytest.mark.parametrize("roles", [(), ("delegator",)], ids=["no role", "another role"])
def test_the_last_administrator_keeps_the_role_and_nothing_is_recorded(tmp_path: Path, roles: tuple[str, ...]) -> None:
    async def act(rooms: Rooms) -> tuple[Person, list[LoggedEvent]]:
        await rooms.people.administrator()
        # A role whose name holds the word is another role.
        await a_person(rooms, "ana@example.com", roles=("administrator-of-crm",))
        with pytest.raises(LastAdministrator):
            await rooms.people.set_roles("admin@localhost", roles, ADMINISTRATOR)
        return await rooms.people.administrator(), await events(rooms)

    administrator, recorded = with_rooms(tmp_path, act)

    assert administrator.roles == ("administrator",)
    assert [one.event.type for one in recorded] == ["person.created"]


@pytest.mark.parametrize("by_group", [False, True], ids=["given here", "given by a group"])
def test_one_of_two_administrators_can_lose_the_role(tmp_path: Path, by_group: bool) -> None:
    async def act(rooms: Rooms) -> tuple[Person, Person]:
        await rooms.people.administrator()
        given, mapped = ((), ("administrator",)) if by_group else (("administrator",), ())
        await a_person(rooms, "ana@example.com", roles=given, mapped=mapped)
        local = await rooms.people.set_roles("admin@localhost", (), ADMINISTRATOR)
        return local, await rooms.people.named("ana@example.com")

    local, ana = with_rooms(tmp_path, act)

    assert (local.roles, ana.roles) == ((), ("administrator",))


@pytest.mark.parametrize(
    "roles",
    [["Delegator"], [""], ["a b"], ["a\n"], ["-a"], ["a" * 64], ["é"], [f"r{n}" for n in range(65)]],
    ids=["capital", "empty", "space", "line end", "dash first", "long", "letter", "too many"],
)
def test_what_cannot_be_a_role_is_refused(tmp_path: Path, roles: list[str]) -> None:
    async def act(rooms: Rooms) -> Person:
        await a_person(rooms, "ana@example.com", roles=("delegator",))
        with pytest.raises(InputRefused):
            await rooms.people.set_roles("ana@example.com", roles, ADMINISTRATOR)
        return await rooms.people.named("ana@example.com")

    assert with_rooms(tmp_path, act).roles == ("delegator",)


def test_nobody_is_made_by_giving_them_a_role(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> Person | None:
        with pytest.raises(NotFound):
            await rooms.people.set_roles("eve@example.com", ["delegator"], ADMINISTRATOR)
        return await rooms.people.by_email("eve@example.com")

    assert with_rooms(tmp_path, act) is None


def test_people_are_listed_by_address_with_their_own_ways_in(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> tuple[list[str], list[tuple[int, list[str]]]]:
        cid, ana, ben = [await a_person(rooms, f"{name}@example.com") for name in ("cid", "ana", "ben")]
        await a_passkey(rooms, ana.id, "one")
        await a_passkey(rooms, ana.id, "two")
        await known_elsewhere(rooms, ana.id, "s-1")
        await known_elsewhere(rooms, ben.id, "s-2")
        page = await rooms.people.list("ana@example.com", 5)
        ways = await rooms.people.ways_in((ana, ben, cid))
        return [one.email for one in page], [
            (ways[one.id].passkeys, [known.subject for known in ways[one.id].identities]) for one in (ana, ben, cid)
        ]

    addresses, ways = with_rooms(tmp_path, act)

    assert addresses == ["ben@example.com", "cid@example.com"]
    assert ways == [(2, ["s-1"]), (0, ["s-2"]), (0, [])]
