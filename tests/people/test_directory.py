"""People are found by one spelling of their address, and the administrator is made once."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accredit.audit.reading import LoggedEvent
from accredit.errors import InputRefused
from accredit.people.directory import normal_email
from accredit.people.model import Person
from tests.people.log import events
from tests.rooms import ADMINISTRATOR, Rooms, with_rooms


def test_the_administrator_is_made_once_with_an_event(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> tuple[Person, Person, list[LoggedEvent]]:
        return await rooms.people.administrator(), await rooms.people.administrator(), await events(rooms)

    first, second, recorded = with_rooms(tmp_path, act)

    assert first == second
    assert (first.email, first.roles) == ("admin@localhost", ("administrator",))
    assert [(one.event.type, one.event.person) for one in recorded] == [("person.created", first.id)]


def test_a_person_is_one_however_the_address_is_written(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> tuple[Person, Person, Person | None, Person | None]:
        first, _ = await rooms.transactions.change(lambda tx: rooms.people.ensure(tx, "Ana@Example.com", "Ana"))
        again, _ = await rooms.transactions.change(lambda tx: rooms.people.ensure(tx, " ana@example.com ", "Other"))
        return first, again, await rooms.people.by_email("ANA@example.com"), await rooms.people.get(first.id)

    first, again, by_email, by_id = with_rooms(tmp_path, act)

    assert first.email == "ana@example.com"
    assert first == again == by_email == by_id


def test_what_cannot_be_an_address_makes_nobody(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> Person | None:
        with pytest.raises(InputRefused):
            await rooms.transactions.change(lambda tx: rooms.people.ensure(tx, "ana"))
        return await rooms.people.by_email("ana")

    assert with_rooms(tmp_path, act) is None


@pytest.mark.parametrize("email", ["", "ana", "@example.com", "ana@", "a b@example.com", "a\n@b", "a" * 250 + "@b.de"])
def test_these_are_not_addresses(email: str) -> None:
    with pytest.raises(InputRefused):
        normal_email(email)


@settings(deadline=None)
@given(st.emails())
def test_an_address_has_one_spelling(email: str) -> None:
    assert normal_email(email) == normal_email(normal_email(email.upper().lower()))


def test_somebody_is_invited_once_and_the_event_names_who_did_it(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> tuple[Person, Person, list[LoggedEvent]]:
        first = await rooms.people.invite("Ana@Example.com", ADMINISTRATOR)
        return first, await rooms.people.invite("ana@example.com", ADMINISTRATOR), await events(rooms)

    first, again, recorded = with_rooms(tmp_path, act)

    assert first == again
    assert (first.email, first.roles) == ("ana@example.com", ())
    [created] = [one.event for one in recorded]
    assert (created.type, created.person, created.resource) == ("person.created", ADMINISTRATOR.person, first.id)
