"""The second event of a call: what became of it. It names the first, the decision, and is not waited for."""

import asyncio

from accredit.agents.model import Agent
from accredit.audit.event import AuditEvent
from accredit.audit.group import Group
from accredit.clock import Clock, rfc3339
from accredit.ids import EventId, NewId
from accredit.policy.permit import Ruling
from accredit.policy.request import AccessRequest
from accredit.storage.schema import Recorded
from accredit.systems.model import System
from accredit.tokens.errors import TokenNamed


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

    async def lacks_scope(self, request: AccessRequest, scope: str, seconds: float) -> Recorded:
        """A call is refused before policy is asked: its token lacks a scope that the agent is entitled to."""
        event_id, recorded = self._add(
            request, "call.decided", decision="deny", reason=f"the token lacks the scope {scope}"
        )
        latency_ms = round(seconds * 1_000, 3)
        self._add(request, "call.finished", of=event_id, outcome="insufficient_scope", latency_ms=latency_ms)
        return await recorded

    async def refused(self, agent: Agent | None, token: TokenNamed, system: System, reason: str) -> Recorded:
        """A request of a known token was no call at all: the token has ended, or the message is malformed."""
        event = AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type="call.refused",
            agent=token.agent,
            agent_name=None if agent is None else agent.name,
            authentication="access_token",
            token_id=token.token_id,
            system=system.name,
            decision="deny",
            reason=reason,
            outcome="refused",
        )
        return await self._group.add(event)

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
    ) -> tuple[EventId, asyncio.Future[Recorded]]:
        evidence = request.evidence
        event_id = EventId(self._new_id("evt"))
        return event_id, self._group.add(
            AuditEvent(
                id=event_id,
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
