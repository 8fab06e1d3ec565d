"""A link signs in once; a session ends by leaving, by rest and by age; each is an event, and no token is stored."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from accredit.audit.reading import LoggedEvent
from accredit.errors import Conflict
from accredit.ids import new_id
from accredit.people.model import Session
from accredit.people.sessions import IDLE_SECONDS, LINK_SECONDS, SESSION_SECONDS, Sessions, SignInRefused
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
