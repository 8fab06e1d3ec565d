"""What the context of a decision holds beside the arguments: always present, neutral where nothing is known.

So policies need no `has`, cannot err on a missing fact, and need no hidden order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

_DAY_SECONDS = 86_400
_HOUR_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one request. `seconds` is the time of the decision, since 1970 UTC."""

    seconds: float
    network: str = ""
    risk: int = 0
    approvals: int = 0
    elevation: str = ""


READERS: Mapping[str, Callable[[Facts], object]] = {
    "risk": lambda facts: facts.risk,
    # 0 to 23, in UTC.
    "hour": lambda facts: int(facts.seconds % _DAY_SECONDS) // _HOUR_SECONDS,
    # ISO 8601: 1 is Monday, 7 Sunday. 1970-01-01 was a Thursday.
    "weekday": lambda facts: (int(facts.seconds // _DAY_SECONDS) + 3) % 7 + 1,
    "network": lambda facts: facts.network,
    "approval": lambda facts: {"count": facts.approvals, "groups": []},
    "elevation": lambda facts: facts.elevation,
}
"""Attribute of the context → its value. `schema.cedarschema` declares the same names and types."""
