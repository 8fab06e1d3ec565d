"""What a token's `authorization_details` allow (RFC 9396): just the actions that they name, within their limits.

Policy is asked as well: details take away and give nothing.
"""

from collections.abc import Iterable, Mapping

from accredit.delegations.model import ActionDetails
from accredit.policy.request import AccessRequest
from accredit.systems.model import Operation, System


def names(details: Iterable[ActionDetails], system: System, operation: Operation) -> bool:
    """Whether one of the details names the operation, whatever its limits; true where there are none."""
    listed = tuple(details)
    return not listed or any(_names(one, system, operation) for one in listed)


def out_of_bounds(request: AccessRequest) -> str | None:
    """Why the details do not allow a call; None if they do, or there are none. Lists and sessions need no detail."""
    operation = request.operation
    if not request.details or operation is None:
        return None
    named = [one for one in request.details if _names(one, request.system, operation)]
    if not named:
        return f"the token is for other actions than {operation.action}"
    reasons = [_beyond(one.limits, request.arguments or {}) for one in named]
    return None if None in reasons else reasons[0]


def _names(one: ActionDetails, system: System, operation: Operation) -> bool:
    return one.system == system.name and operation.action in one.actions


def _beyond(limits: Mapping[str, int], arguments: Mapping[str, object]) -> str | None:
    for name, most in limits.items():
        value = arguments.get(name)
        # What is left out, or is no number, could be anything to the system: only what is known to be within is.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            return f"the token limits {name} to a number from 0 to {most}"
    return None
