"""A delegation: which agent may act for which person, where, with which scopes, until when."""

from typing import Literal

import msgspec

from accredit.ids import AgentId, DelegationId, PersonId

DETAILS_TYPE = "accredit_action"
_DETAILS_LIMIT = 16


class ActionDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One object of `authorization_details` (RFC 9396 §2): just these actions of a system, for a purpose.

    `limits`: argument of the call → the largest number that it may be.
    """

    type: Literal["accredit_action"]
    system: str
    actions: tuple[str, ...]
    purpose: str = ""
    limits: dict[str, int] = {}


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """What a person gave. `audience` is the one resource that it holds for; times are seconds since 1970.

    `details` narrows the scopes to single actions; without any, the scopes are all. `remembered`: the same or less is
    given again without asking.
    """

    id: DelegationId
    person: PersonId
    agent: AgentId
    system: str
    audience: str
    scopes: tuple[str, ...]
    details: tuple[ActionDetails, ...]
    remembered: bool
    created_at: float
    expires_at: float
    ended_at: float | None = None

    def covers(self, audience: str, scopes: tuple[str, ...], details: tuple[ActionDetails, ...], now: float) -> bool:
        """Whether it holds now, and holds all of this."""
        holds = self.ended_at is None and now < self.expires_at and self.audience == audience
        return holds and set(scopes) <= set(self.scopes) and details == self.details
