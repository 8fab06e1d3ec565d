"""The keys that sign tokens, as one process has them in memory: which signs now, which verify, what is published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

from accredit.clock import Clock
from accredit.errors import Unavailable
from accredit.ids import KeyId
from accredit.keys.algorithms import ALGORITHMS, DEFAULT_ALGORITHM
from accredit.keys.signer import Signer

Status = Literal["next", "signing", "verifying", "retired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key and its times, in seconds since 1970: it may sign from `active_at`, and verifies until `retired_at`."""

    signer: Signer
    active_at: float
    retired_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """What holds from `since` until `until`: nothing changes in between but by `replace`."""

    since: float
    until: float
    signing: Mapping[str, Signer]
    verifying: Mapping[str, Signer]


class SigningKeys:
    """Answers by the present time, at the cost of one comparison while no key's time begins or ends."""

    def __init__(self, clock: Clock, keys: Iterable[SigningKey] = ()) -> None:
        self._clock = clock
        self.replace(keys)

    def replace(self, keys: Iterable[SigningKey]) -> None:
        """Put other keys in force."""
        self._keys = tuple(keys)
        self._view = _view(self._keys, self._clock.seconds())

    def signer(self, algorithm: str = DEFAULT_ALGORITHM) -> Signer:
        """The key that signs now: the one of this algorithm whose time began last. Raises Unavailable if none does."""
        found = self._now().signing.get(algorithm)
        if found is None:
            raise Unavailable(
                f"no key signs {algorithm} now", next_step=f"accredit keys rotate --algorithm {algorithm}"
            )
        return found

    def verifying(self) -> Mapping[str, Signer]:
        """By `kid`, what is present and not retired: asked at each verification, since a key can end at any time."""
        return self._now().verifying

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The JWK Set document (RFC 7517 §5): a key that will sign soon is there already."""
        return {"keys": [signer.public_jwk for signer in self.verifying().values()]}

    def status(self, key_id: str) -> Status:
        """What a key does now; `retired` for one that is not there."""
        view = self._now()
        signer = view.verifying.get(key_id)
        if signer is None:
            return "retired"
        if view.signing.get(signer.algorithm) is signer:
            return "signing"
        active_at = next(key.active_at for key in self._keys if key.signer is signer)
        return "next" if active_at > view.since else "verifying"

    def opened(self) -> Mapping[KeyId, Signer]:
        """Every key that is open, whatever its time."""
        return {key.signer.key_id: key.signer for key in self._keys}

    def _now(self) -> _View:
        now = self._clock.seconds()
        view = self._view
        # A clock that is set back brings an earlier view back.
        if not view.since <= now < view.until:
            view = self._view = _view(self._keys, now)
        return view


def _view(keys: Iterable[SigningKey], now: float) -> _View:
    newest_first = sorted(keys, key=lambda key: (key.active_at, key.signer.key_id), reverse=True)
    present = [key for key in newest_first if key.retired_at is None or key.retired_at > now]
    present.sort(key=lambda key: ALGORITHMS.index(key.signer.algorithm))
    signing: dict[str, Signer] = {}
    for key in present:
        if key.active_at <= now:
            signing.setdefault(key.signer.algorithm, key.signer)
    times = [time for key in present for time in (key.active_at, key.retired_at) if time is not None and time > now]
    return _View(
        since=now,
        until=min(times, default=inf),
        signing=signing,
        verifying={key.signer.key_id: key.signer for key in present},
    )
