"""The audit event: one JSON object, the same members always, null rather than absent.

The form is for ever: members are only appended, each with a neutral default, and `version` then grows. What is
committed to in the tree is the body without `seq`, since the number is given with the commit (see `group.py`).
"""

from dataclasses import dataclass

import msgspec

from accredit.clock import Clock, rfc3339
from accredit.ids import EventId, NewId, PersonId

VERSION = 2


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, to whom, and why. Times are RFC 3339 in UTC, `latency_ms` is milliseconds.

    `type`: `token.issued`, `token.refused`, `call.decided`, `call.finished`, `agent.created`, `agent.suspended`, …
    `decision`: `permit`, `deny` or `step_up`; `policies`: the ids of the policies that decided;
    `policy_set`: the digest of the set in force; `of`: the id of the decision whose outcome this is;
    `resource`: what was acted on: a tool, a URI, an audience, or the id of a changed thing;
    `person`: the id of the person acted for, or of the administrator who acted; `delegation`: by which they let the
    agent act; `actors`: the agents behind the one that acts, the latest first; `sender_constraint`: `dpop` or `mtls`.
    Version 2 added the last three.
    """

    id: EventId
    time: str
    type: str
    version: int = VERSION
    agent: str | None = None
    agent_name: str | None = None
    authentication: str | None = None
    token_id: str | None = None
    session: str | None = None
    person: str | None = None
    action: str | None = None
    system: str | None = None
    resource: str | None = None
    decision: str | None = None
    policies: tuple[str, ...] = ()
    policy_set: str | None = None
    reason: str | None = None
    of: EventId | None = None
    outcome: str | None = None
    latency_ms: float | None = None
    delegation: str | None = None
    actors: tuple[str, ...] = ()
    sender_constraint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The person behind a management act, and how they proved who they are."""

    person: PersonId
    authentication: str


def management_event(kind: str, actor: Actor | None, clock: Clock, new_id: NewId, **members: str | None) -> AuditEvent:
    """The event of a change that a person made (None: that the server made by itself). `kind` is type and action."""
    return AuditEvent(
        id=EventId(new_id("evt")),
        time=rfc3339(clock.seconds()),
        type=kind,
        action=kind,
        person=actor.person if actor else None,
        authentication=actor.authentication if actor else None,
        outcome="ok",
        **members,  # type: ignore[arg-type]  # the names are AuditEvent's own, and msgspec checks them
    )
