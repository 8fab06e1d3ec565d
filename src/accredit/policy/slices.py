"""The policies that can apply to one request, found by index: cost does not grow with the size of the set.

A policy is found by the keys of its scope, so candidates may be too many, never too few: Cedar still tests each
scope. `tests/policy` holds slices to the whole set, in decision, reasons and errors.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import cedarpy

from accredit.policy import est
from accredit.policy.cedar import CompiledPolicies, CompiledPolicy, policy_set

HELD_POLICIES = 10_000
"""How many policies all cached slices hold together: about 100 MB."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A slice as `could_permit` asks it: what stands whatever the arguments, and what could hold for some of them."""

    certain: cedarpy.PolicySet
    possible: cedarpy.PolicySet | None


@dataclass(slots=True, eq=False)
class Slice:
    """The candidates of one kind of request, as one handle."""

    policies: tuple[CompiledPolicy, ...]
    handle: cedarpy.PolicySet
    _listing: Listing | None = field(default=None, init=False)

    def listing(self) -> Listing:
        """The slice without forbids that read arguments, and with such permits relaxed. Made at first use."""
        if self._listing is None:
            certain = [(policy.id, policy.cedar_json) for policy in self.policies if not policy.reads_arguments]
            possible = [(policy.id, policy.relaxed_json) for policy in self.policies if policy.relaxed_json]
            self._listing = Listing(policy_set(certain), policy_set(possible) if possible else None)
        return self._listing


class Slices:
    """The index of one compiled set, and a bounded cache of slices."""

    def __init__(self, compiled: CompiledPolicies, held_policies: int = HELD_POLICIES) -> None:
        self._policies = compiled.policies
        self._held_limit = held_policies
        self._held = 0
        self._cache: OrderedDict[tuple[int, ...], Slice] = OrderedDict()
        self._by_principal = _index((policy.principal,) for policy in self._policies)
        self._by_action = _index(policy.actions for policy in self._policies)
        self._by_resource = _index((policy.resource,) for policy in self._policies)

    def candidates(
        self, principal: Iterable[str], action: Iterable[str], resource: Iterable[str]
    ) -> tuple[CompiledPolicy, ...]:
        """The policies whose scope could match; each argument is the thing's own key, its type and all ancestors."""
        return tuple(self._policies[position] for position in self.positions(principal, action, resource))

    def positions(self, principal: Iterable[str], action: Iterable[str], resource: Iterable[str]) -> tuple[int, ...]:
        """The same as places in the set: the name by which `slice` knows a slice."""
        mask = (
            _mask(self._by_principal, principal) & _mask(self._by_action, action) & _mask(self._by_resource, resource)
        )
        return tuple(_bits(mask))

    def slice(self, positions: tuple[int, ...]) -> Slice:
        """The slice of these policies: parsed at first use, then kept while there is room."""
        found = self._cache.get(positions)
        if found is not None:
            self._cache.move_to_end(positions)
            return found
        policies = tuple(self._policies[position] for position in positions)
        made = Slice(policies, policy_set((policy.id, policy.cedar_json) for policy in policies))
        self._cache[positions] = made
        self._held += len(positions)
        while self._held > self._held_limit and len(self._cache) > 1:
            dropped, _ = self._cache.popitem(last=False)
            self._held -= len(dropped)
        return made


def _index(keys_of: Iterable[Iterable[str]]) -> dict[str, int]:
    """Key → a bit for each policy that has it."""
    positions: defaultdict[str, list[int]] = defaultdict(list)
    for position, keys in enumerate(keys_of):
        for key in keys:
            positions[key].append(position)
    return {key: _from_bits(found) for key, found in positions.items()}


def _from_bits(positions: list[int]) -> int:
    octets = bytearray(positions[-1] // 8 + 1)
    for position in positions:
        octets[position // 8] |= 1 << (position % 8)
    return int.from_bytes(octets, "little")


def _mask(index: dict[str, int], keys: Iterable[str]) -> int:
    mask = index.get(est.ANY, 0)
    for key in keys:
        mask |= index.get(key, 0)
    return mask


def _bits(mask: int) -> Iterable[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
