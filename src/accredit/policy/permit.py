"""What a decision can be. Only `policy.decide` makes one; issuing, leasing and forwarding each demand a Permit.

The seal is checked at run time as well: `tests/architecture` shows that nothing else in the tree makes a Permit.
"""

import asyncio
from dataclasses import dataclass
from typing import NoReturn

from accredit.ids import EventId
from accredit.policy.request import AccessRequest
from accredit.storage.schema import Recorded

_SEAL = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What every decision carries: the event that records it and the policies that made it.

    `recorded` is done when the event is durable: await it before the effect of a write, and before the answer
    of anything else. `change` is the newest change that the decision knew of (rule 3 of the spine).
    """

    request: AccessRequest
    event: EventId
    recorded: asyncio.Future[Recorded]
    policies: tuple[str, ...]
    policy_set: str
    change: int


class Permit:
    """The right to do one thing, once. It cannot be made, copied or pickled outside `policy.decide`."""

    __slots__ = ("ruling",)
    ruling: Ruling

    def __init__(self, ruling: Ruling, *, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only policy.decide makes a Permit")
        object.__setattr__(self, "ruling", ruling)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise TypeError("a Permit does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise TypeError("a Permit does not change")

    def __init_subclass__(cls) -> None:
        raise TypeError(f"Permit has no subclasses: {cls.__name__}")

    def __copy__(self) -> NoReturn:
        raise TypeError("a Permit is not copied")

    def __deepcopy__(self, _memo: object) -> NoReturn:
        raise TypeError("a Permit is not copied")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Permit is not pickled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No, and nothing that the caller can obtain now would change it. `next_step` says what a person could do."""

    ruling: Ruling
    reason: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp:
    """Not as things stand; this would make it a permit: so many approvals, or a role for a while."""

    ruling: Ruling
    reason: str
    next_step: str
    approvals: int = 0
    elevation: str = ""


Decision = Permit | Refusal | StepUp
