"""`/api/v1/keys`: see the keys that sign tokens, and change them."""

import msgspec

from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import Nothing
from accredit.audit.event import management_event
from accredit.audit.group import record
from accredit.clock import Clock
from accredit.ids import NewId
from accredit.keys.algorithms import DEFAULT_ALGORITHM, AlgorithmName
from accredit.keys.rotation import KeyInfo, Rotation
from accredit.storage.writer import Tx

ROTATED = "key.rotated"


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Every key that signs tokens or did, the newest first."""

    keys: tuple[KeyInfo, ...]


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made. `now`: it signs at once, and the older keys of its algorithm end at once."""

    algorithm: AlgorithmName = DEFAULT_ALGORITHM
    now: bool = False


class KeyEndpoints:
    """What can be done with the keys of tokens."""

    def __init__(self, rotation: Rotation, clock: Clock, new_id: NewId) -> None:
        self._rotation = rotation
        self._clock = clock
        self._new_id = new_id

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/keys",
                summary="List the keys that sign tokens",
                act=self._list,
                body=Nothing,
                query=Nothing,
                answer=Keys,
            ),
            Endpoint(
                method="POST",
                path="/api/v1/keys",
                summary="Make a new key that takes the place of the older ones of its algorithm",
                act=self._rotate,
                body=NewKey,
                query=Nothing,
                answer=KeyInfo,
                status=201,
            ),
        )

    async def _list(self, call: Call[Nothing, Nothing]) -> Keys:
        del call
        return Keys(keys=await self._rotation.all())

    async def _rotate(self, call: Call[NewKey, Nothing]) -> KeyInfo:
        def note(tx: Tx, key: KeyInfo) -> None:
            how = "at once; the older keys have ended" if call.body.now else f"from {key.active_at}"
            event = management_event(
                ROTATED,
                call.actor,
                self._clock,
                self._new_id,
                resource=key.id,
                reason=f"a new {key.algorithm} key ({key.kept_in}) signs {how}",
            )
            record(tx, event)

        return await self._rotation.rotate(call.body.algorithm, at_once=call.body.now, record=note)
