"""How often somebody may type a wrong code: who could try on would find the code of another's device (RFC 8628 §5.1).

Kept in memory, a process: each counts for itself. Nothing of it has to outlive a restart.
"""

from collections import OrderedDict

from accredit.clock import Clock
from accredit.ids import PersonId

WRONG_CODES = 10
WINDOW_SECONDS = 600.0
_PEOPLE = 10_000


class CodeLimit:
    """Counts a person's wrong codes of the last ten minutes, in whichever session they typed them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: OrderedDict[PersonId, tuple[float, ...]] = OrderedDict()

    def is_reached(self, person: PersonId) -> bool:
        """Whether no further code of this person is looked at now."""
        return len(self._recent(person)) >= WRONG_CODES

    def count(self, person: PersonId) -> None:
        """Count a wrong code."""
        self._wrong[person] = (*self._recent(person), self._clock.monotonic())
        self._wrong.move_to_end(person)
        if len(self._wrong) > _PEOPLE:
            self._wrong.popitem(last=False)

    def _recent(self, person: PersonId) -> tuple[float, ...]:
        since = self._clock.monotonic() - WINDOW_SECONDS
        return tuple(at for at in self._wrong.get(person, ()) if at > since)
