"""The second event of a call: what became of it. It names the first, the decision, and is not waited for."""

import asyncio

from accredit.audit.event import AuditEvent
from accredit.audit.group import Group
from accredit.clock import Clock, rfc3339
from accredit.ids import EventId, NewId
from accredit.policy.permit import Ruling
from accredit.policy.request import AccessRequest
from accredit.storage.schema import Recorded


class Outcomes:
    """Writes what the gateway itself has to say to the log."""

    def __init__(self, group: Group, clock: Clock, new_id: NewId) -> None:
        self._group = group
        self._clock = clock
        self._new_id = new_id

    def finished(self, ruling: Ruling, outcome: str, seconds: float) -> None:
        """A call ended: `ok`, `tool_error`, `refused`, `upstream_timeout`, … after so many seconds."""
        latency_ms = round(seconds * 1_000, 3)
        self._add(ruling.request, "call.finished", of=ruling.event, outcome=outcome, latency_ms=latency_ms)

    def lacks_scope(self, request: AccessRequest, scope: str) -> asyncio.Future[Recorded]:
        """A call was refused before policy was asked: its token lacks a scope that the agent is entitled to."""
        reason = f"the token lacks the scope {scope}"
        return self._add(request, "call.decided", decision="deny", reason=reason, outcome="insufficient_scope")

    def _add(
        self,
        request: AccessRequest,
        kind: str,
        *,
        decision: str | None = None,
        reason: str | None = None,
        of: EventId | None = None,
        outcome: str | None = None,
        latency_ms: float | None = None,
    ) -> asyncio.Future[Recorded]:
        evidence = request.evidence
        return self._group.add(
            AuditEvent(
                id=EventId(self._new_id("evt")),
                time=rfc3339(self._clock.seconds()),
                type=kind,
                agent=request.agent.id,
                agent_name=request.agent.name,
                authentication=evidence.authentication,
                token_id=evidence.token_id,
                session=evidence.session,
                person=evidence.person,
                action=request.action,
                system=request.system.name,
                resource=request.resource,
                decision=decision,
                reason=reason,
                of=of,
                outcome=outcome,
                latency_ms=latency_ms,
            )
        )
