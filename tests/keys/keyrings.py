"""Keys for tests, made and opened as an installation makes and opens its own."""

from collections.abc import Mapping

from accredit.ids import KeyId, new_id
from accredit.keys.algorithms import generate_private_key
from accredit.keys.custody import Custody
from accredit.keys.keyring import Keyring, add_keys, missing_purposes, new_keys, open_keyring
from accredit.keys.rotation import Rotation
from accredit.keys.seal import Sealer
from accredit.keys.signer import KeyPlace
from accredit.keys.signers.sealed import SealedKeys, SealedSigner
from tests.rooms import Rooms

LONGEST_SECONDS = 28_800


def a_signer(algorithm: str = "ES256", key_id: str = "key_test") -> SealedSigner:
    """A local key."""
    return SealedSigner(KeyId(key_id), generate_private_key(algorithm))  # type: ignore[arg-type]  # tests name it


def a_custody(master_key: bytes = bytes(32), *more: KeyPlace) -> Custody:
    """Sealed keys, and other places; new keys are made in the last one."""
    places: Mapping[str, KeyPlace] = {place.name: place for place in (SealedKeys(), *more)}
    return Custody(Sealer(master_key), places, [*places.values()][-1])


async def make_missing(rooms: Rooms, custody: Custody) -> None:
    """What the first start does."""
    made = await new_keys(missing_purposes(rooms.database), custody, rooms.clock.seconds(), new_id)
    await rooms.transactions.change(lambda tx: add_keys(tx, made))


async def open_installation(rooms: Rooms, custody: Custody) -> tuple[Keyring, Rotation]:
    """What a worker process does with the keys at its start."""
    await make_missing(rooms, custody)
    keyring = open_keyring(rooms.database, custody, rooms.clock)
    return keyring, a_rotation(rooms, keyring, custody)


def a_rotation(rooms: Rooms, keyring: Keyring, custody: Custody) -> Rotation:
    """The rotation of a keyring."""
    return Rotation(rooms.transactions, keyring.signing_keys, custody, rooms.clock, new_id, LONGEST_SECONDS)
