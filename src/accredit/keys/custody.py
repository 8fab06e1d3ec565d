"""How the rows of keys are made and opened: sealed by the master key; a token's key is in one of the places besides."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

from accredit.errors import Unavailable
from accredit.ids import KeyId, NewId
from accredit.keys.algorithms import ALGORITHMS, AlgorithmName
from accredit.keys.seal import Sealer
from accredit.keys.secrets import SECRETS
from accredit.keys.signer import SEALED, KeyPlace, Signer
from accredit.keys.signing_keys import SigningKey
from accredit.keys.store import KeyRow

ACCESS_TOKEN = "access_token"  # noqa: S105  # the name of a purpose


class Wanted(NamedTuple):
    """A key that an installation has: one for each purpose, and for tokens one for each algorithm."""

    purpose: str
    algorithm: str


class Custody:
    """Makes and opens keys. `places` by their names; new keys of tokens are made in `new_keys_in`."""

    def __init__(self, sealer: Sealer, places: Mapping[str, KeyPlace], new_keys_in: KeyPlace) -> None:
        self._sealer = sealer
        self._places = places
        self._new_keys_in = new_keys_in

    async def make(self, wanted: Wanted, new_id: NewId, now: float) -> KeyRow:
        """Make a key that signs from `now` on, and its row, which is not written yet. Raises Unavailable."""
        key_id = KeyId(new_id("key"))
        if wanted.purpose == ACCESS_TOKEN:
            place = self._new_keys_in
            plain, kept_in = await place.make(key_id, cast("AlgorithmName", wanted.algorithm)), place.name
        else:
            plain, kept_in = SECRETS[wanted.purpose].make(), SEALED
        sealed = self._sealer.seal(plain, _place_of(wanted.purpose, key_id))
        return KeyRow(key_id, wanted.purpose, wanted.algorithm, sealed, now, now, None, kept_in)

    def open_secret(self, row: KeyRow) -> bytes:
        """What a row of any other purpose than a token's holds. Raises Unavailable."""
        return self._sealer.open(row.sealed, _place_of(row.purpose, row.id))

    def open_signing(self, rows: Iterable[KeyRow], now: float, opened: Mapping[KeyId, Signer]) -> list[SigningKey]:
        """The keys of tokens that still verify; those of `opened` are not opened again. Raises Unavailable."""
        return [
            SigningKey(
                signer=opened.get(KeyId(row.id)) or self._open_signer(row),
                active_at=row.active_at,
                retired_at=row.retired_at,
            )
            for row in rows
            # An erased key stays retired, whatever this process's clock says.
            if row.purpose == ACCESS_TOKEN and row.sealed and (row.retired_at is None or row.retired_at > now)
        ]

    def _open_signer(self, row: KeyRow) -> Signer:
        place = self._places.get(row.kept_in)
        if place is None or row.algorithm not in ALGORITHMS:
            raise Unavailable("a signing key is of a kind that this version does not know", detail=row.id)
        kept = self._sealer.open(row.sealed, _place_of(row.purpose, row.id))
        return place.open(KeyId(row.id), row.algorithm, kept)


def _place_of(purpose: str, key_id: str) -> str:
    # Bound into the seal, so that rows cannot be swapped.
    return f"{purpose}/{key_id}"
