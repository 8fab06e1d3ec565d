"""What the context of a decision holds beside the arguments: always present, neutral where nothing is known.

So policies need no `has`, cannot err on a missing fact, and need no hidden order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from accredit.policy.request import Evidence

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
    person: str = ""
    delegation_depth: int = 0
    sender_constraint: str = ""
    acr: str = ""

    @classmethod
    def of(cls, seconds: float, evidence: Evidence) -> "Facts":
        """What is known of a request from how its caller proved who it is."""
        return cls(
            seconds,
            network=evidence.network,
            person=evidence.person or "",
            delegation_depth=len(evidence.actors),
            sender_constraint=evidence.sender_constraint,
            acr=evidence.acr,
        )


READERS: Mapping[str, Callable[[Facts], object]] = {
    "risk": lambda facts: facts.risk,
    # 0 to 23, in UTC.
    "hour": lambda facts: int(facts.seconds % _DAY_SECONDS) // _HOUR_SECONDS,
    # ISO 8601: 1 is Monday, 7 Sunday. 1970-01-01 was a Thursday.
    "weekday": lambda facts: (int(facts.seconds // _DAY_SECONDS) + 3) % 7 + 1,
    "network": lambda facts: facts.network,
    "approval": lambda facts: {"count": facts.approvals, "groups": []},
    "elevation": lambda facts: facts.elevation,
    # The id of the person acted for; "" when the agent acts as itself.
    "person": lambda facts: facts.person,
    # How many agents stand behind the one that acts.
    "delegation_depth": lambda facts: facts.delegation_depth,
    # "dpop" or "mtls" when the token is bound to a key that the caller proved; else "".
    "sender_constraint": lambda facts: facts.sender_constraint,
    # The authentication context class of the person's sign-in; "" where unknown.
    "acr": lambda facts: facts.acr,
}
"""Attribute of the context → its value. `schema.cedarschema` declares the same names and types."""
