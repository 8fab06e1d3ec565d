"""Who is who: one person for an issuer's subject; an address alone is nobody's proof."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from accredit.errors import Conflict, NotFound
from accredit.ids import new_id
from accredit.people.identities import Identities, Identity, UnknownIdentity
from accredit.storage.schema import identities as rows
from accredit.storage.schema import people
from accredit.storage.writer import Once, UsedBefore
from tests.people.log import events
from tests.rooms import ADMINISTRATOR, Rooms, with_rooms

ANA = Identity(
    issuer="https://login.example.com",
    subject="ana-7",
    email="ana@example.com",
    email_is_proven=True,
    name="Ana Abel",
    roles=("administrator",),
    authentication="oidc:acme",
    create=True,
)


def run(folder: Path, act: Callable[[Rooms, Identities], Awaitable[None]]) -> None:
    async def started(rooms: Rooms) -> None:
        await act(rooms, Identities(rooms.transactions, rooms.clock, new_id))

    with_rooms(folder, started)


async def count(rooms: Rooms) -> int:
    query = select(func.count()).select_from(rows)
    return await rooms.transactions.read(lambda c: int(c.execute(query).scalar_one()))


def test_somebody_who_is_known_keeps_their_account_whatever_the_address_says_now(tmp_path: Path) -> None:
    async def act(rooms: Rooms, identities: Identities) -> None:
        first = await identities.sign_on(ANA)
        again = await identities.sign_on(replace(ANA, email=None, email_is_proven=False, create=False))
        moved = await identities.sign_on(replace(ANA, email="boss@example.com"))

        assert first.id == again.id == moved.id
        assert moved.email == "ana@example.com"
        assert await count(rooms) == 1

    run(tmp_path, act)


def test_a_proven_address_finds_the_owner_who_is_there_already(tmp_path: Path) -> None:
    async def act(rooms: Rooms, identities: Identities) -> None:
        owner, _ = await rooms.transactions.change(lambda tx: rooms.people.ensure(tx, "Ana@example.com"))

        person = await identities.sign_on(ANA)

        assert (person.id, person.name) == (owner.id, "Ana Abel")
        assert [one.event.type for one in await events(rooms)] == ["identity.linked", "person.signed_on"]

    run(tmp_path, act)


@pytest.mark.parametrize(
    "identity",
    [
        pytest.param(replace(ANA, email_is_proven=False), id="not proven"),
        pytest.param(replace(ANA, email=None), id="no address"),
        pytest.param(replace(ANA, email="new@example.com", create=False), id="not to be made"),
    ],
)
def test_an_identity_that_is_nobody_here_is_refused_and_recorded(tmp_path: Path, identity: Identity) -> None:
    async def act(rooms: Rooms, identities: Identities) -> None:
        await rooms.transactions.change(lambda tx: rooms.people.ensure(tx, "ana@example.com"))

        with pytest.raises(UnknownIdentity) as error:
            await identities.sign_on(identity)

        [refused] = await events(rooms)
        assert error.value.event == refused.seq
        assert (refused.event.type, refused.event.outcome) == ("session.refused", "refused")
        assert refused.event.resource == "https://login.example.com ana-7"
        assert await count(rooms) == 0

    run(tmp_path, act)


def test_the_same_subject_of_another_issuer_is_somebody_else(tmp_path: Path) -> None:
    async def act(rooms: Rooms, identities: Identities) -> None:
        await identities.sign_on(ANA)

        with pytest.raises(UnknownIdentity):
            await identities.sign_on(replace(ANA, issuer="https://evil.example.com", email_is_proven=False))

    run(tmp_path, act)


def test_roles_that_groups_give_come_and_go_and_our_own_stay(tmp_path: Path) -> None:
    async def act(rooms: Rooms, identities: Identities) -> None:
        person = await identities.sign_on(replace(ANA, roles=()))
        assert person.roles == ()
        own = update(people).values(roles='["administrator"]')
        await rooms.transactions.change(lambda tx: tx.connection.execute(own))

        both = await identities.sign_on(replace(ANA, roles=("administrator", "delegator")))
        none = await identities.sign_on(replace(ANA, roles=()))

        assert (both.roles, both.mapped_roles) == (("administrator", "delegator"), ("administrator", "delegator"))
        # What was given here is there still, though a group had given the same.
        assert (none.roles, none.mapped_roles) == (("administrator",), ())
        signed_on = [one.event for one in await events(rooms) if one.event.type == "person.signed_on"]
        assert [one.reason for one in signed_on] == [
            None,
            "roles that groups give: administrator, delegator",
            "roles that groups give: none",
        ]

    run(tmp_path, act)


def test_what_may_be_used_once_is_used_with_the_sign_on_or_not_at_all(tmp_path: Path) -> None:
    async def act(rooms: Rooms, identities: Identities) -> None:
        first, second = Once(b"1" * 32, 2e9), Once(b"2" * 32, 2e9)
        await identities.sign_on(ANA, (first,))
        before = len(await events(rooms))

        with pytest.raises(UsedBefore) as error:
            await identities.sign_on(replace(ANA, subject="ben"), (second, first))

        assert error.value.once == first
        assert len(await events(rooms)) == before
        # The other value was not used up by what did not happen.
        await identities.sign_on(ANA, (second,))

    run(tmp_path, act)


def test_of_two_first_sign_ons_at_once_one_makes_the_person(tmp_path: Path) -> None:
    async def act(rooms: Rooms, identities: Identities) -> None:
        made = await asyncio.gather(*(identities.sign_on(ANA) for _ in range(8)))

        assert len({person.id for person in made}) == 1
        assert [one.event.type for one in await events(rooms)].count("person.created") == 1

    run(tmp_path, act)


def test_an_administrator_links_a_subject_to_somebody_who_is_here(tmp_path: Path) -> None:
    async def act(rooms: Rooms, identities: Identities) -> None:
        owner, _ = await rooms.transactions.change(lambda tx: rooms.people.ensure(tx, "ana@example.com"))
        unproven = replace(ANA, email_is_proven=False)

        await identities.link(ANA.issuer, ANA.subject, " ANA@example.com", ADMINISTRATOR)

        assert (await identities.sign_on(unproven)).id == owner.id
        with pytest.raises(Conflict):
            await identities.link(ANA.issuer, ANA.subject, "ana@example.com", ADMINISTRATOR)
        with pytest.raises(NotFound):
            await identities.link(ANA.issuer, "other", "nobody@example.com", ADMINISTRATOR)
        linked = (await events(rooms))[0].event
        assert (linked.type, linked.person, linked.resource) == (
            "identity.linked",
            "per_test",
            "https://login.example.com ana-7",
        )

    run(tmp_path, act)


def test_the_local_administrator_is_nobodys_by_address(tmp_path: Path) -> None:
    async def act(rooms: Rooms, identities: Identities) -> None:
        administrator = await rooms.people.administrator()

        with pytest.raises(UnknownIdentity):
            await identities.sign_on(replace(ANA, email=administrator.email, email_is_proven=False))

    run(tmp_path, act)
