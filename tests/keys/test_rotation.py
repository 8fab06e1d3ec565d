"""Rotation: a new key is published, then signs, then the old one ends, and every process follows."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select, update

from accredit.errors import Unavailable
from accredit.ids import KeyId, new_id
from accredit.keys import rotation as rotation_module
from accredit.keys.algorithms import AlgorithmName, SignatureInvalid
from accredit.keys.keyring import Keyring, open_keyring
from accredit.keys.rotation import CHANGE, LEAD_SECONDS, KeyInfo, Rotation
from accredit.keys.signer import Signer
from accredit.keys.signers.sealed import SealedKeys
from accredit.keys.signing_keys import SigningKey, SigningKeys
from accredit.storage.db import Database
from accredit.storage.feed import Feed
from accredit.storage.schema import changes, keys
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx
from tests.keys.keyrings import LONGEST_SECONDS, a_custody, a_signer, open_installation
from tests.rooms import Rooms, TestClock, with_rooms

# The longest that is known of: Envoy and jose keep the document for 600 s, and a proxy before them for our 60 s.
CACHED_SECONDS = 660
OVERLAP_SECONDS = LEAD_SECONDS + LONGEST_SECONDS + 60


def unrecorded(_tx: Tx, _key: KeyInfo) -> None:
    """For tests of what a rotation does besides its event."""


async def rotate(rotation: Rotation, *, now: bool = False, algorithm: AlgorithmName = "ES256") -> KeyId:
    return KeyId((await rotation.rotate(algorithm, at_once=now, record=unrecorded)).id)


def published(keyring: Keyring, algorithm: str = "ES256") -> set[str]:
    return {key["kid"] for key in keyring.jwks()["keys"] if key["alg"] == algorithm}


def test_a_new_key_is_published_then_signs_and_the_old_one_verifies_until_its_last_token_is_over(
    tmp_path: Path,
) -> None:
    async def act(rooms: Rooms) -> None:
        keyring, rotation = await open_installation(rooms, a_custody())
        old = keyring.signer()

        new = await rotate(rotation)

        assert published(keyring) == {old.key_id, new}
        assert keyring.signer() is old
        rooms.clock.move(LEAD_SECONDS - 1)
        assert keyring.signer() is old
        rooms.clock.move(1)
        assert keyring.signer().key_id == new
        assert keyring.verifying()[old.key_id] is old
        rooms.clock.move(LONGEST_SECONDS + 59)
        assert published(keyring) == {old.key_id, new}
        rooms.clock.move(1)
        assert published(keyring) == {new}
        assert old.key_id not in keyring.verifying()

    with_rooms(tmp_path, act)


def test_a_key_is_published_for_longer_than_its_document_may_be_cached() -> None:
    assert LEAD_SECONDS > CACHED_SECONDS


def test_at_once_the_new_key_signs_and_every_other_of_its_algorithm_ends(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        keyring, rotation = await open_installation(rooms, a_custody())
        old, other = keyring.signer(), keyring.signer("RS256")
        waiting = await rotate(rotation)

        new = await rotate(rotation, now=True)

        assert keyring.signer().key_id == new
        assert published(keyring) == {new}
        assert not {old.key_id, waiting} & keyring.verifying().keys()
        assert keyring.signer("RS256") is other
        assert published(keyring, "RS256") == {other.key_id}

    with_rooms(tmp_path, act)


def test_a_second_rotation_prolongs_nothing(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        keyring, rotation = await open_installation(rooms, a_custody())
        first = keyring.signer().key_id
        second = await rotate(rotation)
        rooms.clock.move(100)

        third = await rotate(rotation)

        ends = {key.id: key.retired_at or "" for key in await rotation.all() if key.algorithm == "ES256"}
        assert "" == ends[third] < ends[first] < ends[second]
        rooms.clock.move(OVERLAP_SECONDS - 100)
        assert published(keyring) == {second, third}

    with_rooms(tmp_path, act)


def test_every_process_follows_by_the_change_feed(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        custody = a_custody()
        here, rotation = await open_installation(rooms, custody)
        elsewhere = Database(f"sqlite:///{tmp_path / 'accredit.db'}")
        feed = Feed(elsewhere, rooms.clock)
        await feed.start()
        there = open_keyring(elsewhere, a_custody(), rooms.clock)
        following = Rotation(
            Transactions(elsewhere, rooms.writer, feed), there.signing_keys, custody, rooms.clock, new_id, 60
        )
        feed.subscribe(CHANGE, following.reload)
        old = there.signer().key_id

        new = await rotate(rotation, now=True)
        assert there.signer().key_id == old
        await feed.poll()
        async with asyncio.timeout(5):
            while there.signer().key_id == old:  # noqa: ASYNC110  # what another process knows has no event
                await asyncio.sleep(0.001)

        assert there.signer().key_id == here.signer().key_id == new
        assert old not in there.verifying()
        await following.close()
        elsewhere.close()

    with_rooms(tmp_path, act)


def test_what_cannot_be_loaded_leaves_the_old_keys_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation_module, "RETRY_SECONDS", 0.01)

    class Away(SealedKeys):
        """A place that is away for a while."""

        refusals = 2

        def open(self, key_id: KeyId, algorithm: AlgorithmName, kept: bytes) -> Signer:  # type: ignore[override]
            if self.refusals:
                self.refusals -= 1
                raise Unavailable("away")
            return super().open(key_id, algorithm, kept)

    async def act(rooms: Rooms) -> None:
        keyring, rotation = await open_installation(rooms, a_custody())
        following_keys = SigningKeys(rooms.clock, [_as_it_is(keyring)])
        custody = a_custody(bytes(32), Away())
        following = Rotation(rooms.transactions, following_keys, custody, rooms.clock, new_id, 60)
        old = keyring.signer().key_id
        new = await rotate(rotation, now=True)

        following.reload(new)
        await asyncio.sleep(0)
        assert following_keys.signer().key_id == old
        async with asyncio.timeout(5):
            while following_keys.signer().key_id == old:  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.001)

        assert following_keys.signer().key_id == new
        await following.close()

    with_rooms(tmp_path, act)


def test_without_its_event_nothing_is_rotated(tmp_path: Path) -> None:
    def fail(_tx: Tx, _key: KeyInfo) -> None:
        raise Unavailable("the event cannot be written")

    async def act(rooms: Rooms) -> None:
        keyring, rotation = await open_installation(rooms, a_custody())
        before = await rotation.all(), keyring.jwks()

        with pytest.raises(Unavailable, match="event"):
            await rotation.rotate("ES256", at_once=True, record=fail)

        await rotation.load()
        assert (await rotation.all(), keyring.jwks()) == before
        assert await rooms.database.read(lambda c: c.execute(select(changes)).all()) == []

    with_rooms(tmp_path, act)


def test_a_retired_key_is_erased_and_no_row_can_bring_it_back(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        keyring, rotation = await open_installation(rooms, a_custody())
        old = keyring.signer().key_id
        await rotate(rotation, now=True)

        revive = update(keys).where(keys.c.id == old).values(retired_at=None)
        await rooms.transactions.change(lambda tx: tx.connection.execute(revive) and None)
        await rotation.load()

        found = await rooms.database.read(lambda c: c.execute(select(keys.c.sealed).where(keys.c.id == old)).scalar())
        assert found == b""
        assert old not in keyring.verifying()

    with_rooms(tmp_path, act)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"algorithm": "RS256"}, id="another algorithm"),
        pytest.param({"algorithm": "none"}, id="no algorithm"),
        pytest.param({"kept_in": "elsewhere"}, id="another place"),
        pytest.param({"sealed": b"\x01" + bytes(60)}, id="another text"),
    ],
)
def test_a_row_that_was_changed_is_not_opened(tmp_path: Path, change: dict[str, object]) -> None:
    async def act(rooms: Rooms) -> None:
        keyring, _ = await open_installation(rooms, a_custody())
        forge = update(keys).where(keys.c.id == keyring.signer().key_id).values(**change)
        await rooms.transactions.change(lambda tx: tx.connection.execute(forge) and None)

        with pytest.raises(Unavailable):
            await Rotation(
                rooms.transactions, SigningKeys(rooms.clock), a_custody(), rooms.clock, new_id, LONGEST_SECONDS
            ).load()

    with_rooms(tmp_path, act)


def test_keys_of_two_rows_cannot_be_swapped(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        keyring, rotation = await open_installation(rooms, a_custody())
        old, new = keyring.signer().key_id, await rotate(rotation)
        stolen = select(keys.c.sealed).where(keys.c.id == old).scalar_subquery()
        swap = update(keys).where(keys.c.id == new).values(sealed=stolen)
        await rooms.transactions.change(lambda tx: tx.connection.execute(swap) and None)

        with pytest.raises(Unavailable):
            open_keyring(rooms.database, a_custody(), rooms.clock)

    with_rooms(tmp_path, act)


def test_the_list_says_what_each_key_does(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        keyring, rotation = await open_installation(rooms, a_custody())
        first = keyring.signer().key_id
        second = await rotate(rotation)
        listed = {key.id: key.status for key in await rotation.all() if key.algorithm == "ES256"}
        assert listed == {first: "signing", second: "next"}

        rooms.clock.move(LEAD_SECONDS)
        listed = {key.id: key.status for key in await rotation.all() if key.algorithm == "ES256"}
        assert listed == {first: "verifying", second: "signing"}

        rooms.clock.move(OVERLAP_SECONDS)
        listed = {key.id: key.status for key in await rotation.all() if key.algorithm == "ES256"}
        assert listed == {first: "retired", second: "signing"}

    with_rooms(tmp_path, act)


def test_a_clock_that_is_set_back_brings_the_earlier_key_back() -> None:
    clock = TestClock(1_000.0)
    old, new = a_signer(key_id="key_1"), a_signer(key_id="key_2")
    held = SigningKeys(
        clock,
        [
            SigningKey(signer=old, active_at=0.0, retired_at=None),
            SigningKey(signer=new, active_at=1_000.0, retired_at=None),
        ],
    )
    assert held.signer() is new

    clock.move(-1)

    assert held.signer() is old


def test_an_algorithm_without_a_key_signs_nothing() -> None:
    with pytest.raises(Unavailable, match="no key signs RS256"):
        SigningKeys(TestClock(), [SigningKey(signer=a_signer(), active_at=0.0, retired_at=None)]).signer("RS256")


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_a_sealed_key_signs_without_suspending_its_caller(algorithm: str) -> None:
    signer = a_signer(algorithm)

    signing = signer.sign(b"text")
    with pytest.raises(StopIteration) as done:
        signing.send(None)

    signer.verify(b"text", done.value.value)
    for data, signature in ((b"texs", done.value.value), (b"text", done.value.value[:-1]), (b"text", bytes(64))):
        with pytest.raises(SignatureInvalid):
            signer.verify(data, signature)


def _as_it_is(keyring: Keyring) -> SigningKey:
    return SigningKey(signer=keyring.signer(), active_at=0.0, retired_at=None)
