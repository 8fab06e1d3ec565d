"""What would make a denial a permit, found by asking again with better facts; policy alone says what helps.

Only facts that can be obtained are tried: approvals, and a role for a while. Never risk, time or place. Candidates
come from the constants that the policies themselves compare with, cheapest first, forbids included.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from accredit.policy.facts import Facts
from accredit.policy.slices import Slice

MAX_TRIES = 64
_MOST_APPROVALS = 2
_APPROVAL_COST = 10
_ELEVATION_COST = 5


@dataclass(frozen=True, slots=True)
class Step:
    """So many approvals, and a role for a while (`""`: none)."""

    approvals: int = 0
    elevation: str = ""


def find_step(slice_: Slice, facts: Facts, permits: Callable[[Facts], bool]) -> Step | None:
    """The cheapest step under which `permits` holds; None if nothing obtainable helps."""
    for step in steps(slice_):
        if permits(after(facts, step)):
            return step
    return None


def steps(slice_: Slice) -> Iterator[Step]:
    """The steps that could matter to these policies, cheapest first."""
    read = {name for policy in slice_.policies for name in policy.reads}
    approvals = range(_MOST_APPROVALS + 1) if "approval" in read else (0,)
    elevations = sorted({"", *(role for policy in slice_.policies for role in policy.elevations)})
    found = [Step(count, role) for count in approvals for role in elevations]
    found.sort(
        key=lambda step: (step.approvals * _APPROVAL_COST + bool(step.elevation) * _ELEVATION_COST, step.elevation)
    )
    # The first asks for nothing: that was denied already.
    yield from found[1 : MAX_TRIES + 1]


def after(facts: Facts, step: Step) -> Facts:
    """The facts once a step is taken."""
    return replace(facts, approvals=step.approvals, elevation=step.elevation)
