"""`authorization_details` of type `accredit_action` (RFC 9396): just these actions of one system, within limits."""

from collections.abc import Iterable

import msgspec

from accredit.delegations.model import DETAILS_TYPE, ActionDetails
from accredit.oauth.errors import InvalidAuthorizationDetails, InvalidTarget
from accredit.systems.model import System

_BYTES = 8_192
_OBJECTS = 8
_ACTIONS = 32
_LIMITS = 16
_PURPOSE = 300
_NAME = 128
_LARGEST = 2**53 - 1


class _Typed(msgspec.Struct):
    """Any object of the list: its type decides how it is read."""

    type: str


def parse_details(text: str | None) -> tuple[ActionDetails, ...]:
    """The objects of the parameter, each as its type demands. Raises InvalidAuthorizationDetails."""
    if text is None:
        return ()
    if len(text.encode()) > _BYTES:
        raise InvalidAuthorizationDetails(f"authorization_details are longer than {_BYTES} bytes")
    try:
        types = {one.type for one in msgspec.json.decode(text, type=tuple[_Typed, ...])}
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise InvalidAuthorizationDetails(
            "authorization_details are a JSON array of objects with a type (RFC 9396 §2)", detail=type(error).__name__
        ) from error
    if types - {DETAILS_TYPE}:
        raise InvalidAuthorizationDetails(f"the only type that is known here is {DETAILS_TYPE}")
    try:
        details = msgspec.json.decode(text, type=tuple[ActionDetails, ...])
    except (msgspec.MsgspecError, RecursionError) as error:
        # The message names members and types, and no value.
        raise InvalidAuthorizationDetails(f"authorization_details: {error}") from error
    if not 1 <= len(details) <= _OBJECTS:
        raise InvalidAuthorizationDetails(f"authorization_details hold 1 to {_OBJECTS} objects")
    for one in details:
        _check(one)
    if len({one.system for one in details}) > 1:
        raise InvalidAuthorizationDetails("all details of one request are of one system: a token has one audience")
    return details


def resolve_details(details: Iterable[ActionDetails], system: System) -> None:
    """Check that the system is the one that is asked for, and has every action. Raises InvalidAuthorizationDetails."""
    actions = {one.action for one in system.operations}
    for one in details:
        if one.system != system.name:
            raise InvalidTarget("resource and authorization_details name two systems", next_step="leave resource out")
        if not actions.issuperset(one.actions):
            raise InvalidAuthorizationDetails("the system has no such action", next_step="see the system's manifest")


def scopes_of(details: Iterable[ActionDetails], system: System) -> tuple[str, ...]:
    """The scopes of the actions, sorted: without them a token could not reach the actions."""
    actions = {action for one in details for action in one.actions}
    return tuple(sorted({one.scope for one in system.operations if one.action in actions}))


def _check(one: ActionDetails) -> None:
    if not 1 <= len(one.actions) <= _ACTIONS:
        raise InvalidAuthorizationDetails(f"an object names 1 to {_ACTIONS} actions")
    if len(one.purpose) > _PURPOSE or not one.purpose.isprintable():
        raise InvalidAuthorizationDetails(f"a purpose is one line of at most {_PURPOSE} characters")
    if len(one.limits) > _LIMITS:
        raise InvalidAuthorizationDetails(f"an object holds at most {_LIMITS} limits")
    for name, most in one.limits.items():
        if not 1 <= len(name) <= _NAME or not name.isprintable() or not 0 <= most <= _LARGEST:
            raise InvalidAuthorizationDetails("a limit is an argument's name and a whole number from 0 to 2^53 - 1")
