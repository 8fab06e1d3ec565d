"""A link signs in once; a session ends by leaving, by rest and by age; each is an event, and no token is stored."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from accredit.audit.reading import LoggedEvent
from accredit.errors import Conflict, NotFound
from accredit.ids import new_id
from accredit.people.model import Person, Session
from accredit.people.sessions import IDLE_SECONDS, LINK_SECONDS, SESSION_SECONDS, Sessions, SignInRefused
from accredit.storage import schema
from accredit.storage.writer import Tx
from tests.people.log import events
from tests.rooms import Rooms, with_rooms


def with_sessions(folder: Path, act: Callable[[Rooms, Sessions], Awaitable[None]]) -> None:
    async def run(rooms: Rooms) -> None:
        await act(rooms, Sessions(rooms.transactions, rooms.clock, new_id))

    with_rooms(folder, run)


async def a_link(rooms: Rooms, sessions: Sessions) -> str:
    return await sessions.new_link(await rooms.people.administrator())


async def a_session(rooms: Rooms, sessions: Sessions) -> tuple[Session, str]:
    return await sessions.redeem(await a_link(rooms, sessions))


async def recorded(rooms: Rooms, kind: str) -> list[LoggedEvent]:
    return [one for one in await events(rooms) if one.event.type == kind]


def test_a_link_signs_in_the_person_that_it_was_made_for(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        administrator = await rooms.people.administrator()

        session, cookie = await sessions.redeem(await sessions.new_link(administrator))

        assert session.person == administrator
        assert await sessions.find(cookie) == session
        [started] = await recorded(rooms, "session.started")
        assert (started.event.person, started.event.session) == (administrator.id, session.id)
        assert started.event.authentication == "sign_in_link"

    with_sessions(tmp_path, act)


def test_a_link_works_once_and_the_refusal_is_recorded_without_the_token(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        link = await a_link(rooms, sessions)
        await sessions.redeem(link)

        with pytest.raises(SignInRefused) as refused:
            await sessions.redeem(link)

        [event] = await recorded(rooms, "session.refused")
        assert refused.value.event == event.seq
        assert event.event.person is None
        assert link.encode() not in event.body

    with_sessions(tmp_path, act)


def test_of_two_who_use_a_link_at_once_one_is_refused(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        link = await a_link(rooms, sessions)

        answers = await asyncio.gather(*[sessions.redeem(link) for _ in range(8)], return_exceptions=True)

        assert sum(isinstance(answer, tuple) for answer in answers) == 1
        assert sum(isinstance(answer, SignInRefused) for answer in answers) == 7
        assert len(await recorded(rooms, "session.started")) == 1
        assert len(await recorded(rooms, "session.refused")) == 7

    with_sessions(tmp_path, act)


@pytest.mark.parametrize(("age", "works"), [(LINK_SECONDS - 1, True), (LINK_SECONDS, False)])
def test_a_link_is_good_for_a_quarter_of_an_hour(tmp_path: Path, age: int, works: bool) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        link = await a_link(rooms, sessions)
        rooms.clock.move(age)

        if works:
            await sessions.redeem(link)
        else:
            with pytest.raises(SignInRefused):
                await sessions.redeem(link)

    with_sessions(tmp_path, act)


@pytest.mark.parametrize("token", ["", "x", "\N{SNOWMAN}", "a" * 43])
def test_what_never_was_a_link_is_refused_in_the_same_words(tmp_path: Path, token: str) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        used = await a_link(rooms, sessions)
        await sessions.redeem(used)
        with pytest.raises(SignInRefused) as of_used:
            await sessions.redeem(used)

        with pytest.raises(SignInRefused) as refused:
            await sessions.redeem(token)

        assert refused.value.explanation == of_used.value.explanation

    with_sessions(tmp_path, act)


def test_a_session_ends_when_it_is_left_and_only_once(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        session, cookie = await a_session(rooms, sessions)

        await sessions.end(session)
        await sessions.end(session)

        assert await sessions.find(cookie) is None
        [ended] = await recorded(rooms, "session.ended")
        assert ended.event.session == session.id

    with_sessions(tmp_path, act)


def test_a_session_in_use_ends_after_twelve_hours(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        _, cookie = await a_session(rooms, sessions)
        step = IDLE_SECONDS - 1
        for _ in range(SESSION_SECONDS // step):
            rooms.clock.move(step)
            assert await sessions.find(cookie) is not None

        rooms.clock.move(SESSION_SECONDS % step)

        assert await sessions.find(cookie) is None

    with_sessions(tmp_path, act)


def test_a_session_ends_after_half_an_hour_of_rest(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        _, cookie = await a_session(rooms, sessions)

        rooms.clock.move(IDLE_SECONDS)

        assert await sessions.find(cookie) is None

    with_sessions(tmp_path, act)


def test_looking_without_acting_does_not_lengthen_a_session(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        _, cookie = await a_session(rooms, sessions)
        rooms.clock.move(IDLE_SECONDS - 1)
        assert await sessions.find(cookie, active=False) is not None

        rooms.clock.move(1)

        assert await sessions.find(cookie) is None

    with_sessions(tmp_path, act)


def test_neither_a_link_nor_a_cookie_is_stored(tmp_path: Path) -> None:
    secrets: list[str] = []

    async def act(rooms: Rooms, sessions: Sessions) -> None:
        secrets.append(await a_link(rooms, sessions))
        secrets.append((await a_session(rooms, sessions))[1])

    with_sessions(tmp_path, act)

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(secrets) == 2
    assert not any(secret.encode() in stored for secret in secrets)


def test_a_link_survives_a_sign_in_that_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        link = await a_link(rooms, sessions)

        def fail(tx: Tx, event: object) -> None:
            raise Conflict("the event cannot be written")

        with monkeypatch.context() as patched:
            patched.setattr("accredit.people.sessions.record", fail)
            with pytest.raises(Conflict):
                await sessions.redeem(link)

        session, _ = await sessions.redeem(link)
        assert session.person.email == "admin@localhost"

    with_sessions(tmp_path, act)


def test_a_session_says_how_when_and_where_it_began(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        person = await rooms.people.administrator()

        session, cookie = await sessions.start(
            person,
            authentication="oidc:entra",
            acr="urn:example:gold",
            amr=("pwd", "otp"),
            user_agent="Firefox/140.0",
            auth_time=rooms.clock.now - 300,
        )

        assert await sessions.find(cookie) == session
        assert (session.authentication, session.acr, session.amr) == ("oidc:entra", "urn:example:gold", ("pwd", "otp"))
        assert (session.auth_time, session.created_at) == (rooms.clock.now - 300, rooms.clock.now)
        [started] = await recorded(rooms, "session.started")
        assert started.event.authentication == "oidc:entra"

    with_sessions(tmp_path, act)


def test_a_sign_in_cannot_have_been_in_the_future_and_a_long_user_agent_is_cut(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        person = await rooms.people.administrator()

        session, _ = await sessions.start(
            person, authentication="oidc:entra", user_agent="a" * 10_000, auth_time=rooms.clock.now + 3_600
        )

        assert session.auth_time == rooms.clock.now
        assert len(session.user_agent) == 256

    with_sessions(tmp_path, act)


def test_every_sign_in_has_a_new_cookie_and_a_new_session(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        person = await rooms.people.administrator()

        started = [await sessions.start(person, authentication="passkey") for _ in range(3)]

        assert len({cookie for _, cookie in started}) == 3
        assert len({session.id for session, _ in started}) == 3
        assert all(len(cookie) == 43 for _, cookie in started)

    with_sessions(tmp_path, act)


def test_a_person_sees_their_own_live_sessions_the_last_used_first(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        ana, ben = [await a_person(rooms, name) for name in ("ana", "ben")]
        resting, _ = await sessions.start(ana, authentication="passkey")
        rooms.clock.move(IDLE_SECONDS - 120)
        first, cookie = await sessions.start(ana, authentication="passkey")
        second, _ = await sessions.start(ana, authentication="passkey")
        await sessions.start(ben, authentication="passkey")
        rooms.clock.move(120)
        await sessions.find(cookie)

        seen = await sessions.list(ana)

        assert [one.id for one in seen] == [first.id, second.id]
        assert resting.id not in {one.id for one in seen}
        assert seen[0].last_seen_at == rooms.clock.now

    with_sessions(tmp_path, act)


def test_a_person_ends_one_of_their_own_sessions_and_nobody_elses(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        ana, ben = [await a_person(rooms, name) for name in ("ana", "ben")]
        hers, her_cookie = await sessions.start(ana, authentication="passkey")
        _, other_cookie = await sessions.start(ana, authentication="passkey")

        with pytest.raises(NotFound) as of_another:
            await sessions.end_by_id(ben, hers.id)
        with pytest.raises(NotFound) as of_nobody:
            await sessions.end_by_id(ben, "ses_none")
        assert await sessions.find(her_cookie) is not None
        await sessions.end_by_id(ana, hers.id)

        assert of_another.value.explanation == of_nobody.value.explanation
        assert await sessions.find(her_cookie) is None
        assert await sessions.find(other_cookie) is not None
        assert [one.event.session for one in await recorded(rooms, "session.ended")] == [hers.id]

    with_sessions(tmp_path, act)


def test_ending_the_others_leaves_this_session_and_other_people_alone(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        ana, ben = [await a_person(rooms, name) for name in ("ana", "ben")]
        this, cookie = await sessions.start(ana, authentication="passkey")
        others = [await sessions.start(ana, authentication="passkey") for _ in range(2)]
        _, bens = await sessions.start(ben, authentication="passkey")

        await sessions.end_others(this)

        assert await sessions.find(cookie) is not None
        assert await sessions.find(bens) is not None
        assert [await sessions.find(one) for _, one in others] == [None, None]
        assert len(await recorded(rooms, "session.ended")) == 2
        await sessions.end_all(ana)
        assert await sessions.find(cookie) is None
        assert await sessions.find(bens) is not None

    with_sessions(tmp_path, act)


def test_who_must_hear_of_an_end_hears_in_its_transaction_or_it_does_not_happen(tmp_path: Path) -> None:
    heard: list[str] = []

    def hear(tx: Tx, session: Session) -> None:
        heard.append(session.id)
        if len(heard) > 1:
            raise Conflict("the message cannot be written")

    async def act(rooms: Rooms) -> None:
        sessions = Sessions(rooms.transactions, rooms.clock, new_id, on_end=(hear,))
        person = await rooms.people.administrator()
        first, _ = await sessions.start(person, authentication="passkey")
        second, cookie = await sessions.start(person, authentication="passkey")

        await sessions.end(first)
        await sessions.end(first)
        with pytest.raises(Conflict):
            await sessions.end(second)

        assert heard == [first.id, second.id]
        assert await sessions.find(cookie) is not None
        assert len(await recorded(rooms, "session.ended")) == 1

    with_rooms(tmp_path, act)


def test_a_person_has_the_roles_given_here_and_those_of_their_groups(tmp_path: Path) -> None:
    async def act(rooms: Rooms, sessions: Sessions) -> None:
        ana = await a_person(rooms, "ana", roles=("delegator",))

        def map_roles(tx: Tx) -> None:
            values = {"mapped_roles": '["administrator","delegator"]'}
            tx.connection.execute(update(schema.people).where(schema.people.c.id == ana.id).values(values))

        await rooms.transactions.change(map_roles)

        known = await rooms.people.get(ana.id)
        assert known is not None
        assert known.roles == ("delegator", "administrator")
        assert known.mapped_roles == ("administrator", "delegator")
        session, cookie = await sessions.start(known, authentication="oidc:entra")
        assert await sessions.find(cookie) == session

    with_sessions(tmp_path, act)


async def a_person(rooms: Rooms, name: str, roles: tuple[str, ...] = ()) -> Person:
    person, _ = await rooms.transactions.change(
        lambda tx: rooms.people.ensure(tx, f"{name}@example.com", name.capitalize(), roles)
    )
    return person
