"""The one decision. Nothing else in the tree makes a Permit, and `tests/architecture` shows it.

A decision is taken in memory, queues its event, and returns: the caller awaits `ruling.recorded` before the effect
of a write and before the answer of anything else (rules 1 and 2 of the spine).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from accredit.agents.model import Agent, AgentStatus
from accredit.audit.event import AuditEvent
from accredit.audit.group import Group
from accredit.clock import Clock, rfc3339
from accredit.ids import EventId, NewId
from accredit.people.model import Person
from accredit.policy import advice
from accredit.policy.bounds import out_of_bounds
from accredit.policy.cedar import (
    AGENT_STATUS,
    AUTHORIZATION_DETAILS,
    DEFAULT_DENY,
    PERSON_RIGHTS,
    CompiledPolicies,
    Verdict,
)
from accredit.policy.engine import Engine, Place, Recent
from accredit.policy.facts import Facts
from accredit.policy.people import as_principal
from accredit.policy.permit import _SEAL, Decision, Permit, Refusal, Ruling, StepUp
from accredit.policy.request import MCP_SESSION, NO_EVIDENCE, TOKEN_ISSUE, AccessRequest, Evidence
from accredit.policy.stepup import Step, after, find_step, steps
from accredit.storage.writer import Once
from accredit.systems.model import Operation, System

BUILT_IN_ACTIONS = frozenset((TOKEN_ISSUE, MCP_SESSION))
_LISTINGS = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """A decision before it is recorded. `reason` is None for a permit."""

    policies: tuple[str, ...]
    reason: str | None = None
    next_step: str = ""
    step: Step | None = None

    @property
    def decision(self) -> str:
        if self.reason is None:
            return "permit"
        return "deny" if self.step is None else "step_up"


class Policy:
    """Decides by the policy set in force. Used on the event loop only; nothing in it waits.

    `newest_change` is the number of the newest change that this process has applied.
    """

    def __init__(
        self,
        group: Group,
        clock: Clock,
        new_id: NewId,
        newest_change: Callable[[], int],
        compiled: CompiledPolicies,
    ) -> None:
        self._group = group
        self._clock = clock
        self._new_id = new_id
        self._newest_change = newest_change
        self._use(compiled)

    @property
    def compiled(self) -> CompiledPolicies:
        """The set in force."""
        return self._engine.compiled

    def replace(self, compiled: CompiledPolicies) -> None:
        """Put another set in force; everything remembered of the old one goes with it."""
        self._use(compiled)

    def decide(
        self, request: AccessRequest, *, once: tuple[Once, ...] = (), if_permitted: tuple[Once, ...] = ()
    ) -> Decision:
        """Decide, queue the event, and return before it is durable.

        `once` joins the event's commit: if one of it was used before, `ruling.recorded` fails with UsedBefore.
        `if_permitted` does so with a permit only: what a refusal gives nothing for is not used up by it.
        """
        return self._conclude(request, once=once, if_permitted=if_permitted, of=None)

    def again(
        self, permit: Permit, agent: Agent | None, *, person: Person | None = None, ended: bool = False
    ) -> Decision:
        """Take a decision again, for the agent as it is now; None if it is no more (rule 3 of the spine).

        `person` is the one acted for, as they are now. `ended`: something that the permit came of was ended meanwhile:
        a token, a delegation, an earlier actor.

        For a permit whose commit showed a newer change than `ruling.change`. Still permitted: the same permit, and no
        second event. Otherwise a refusal, whose event names the first.
        """
        before = permit.ruling
        request = before.request if agent is None else replace(before.request, agent=agent, person=person)
        if ended or agent is None or agent.epoch != before.request.agent.epoch:
            finding = _Finding(policies=(AGENT_STATUS,), reason=advice.ended(request.agent))
        else:
            finding = self._find(request, self._clock.seconds())
        if finding.reason is None:
            return permit
        return self._conclude(request, finding=finding, of=before.event)

    def could_permit(
        self,
        agent: Agent,
        system: System,
        operation: Operation | None = None,
        *,
        action: str = MCP_SESSION,
        evidence: Evidence = NO_EVIDENCE,
    ) -> bool:
        """Whether some arguments would be permitted, at once or after a step-up: what an agent is shown.

        Without an operation, `action` names a built-in one. A permit that reads arguments counts as true where its
        other conditions hold, a forbid that does as false.
        """
        facts = Facts.of(self._clock.seconds(), evidence)
        key = (
            self._engine.standing(agent),
            system.id,
            system.version,
            operation,
            action,
            *_circumstances(evidence),
            int(facts.seconds // 3_600),
        )
        known = self._listings.get(key)
        if known is None:
            known = self._listings.put(key, self._could_permit(agent, system, operation, action, facts))
        return known

    def entitled_scopes(self, agent: Agent, system: System, evidence: Evidence = NO_EVIDENCE) -> tuple[str, ...]:
        """The scopes of an allowed system with which policy could permit an operation, sorted."""
        if system.name not in agent.systems:
            return ()
        hour = int(self._clock.seconds() // 3_600)
        key = (self._engine.standing(agent), system.id, system.version, *_circumstances(evidence), hour)
        known = self._scopes.get(key)
        if known is None:
            found = {one.scope for one in system.operations if self.could_permit(agent, system, one, evidence=evidence)}
            known = self._scopes.put(key, tuple(sorted(found)))
        return known

    def person_scopes(self, person: Person, system: System, evidence: Evidence = NO_EVIDENCE) -> tuple[str, ...]:
        """What a person may do on a system, and so may let an agent do: asked of the same policies.

        The person is a principal of type `person` in their own roles, whom every system is open to; no agent can be
        of that type.
        """
        return self.entitled_scopes(as_principal(person, system), system, evidence)

    def _use(self, compiled: CompiledPolicies) -> None:
        self._engine = Engine(compiled)
        self._listings: Recent[object, bool] = Recent(_LISTINGS)
        self._scopes: Recent[object, tuple[str, ...]] = Recent(_LISTINGS)

    def _conclude(
        self,
        request: AccessRequest,
        *,
        of: EventId | None,
        once: tuple[Once, ...] = (),
        if_permitted: tuple[Once, ...] = (),
        finding: _Finding | None = None,
    ) -> Decision:
        change = self._newest_change()
        now = self._clock.seconds()
        found = finding or self._find(request, now)
        event = self._event(request, found, now, of)
        ruling = Ruling(
            request=request,
            event=event.id,
            recorded=self._group.add(event, (*once, *if_permitted) if found.reason is None else once),
            policies=found.policies,
            policy_set=self._engine.compiled.digest,
            change=change,
        )
        if found.reason is None:
            return Permit(ruling, seal=_SEAL)
        if found.step is None:
            return Refusal(ruling=ruling, reason=found.reason, next_step=found.next_step)
        return StepUp(
            ruling=ruling,
            reason=found.reason,
            next_step=found.next_step,
            approvals=found.step.approvals,
            elevation=found.step.elevation,
        )

    def _event(self, request: AccessRequest, found: _Finding, now: float, of: EventId | None) -> AuditEvent:
        evidence = request.evidence
        return AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(now),
            type=_event_type(request, found),
            agent=request.agent.id,
            agent_name=request.agent.name,
            authentication=evidence.authentication,
            token_id=evidence.token_id,
            session=evidence.session,
            person=evidence.person,
            delegation=evidence.delegation,
            actors=tuple(actor.agent for actor in evidence.actors),
            sender_constraint=evidence.sender_constraint or None,
            action=request.action,
            system=request.system.name,
            resource=request.resource,
            decision=found.decision,
            policies=found.policies,
            policy_set=self._engine.compiled.digest,
            reason=found.reason,
            of=of,
        )

    def _find(self, request: AccessRequest, now: float) -> _Finding:
        """Decide, without recording: pure in the request, the time and the policy set."""
        if request.agent.status is not AgentStatus.ACTIVE:
            return _Finding(policies=(AGENT_STATUS,), reason=advice.not_active(request.agent))
        if not _is_known(request):
            return _Finding(policies=(DEFAULT_DENY,), reason=advice.unmatched(request))

        if (beyond := out_of_bounds(request)) is not None:
            return _Finding(policies=(AUTHORIZATION_DETAILS,), reason=beyond, next_step=advice.ASK_THE_PERSON)

        facts = Facts.of(now, request.evidence)
        place = self._place_of(request, request.agent)
        if place is None:
            return _Finding(policies=(DEFAULT_DENY,), reason=advice.not_evaluated(request, ()))
        verdict = self._engine.judge(place, facts, request)
        if verdict.permits and not self._person_may(request, facts):
            reason, next_step = advice.beyond_person(request), advice.GIVE_THE_PERSON_A_ROLE
            return _Finding(policies=(PERSON_RIGHTS,), reason=reason, next_step=next_step)
        if verdict.permits:
            return _Finding(policies=verdict.reasons)
        return self._explain(request, place, facts, verdict)

    def _person_may(self, request: AccessRequest, facts: Facts) -> bool:
        """Whether the person acted for may make this call themselves: one scope can be of more than they may do."""
        if request.evidence.person is None or request.operation is None:
            return True
        if request.person is None or request.person.id != request.evidence.person:
            return False
        place = self._place_of(request, as_principal(request.person, request.system))
        return place is not None and self._engine.judge(place, facts, request).permits

    def _explain(self, request: AccessRequest, place: Place, facts: Facts, verdict: Verdict) -> _Finding:
        if verdict.errors or not verdict.decided:
            policies = verdict.errors or (DEFAULT_DENY,)
            return _Finding(policies=policies, reason=advice.not_evaluated(request, verdict.errors))

        policies = verdict.reasons or (DEFAULT_DENY,)
        if verdict.reasons:
            reason = advice.refused_by(request, advice.described(self._engine.slice(place).policies, verdict.reasons))
        else:
            reason = advice.not_permitted(request)

        def permits(better: Facts) -> bool:
            return self._engine.judge(place, better, request).permits

        step = find_step(self._engine.slice(place), facts, permits)
        if step is not None:
            return _Finding(policies=policies, reason=reason, next_step=advice.step_text(step), step=step)
        if verdict.reasons:
            return _Finding(policies=policies, reason=reason, next_step=advice.FORBIDDEN)
        next_step = advice.who_could(request, lambda agent: self._would_permit(request, agent, facts))
        return _Finding(policies=policies, reason=reason, next_step=next_step)

    def _would_permit(self, request: AccessRequest, agent: Agent, facts: Facts) -> bool:
        """Whether the request would be permitted, outright or after a step, if its agent were this one."""
        place = self._place_of(request, agent)
        if place is None:
            return False

        def permits(these: Facts) -> bool:
            return self._engine.judge(place, these, request).permits

        return permits(facts) or find_step(self._engine.slice(place), facts, permits) is not None

    def _could_permit(
        self, agent: Agent, system: System, operation: Operation | None, action: str, facts: Facts
    ) -> bool:
        if agent.status is not AgentStatus.ACTIVE or (operation is None and action not in BUILT_IN_ACTIONS):
            return False
        place = self._engine.place(agent, system, action if operation is None else operation.action, operation)
        if place is None:
            return False
        tried = (facts, *(after(facts, step) for step in steps(self._engine.slice(place))))
        return any(self._engine.could_permit(place, these) for these in tried)

    def _place_of(self, request: AccessRequest, agent: Agent) -> Place | None:
        return self._engine.place(agent, request.system, request.action, request.operation)


def _circumstances(evidence: Evidence) -> tuple[str | int, ...]:
    """All of the evidence that a fact is made of: what is remembered for one holds only for the same."""
    return (
        evidence.network,
        evidence.person or "",
        len(evidence.actors),
        evidence.sender_constraint,
        evidence.acr,
    )


def _is_known(request: AccessRequest) -> bool:
    if request.operation is None:
        return request.action in BUILT_IN_ACTIONS
    return request.action == request.operation.action and request.action not in BUILT_IN_ACTIONS


def _event_type(request: AccessRequest, found: _Finding) -> str:
    if request.action != TOKEN_ISSUE:
        return "call.decided"
    return "token.issued" if found.reason is None else "token.refused"
