"""`authorization_details` that only ever get narrower: from a token to what comes of it (RFC 9396 §6.1)."""

from collections.abc import Iterable

from accredit.delegations.model import ActionDetails
from accredit.oauth.errors import InvalidAuthorizationDetails


def narrow_details(asked: tuple[ActionDetails, ...], held: tuple[ActionDetails, ...]) -> tuple[ActionDetails, ...]:
    """What is carried on: all that is held if nothing is asked, else what is asked, each within one that is held.

    Raises InvalidAuthorizationDetails.
    """
    if not asked:
        return held
    if held and not all(any(_is_within(one, other) for other in held) for one in asked):
        raise InvalidAuthorizationDetails(
            "the token that it comes of does not hold these authorization_details", next_step="ask for no more than it"
        )
    return asked


def _is_within(one: ActionDetails, other: ActionDetails) -> bool:
    """Whether everything that `one` allows is allowed by `other`, for the same purpose."""
    same = one.system == other.system and other.purpose in ("", one.purpose)
    return same and set(one.actions) <= set(other.actions) and _limits_hold(one, other.limits.items())


def _limits_hold(one: ActionDetails, limits: Iterable[tuple[str, int]]) -> bool:
    return all(name in one.limits and one.limits[name] <= most for name, most in limits)
