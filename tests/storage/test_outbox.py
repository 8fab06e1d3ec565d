"""The outbox: a message goes out with its change or not at all, and at least once until its time is over."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select, update

from accredit.errors import Conflict, Unavailable
from accredit.ids import new_id
from accredit.keys.seal import Sealer
from accredit.storage.outbox import FIRST_RETRY_SECONDS, LEASE_SECONDS, LONGEST_RETRY_SECONDS, Message, Outbox
from accredit.storage.schema import outbox as table
from accredit.storage.writer import Tx
from tests.oauth.asking import receiving
from tests.rooms import Rooms, TestClock, open_rooms, with_rooms
from tests.server.running import free_port

KEY = bytes(range(32))
URL = "https://client.example/hear"


def open_outbox(rooms: Rooms) -> Outbox:
    return Outbox(rooms.transactions, rooms.clock, new_id, Sealer(KEY))


class Handler:
    """Fails as often as it is told to, and keeps what it was given."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.given: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.given.append(message)
        if self.failures:
            raise self.failures.pop(0)


async def put(rooms: Rooms, outbox: Outbox, body: bytes = b"hello", seconds: float = 3_600.0, kind: str = "k") -> None:
    await rooms.transactions.change(lambda tx: outbox.put(tx, kind, URL, body, seconds=seconds))


async def left(rooms: Rooms) -> int:
    return len(await rooms.transactions.read(lambda c: list(c.execute(select(table)))))


def test_a_message_is_delivered_once_after_its_commit(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        outbox, handler = open_outbox(rooms), Handler()
        outbox.handle({"k": handler})
        await outbox.deliver()
        assert handler.given == []
        await put(rooms, outbox)

        await outbox.deliver()
        await outbox.deliver()

        [message] = handler.given
        assert (message.kind, message.url, message.message, message.attempts) == ("k", URL, b"hello", 0)
        assert await left(rooms) == 0

    with_rooms(tmp_path, act)


def test_a_change_that_failed_sends_nothing(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        outbox, handler = open_outbox(rooms), Handler()
        outbox.handle({"k": handler})

        def write(tx: Tx) -> None:
            outbox.put(tx, "k", URL, b"hello", seconds=60.0)
            raise Conflict("half way")

        with pytest.raises(Conflict):
            await rooms.transactions.change(write)
        await outbox.deliver()

        assert handler.given == []
        assert await left(rooms) == 0

    with_rooms(tmp_path, act)


FAILURES = [Unavailable("500"), TimeoutError(), OSError("reset"), KeyError("a fault of ours"), ValueError("text")]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_whatever_went_wrong_a_message_is_tried_again_and_holds_up_no_other(tmp_path: Path, failure: Exception) -> None:
    async def act(rooms: Rooms) -> None:
        outbox, bad, good = open_outbox(rooms), Handler(failure), Handler()
        outbox.handle({"bad": bad, "good": good})
        await put(rooms, outbox, kind="bad")
        await put(rooms, outbox, kind="good")

        await outbox.deliver()
        assert (len(bad.given), len(good.given)) == (1, 1)
        rooms.clock.move(FIRST_RETRY_SECONDS - 0.1)
        await outbox.deliver()
        assert len(bad.given) == 1
        rooms.clock.move(0.1)
        await outbox.deliver()

        assert [message.attempts for message in bad.given] == [0, 1]
        assert await left(rooms) == 0

    with_rooms(tmp_path, act)


def test_the_waits_double_up_to_five_minutes(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        outbox, handler = open_outbox(rooms), Handler(*[Unavailable("no")] * 60)
        outbox.handle({"k": handler})
        await put(rooms, outbox, seconds=86_400.0)
        begun, times = rooms.clock.now, []
        for _ in range(1_600):
            before = len(handler.given)
            await outbox.deliver()
            if len(handler.given) > before:
                times.append(rooms.clock.now - begun)
            rooms.clock.move(1)

        waits = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert waits == [2, 4, 8, 16, 32, 64, 128, 256, *[LONGEST_RETRY_SECONDS] * 3]

    with_rooms(tmp_path, act)


def test_a_message_is_given_up_when_its_time_is_over(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        outbox, handler = open_outbox(rooms), Handler(*[Unavailable("no")] * 9)
        outbox.handle({"k": handler})
        await put(rooms, outbox, seconds=7.0)

        for _ in range(20):
            await outbox.deliver()
            rooms.clock.move(1)

        # At 0, 2 and 6 seconds; the next would be at 14.
        assert len(handler.given) == 3
        assert await left(rooms) == 0

    with_rooms(tmp_path, act)


def test_a_message_from_before_a_long_stop_gets_one_try(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        outbox, handler = open_outbox(rooms), Handler(Unavailable("no"))
        outbox.handle({"k": handler})
        await put(rooms, outbox, seconds=60.0)
        rooms.clock.move(86_400)

        await outbox.deliver()

        assert len(handler.given) == 1
        assert await left(rooms) == 0

    with_rooms(tmp_path, act)


def test_a_kind_that_nobody_delivers_is_kept_until_its_time_is_over(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        outbox, handler = open_outbox(rooms), Handler()
        outbox.handle({"other": handler})
        await put(rooms, outbox, seconds=60.0)
        await outbox.deliver()
        assert await left(rooms) == 1

        outbox.handle({"k": handler})
        rooms.clock.move(FIRST_RETRY_SECONDS)
        await outbox.deliver()

        assert len(handler.given) == 1

    with_rooms(tmp_path, act)


def test_a_receiver_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        outbox, good = open_outbox(rooms), Handler()
        hanging = asyncio.Event()

        async def hang(_message: Message) -> None:
            await hanging.wait()

        outbox.handle({"slow": hang, "good": good})
        await put(rooms, outbox, kind="slow")
        await put(rooms, outbox, kind="good")

        running = asyncio.create_task(outbox.deliver())
        for _ in range(200):
            await asyncio.sleep(0.01)
            if good.given and await left(rooms) == 1:
                break
        assert len(good.given) == 1
        hanging.set()
        await running
        assert await left(rooms) == 0

    with_rooms(tmp_path, act)


def test_two_processes_send_a_message_once(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        handler = Handler()
        both = [open_outbox(rooms), open_outbox(rooms)]
        for one in both:
            one.handle({"k": handler})
        for number in range(20):
            await put(rooms, both[0], body=b"%d" % number)

        await asyncio.gather(*(one.deliver() for one in both))

        assert sorted(int(message.message) for message in handler.given) == list(range(20))

    with_rooms(tmp_path, act)


def test_what_was_being_sent_at_a_crash_is_sent_again_after_its_lease(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        outbox, handler = open_outbox(rooms), Handler()

        async def crash(_message: Message) -> None:
            raise asyncio.CancelledError

        outbox.handle({"k": crash})
        await put(rooms, outbox)
        with pytest.raises(asyncio.CancelledError):
            await outbox.deliver()
        outbox.handle({"k": handler})
        rooms.clock.move(LEASE_SECONDS - 0.1)
        await outbox.deliver()
        assert handler.given == []
        rooms.clock.move(0.1)

        await outbox.deliver()

        assert len(handler.given) == 1

    with_rooms(tmp_path, act)


def test_a_message_is_sealed_and_bound_to_its_address(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        outbox, handler = open_outbox(rooms), Handler()
        outbox.handle({"k": handler})
        await put(rooms, outbox, body=b"a credential")
        [row] = await rooms.transactions.read(lambda c: list(c.execute(select(table))))
        assert b"a credential" not in row.message

        # Whoever can write to the database cannot have it sent elsewhere.
        await rooms.transactions.change(
            lambda tx: tx.connection.execute(update(table).values(url="https://evil.example"))
        )
        await outbox.deliver()

        assert handler.given == []

    with_rooms(tmp_path, act)


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        handler = Handler()
        await put(rooms, open_outbox(rooms))
        other = Outbox(rooms.transactions, rooms.clock, new_id, Sealer(bytes(32)))
        other.handle({"k": handler})

        await other.deliver()

        assert handler.given == []
        assert await left(rooms) == 1

    with_rooms(tmp_path, act)


SENDER = """
    import asyncio, os, signal, sys
    from pathlib import Path
    import httpx2, uvloop
    from accredit.ids import new_id
    from accredit.keys.seal import Sealer
    from accredit.storage.outbox import Outbox
    from tests.rooms import TestClock, open_rooms

    folder, url, moment = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    async def run():
        async with open_rooms(folder, TestClock()) as rooms:
            outbox = Outbox(rooms.transactions, rooms.clock, new_id, Sealer(bytes(range(32))))

            async def send(message):
                if moment == "before sending":
                    die()
                async with httpx2.AsyncClient(trust_env=False) as client:
                    await client.post(message.url, content=message.message)
                if moment == "after sending":
                    die()

            def write(tx):
                outbox.put(tx, "k", url, b"hello", seconds=3600.0)
                if moment == "before the commit":
                    die()

            outbox.handle({"k": send})
            await rooms.transactions.change(write)
            if moment == "after the commit":
                die()
            await outbox.deliver()

    uvloop.run(run())
"""


@pytest.mark.parametrize(
    ("moment", "received_before", "received_in_the_end"),
    [
        ("before the commit", 0, 0),
        ("after the commit", 0, 1),
        ("before sending", 0, 1),
        ("after sending", 1, 2),
        ("never", 1, 1),
    ],
)
def test_a_process_that_is_killed_loses_no_message(
    tmp_path: Path, moment: str, received_before: int, received_in_the_end: int
) -> None:
    root = Path(__file__).parents[2]

    async def run() -> None:
        async with receiving(free_port()) as receiver:
            killed = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                textwrap.dedent(SENDER),
                str(tmp_path),
                receiver.origin + "/hear",
                moment,
                cwd=root,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(root)},
            )
            code = await asyncio.wait_for(killed.wait(), 60)
            assert code == (0 if moment == "never" else -signal.SIGKILL)
            assert len(receiver.received) == received_before

            await again(tmp_path, receiver.origin)

            assert len(receiver.received) == received_in_the_end
            assert {body for _, _, body in receiver.received} <= {"hello"}

    asyncio.run(run())


async def again(folder: Path, origin: str) -> None:
    """Another process takes over, after the lease of the one that died."""

    async def send(message: Message) -> None:
        assert message.url.startswith(origin)
        async with httpx2.AsyncClient(trust_env=False) as client:
            await client.post(message.url, content=message.message)

    async with open_rooms(folder, TestClock()) as rooms:
        outbox = open_outbox(rooms)
        outbox.handle({"k": send})
        rooms.clock.move(LEASE_SECONDS)
        await outbox.deliver()
        await outbox.deliver()
        assert await left(rooms) == 0
