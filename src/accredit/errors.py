"""The base of every error that a caller may see.

Each room subclasses it, one class a reason:

Error:
    ├── InputRefused          what was sent is not what was asked for
    ├── NotFound              the thing named does not exist
    ├── Conflict              it exists already, or is in a state that forbids the change
    ├── NotAuthenticated      who asks is not known
    ├── NotPermitted          who asks is known and may not
    └── Unavailable           a part that is needed does not answer; nothing was done

`explanation` and `next_step` are for the caller; `detail` is for the log and never leaves the process.
"""

from typing import ClassVar


class Error(Exception):
    """What went wrong, what to do next, and the event's number where there is one."""

    code: ClassVar[str] = "error"

    def __init__(self, explanation: str, *, next_step: str = "", detail: str = "", event: int | None = None) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        self.next_step = next_step
        self.detail = detail
        self.event = event


class InputRefused(Error):
    """What was sent is malformed or not allowed in this place."""

    code = "input_refused"


class NotFound(Error):
    """The thing named does not exist, or the caller may not know that it does."""

    code = "not_found"


class Conflict(Error):
    """The thing exists already, or its state forbids the change."""

    code = "conflict"


class NotAuthenticated(Error):
    """The caller did not prove who it is."""

    code = "not_authenticated"


class NotPermitted(Error):
    """The caller is known and may not do this."""

    code = "not_permitted"


class Unavailable(Error):
    """A part that is needed does not answer. Nothing was done."""

    code = "unavailable"
