"""Rotation with overlap: a new key is published, then signs, then the old one ends; every process follows.

    now                 the new key stands in the JWKS document
    + LEAD_SECONDS      it signs; the old one only verifies
    + the longest life  the old one ends, and its private half is erased

At once, for a key that leaked: the new one signs now, and every other of its algorithm ends now.

A crash before the commit leaves the old keys (and, in OpenBao, one that nobody uses); after it, the new ones.
"""

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from accredit.clock import Clock, rfc3339
from accredit.errors import Unavailable
from accredit.ids import KeyId, NewId
from accredit.keys import store
from accredit.keys.algorithms import AlgorithmName
from accredit.keys.custody import ACCESS_TOKEN, Custody, Wanted
from accredit.keys.signing_keys import SigningKey, SigningKeys, Status
from accredit.keys.store import KeyRow
from accredit.storage.transactions import Transactions
from accredit.storage.writer import Tx

CHANGE = "keys"
"""The kind under which the change feed tells of a rotation."""

LEAD_SECONDS = 900.0
"""How long a key is published before it signs. Our JWKS document may be cached for 60 s, but verifiers keep it longer
by themselves: PyJWT for 300 s, Envoy and jose for 600 s."""
OVERLAP_LEEWAY_SECONDS = 60.0
"""For verifiers whose clocks are late."""
RETRY_SECONDS = 1.0
_log = structlog.get_logger("accredit.keys")


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One key that signs tokens, without any of its secrets. Times are RFC 3339.

    `status`: `next` is published and does not sign yet; `signing`; `verifying` only ends what it signed; `retired`.
    `kept_in`: `sealed` in our database, or `openbao_transit`.
    """

    id: str
    algorithm: str
    status: Status
    kept_in: str
    created_at: str
    active_at: str
    retired_at: str | None


class Rotation:
    """Makes new keys, and keeps this process's `SigningKeys` as the database has them.

    `longest_seconds` is the longest life of anything that these keys sign.
    """

    def __init__(
        self,
        transactions: Transactions,
        keys: SigningKeys,
        custody: Custody,
        clock: Clock,
        new_id: NewId,
        longest_seconds: float,
    ) -> None:
        self._transactions = transactions
        self._keys = keys
        self._custody = custody
        self._clock = clock
        self._new_id = new_id
        self._longest_seconds = longest_seconds
        self._lock = asyncio.Lock()
        self._reloads: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Put the keys of the database in force. Raises Unavailable; the old ones then stay."""
        async with self._lock:
            # Opened in the reading thread: a key of RSA is checked for milliseconds when it is opened.
            keys = await self._transactions.read(lambda c: self._open(store.load_purpose(c, ACCESS_TOKEN)))
            self._keys.replace(keys)

    def reload(self, key_id: str) -> None:
        """Follow a rotation of any process: a subscriber of the change feed, for the kind `keys`."""
        del key_id
        task = asyncio.get_running_loop().create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def close(self) -> None:
        """Give up reloads that wait for the database."""
        reloads = tuple(self._reloads)
        for task in reloads:
            task.cancel()
        await asyncio.gather(*reloads, return_exceptions=True)

    async def rotate(
        self, algorithm: AlgorithmName, *, at_once: bool, record: Callable[[Tx, KeyInfo], None]
    ) -> KeyInfo:
        """Make a new key of one algorithm. `record` writes the event, in the same transaction.

        When this returns, this process follows it; the others do within the period of the change feed. Raises
        Unavailable if the key could not be made or written: nothing has changed then.
        """
        made = await self._custody.make(Wanted(ACCESS_TOKEN, algorithm), self._new_id, self._clock.seconds())

        def run(tx: Tx) -> KeyInfo:
            now = self._clock.seconds()
            row = made._replace(created_at=now, active_at=now if at_once else now + LEAD_SECONDS)
            ends_at = now if at_once else row.active_at + self._longest_seconds + OVERLAP_LEEWAY_SECONDS
            store.insert_key(tx, row)
            store.retire_others(tx, row, ends_at)
            store.erase_retired(tx, now)
            info = _info(row, "signing" if at_once else "next")
            record(tx, info)
            tx.changed(CHANGE, row.id)
            return info

        info, _ = await self._transactions.change(run)
        await self.load()
        return info

    async def all(self) -> tuple[KeyInfo, ...]:
        """Every key that signs tokens or did, the newest first."""
        rows = await self._transactions.read(lambda connection: store.load_purpose(connection, ACCESS_TOKEN))
        return tuple(_info(row, self._keys.status(row.id)) for row in rows)

    def _open(self, rows: list[KeyRow]) -> list[SigningKey]:
        return self._custody.open_signing(rows, self._clock.seconds(), self._keys.opened())

    async def _reload(self) -> None:
        while not await self._try_to_load():  # noqa: ASYNC110  # the database has no event to wait for
            # What has leaked must not be taken here for longer than it has to.
            await asyncio.sleep(RETRY_SECONDS)

    async def _try_to_load(self) -> bool:
        """Load; false if that may succeed later."""
        try:
            await self.load()
        except Unavailable as error:
            _log.warning("keys not loaded yet", reason=error.explanation, detail=error.detail)
            return False
        return True


def _info(row: KeyRow, status: Status) -> KeyInfo:
    return KeyInfo(
        id=KeyId(row.id),
        algorithm=row.algorithm,
        status=status,
        kept_in=row.kept_in,
        created_at=rfc3339(row.created_at),
        active_at=rfc3339(row.active_at),
        retired_at=None if row.retired_at is None else rfc3339(row.retired_at),
    )
