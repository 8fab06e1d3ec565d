"""The audit event: one JSON object, the same members always, null rather than absent.

The form is for ever: members are only appended, each with a neutral default, and `version` then grows. What is
committed to in the tree is the body without `seq`, since the number is given with the commit (see `group.py`).
"""

import msgspec

from accredit.ids import EventId

VERSION = 1


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, to whom, and why. Times are RFC 3339 in UTC, `latency_ms` is milliseconds.

    `type`: `token.issued`, `token.refused`, `call.decided`, `call.finished`, `agent.created`, `agent.suspended`, …
    `decision`: `permit`, `deny` or `step_up`; `policies`: the ids of the policies that decided;
    `policy_set`: the digest of the set in force; `of`: the id of the decision whose outcome this is;
    `resource`: what was acted on: a tool, a URI, an audience, or the id of a changed thing;
    `person`: the id of the person acted for, or of the administrator who acted.
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
