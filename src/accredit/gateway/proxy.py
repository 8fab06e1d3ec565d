"""The enforcement point: one request, top to bottom.

authenticate → resolve → decide → forward → inspect → record. Nothing is sent to an upstream without a Permit; a write
not before its event is durable; a read is sent at once and answered after its event is durable (rules 1 to 3 of the
spine). Where a request ends early, it is answered in the form of its protocol.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from accredit.agents.registry import Agents
from accredit.audit.group import Group
from accredit.clock import Clock
from accredit.errors import Error
from accredit.gateway import ending
from accredit.gateway.discover import ToolSchemas
from accredit.gateway.downstream import AsgiDownstream
from accredit.gateway.lifeline import TOO_SLOW, Cut, Lifeline
from accredit.gateway.live import LiveStreams
from accredit.gateway.outcome import Outcomes
from accredit.gateway.protocol import Call, Incoming, Malformed, Reply, Stamp
from accredit.gateway.protocols import protocols
from accredit.gateway.release import Settled, Withdrawn
from accredit.gateway.routes import HeaderMap, Route, Routes
from accredit.ids import NewId, PersonId
from accredit.keys.seal import Sealer
from accredit.outbound import Outbound
from accredit.outbound.client import Timeouts
from accredit.outbound.failures import UpstreamFailure, UpstreamTimeout
from accredit.people.directory import People
from accredit.people.model import Person
from accredit.policy import bounds
from accredit.policy.decide import Policy
from accredit.policy.people import as_principal
from accredit.policy.permit import Permit
from accredit.policy.request import AccessRequest
from accredit.policy.settle import Settlement
from accredit.storage.writer import UsedBefore
from accredit.systems.model import TRANSACTION_TOKEN, Operation, System, Tool
from accredit.systems.registry import Systems
from accredit.tokens import transaction
from accredit.tokens.errors import InvalidToken, TokenNamed
from accredit.tokens.model import Caller
from accredit.tokens.transaction import TransactionTokens
from accredit.web.asgi import BodyTooLarge, BodyTooSlow, Disconnected, Receive, Scope, Send, read_body
from accredit.web.bearer import Bearer
from accredit.web.problem import Failed

_GRACE_SECONDS = 2.0
_log = structlog.get_logger("accredit.gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`body_bytes` of a request; `answer_seconds` until the whole of an answer that is no stream is there."""

    body_bytes: int = 1_048_576
    answer_seconds: float = 60.0


class Gateway:
    """The ASGI application of `/gateway/…`."""

    def __init__(
        self,
        *,
        issuer: str,
        bearer: Bearer,
        systems: Systems,
        agents: Agents,
        people: People,
        policy: Policy,
        settlement: Settlement,
        group: Group,
        outbound: Outbound,
        discover: Callable[[System], Awaitable[list[Tool]]],
        sealer: Sealer,
        clock: Clock,
        new_id: NewId,
        transactions: TransactionTokens,
        limits: Limits | None = None,
        origins: frozenset[str] = frozenset(),
    ) -> None:
        self._bearer = bearer
        self._people = people
        self._policy = policy
        self._settlement = settlement
        self._outbound = outbound
        self._transactions = transactions
        self._clock = clock
        self._limits = limits or Limits()
        self._routes = Routes(issuer, systems, origins | {issuer})
        self._protocols = protocols(sealer, new_id)
        self._schemas = ToolSchemas(systems, discover, clock)
        self._outcomes = Outcomes(group, clock, new_id)
        self.live = LiveStreams(agents.get)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Whatever goes wrong, the call is not forwarded and the client gets an answer."""
        downstream = AsgiDownstream(send)
        try:
            await self._serve(scope, receive, downstream)
        except Disconnected:
            return
        except Error as error:
            if error.detail:
                _log.info("a request failed", reason=error.explanation, detail=error.detail)
            await ending.give_up(downstream, error)
        except Exception:  # noqa: BLE001  # the outermost edge: it logs, and nothing more is done
            _log.exception("a request failed in a way that is not understood")
            await ending.give_up(downstream, Failed())

    async def _serve(self, scope: Scope, receive: Receive, downstream: AsgiDownstream) -> None:
        began = self._clock.monotonic()
        head = self._routes.check_head(scope)
        route = self._routes.find(scope)

        try:
            caller = await self._bearer.authenticate(scope, route.audience)
        except InvalidToken as error:
            return await self._refuse_token(downstream, error, route)
        downstream.more = self._bearer.nonce_for(caller)

        try:
            await self._call(scope, receive, downstream, caller, route, head, began)
        except UsedBefore as used:
            refused = ending.used_before(used)
            refused.token = TokenNamed(caller.agent.id, caller.token_id)
            await self._refuse_token(downstream, refused, route)
        except Malformed as error:
            stamp = await self._record_malformed(caller, route, error)
            await downstream.reply(error.reply(stamp.event), stamp)
        except (BodyTooLarge, BodyTooSlow) as error:
            error.event = (await self._record_malformed(caller, route, error)).event
            raise

    async def _refuse_token(self, downstream: AsgiDownstream, error: InvalidToken, route: Route) -> None:
        # A token that is not ours names nobody: recording it would let strangers fill the log.
        if error.token is not None:
            error.event = (await self._outcomes.refused(None, error.token, route.system, error.explanation)).seq
        challenges = self._bearer.challenges(error, route.metadata)
        await downstream.reply(ending.unauthorized(error, challenges))

    async def _record_malformed(self, caller: Caller, route: Route, error: Error) -> Stamp:
        named = TokenNamed(caller.agent.id, caller.token_id)
        recorded = await self._outcomes.refused(caller.agent, named, route.system, error.explanation)
        return Stamp(recorded.seq, ())

    async def _call(
        self,
        scope: Scope,
        receive: Receive,
        downstream: AsgiDownstream,
        caller: Caller,
        route: Route,
        head: HeaderMap,
        began: float,
    ) -> None:
        """Read, decide, and do what was permitted.

        Raises Malformed, BodyTooLarge and BodyTooSlow, before anything was decided, and UsedBefore, before anything
        was sent.
        """
        lifeline = Lifeline(receive)
        body = await read_body(receive, scope["headers"], self._limits.body_bytes)
        incoming = Incoming(scope["method"], head.values, head.repeated, body, route.system, caller)
        call = self._protocols[route.protocol].read(incoming)
        if isinstance(call, Reply):
            return await downstream.reply(call)

        request = await self._request(scope, call, incoming)
        if call.operation is not None and self._lacks_scope(caller, call.operation, route.system):
            seconds = self._clock.monotonic() - began
            return await self._refuse_scope(downstream, request, call.operation.scope, route, caller, seconds)

        decision = self._policy.decide(request, once=caller.once)
        if caller.once:
            # Whether a proof was used before is known with the commit: not even a read is sent before.
            await decision.ruling.recorded
        if isinstance(decision, Permit):
            operation = call.operation
            if operation is not None and operation.scope not in caller.scopes:
                # Whatever policy says, a token does no more than its scopes (RFC 6750 §3.1).
                self._outcomes.finished(decision.ruling, "insufficient_scope", self._clock.monotonic() - began)
                stamp = Stamp((await decision.ruling.recorded).seq, decision.ruling.policies)
                refusal = ending.lacks_scope(operation.scope, stamp.event, route.metadata, _scheme(caller))
                return await downstream.reply(refusal, stamp)
            return await self._forward(decision, call, route, caller, lifeline, downstream, began)
        recorded = await decision.ruling.recorded
        await ending.refuse(downstream, call, decision, Stamp(recorded.seq, decision.ruling.policies))
        return self._outcomes.finished(decision.ruling, "refused", self._clock.monotonic() - began)

    async def _request(self, scope: Scope, call: Call, incoming: Incoming) -> AccessRequest:
        """What is decided on. Raises Malformed if the tool's schema shows that the request is none."""
        caller, system = incoming.caller, incoming.system
        tool: Tool | None = None
        if call.tool_name is not None:
            tool = await self._schemas.tool(system, call.tool_name)
            call.learn(tool)
        client = scope.get("client")
        evidence = replace(caller.evidence, session=call.session, network=client[0] if client else "")
        return AccessRequest(
            agent=caller.agent,
            action=call.action,
            system=system,
            operation=call.operation,
            arguments=call.arguments,
            tool=tool,
            resource=call.resource,
            evidence=evidence,
            details=caller.details,
            person=await self._person_of(caller),
        )

    async def _person_of(self, caller: Caller) -> Person | None:
        """The person acted for, as they are now."""
        person = caller.evidence.person
        return None if person is None else await self._people.get(PersonId(person))

    def _lacks_scope(self, caller: Caller, operation: Operation, system: System) -> bool:
        """Whether a wider token would help. A scope that the agent is not entitled to is policy's to refuse."""
        if operation.scope in caller.scopes:
            return False
        return operation.scope in self._policy.entitled_scopes(caller.agent, system, caller.evidence)

    async def _refuse_scope(
        self,
        downstream: AsgiDownstream,
        request: AccessRequest,
        scope: str,
        route: Route,
        caller: Caller,
        seconds: float,
    ) -> None:
        recorded = await self._outcomes.lacks_scope(request, scope, seconds)
        stamp = Stamp(recorded.seq, ())
        await downstream.reply(ending.lacks_scope(scope, stamp.event, route.metadata, _scheme(caller)), stamp)

    async def _forward(
        self,
        permit: Permit,
        call: Call,
        route: Route,
        caller: Caller,
        lifeline: Lifeline,
        downstream: AsgiDownstream,
        began: float,
    ) -> None:
        """Do what was permitted, and record what became of it."""
        release = Settled(self._settlement, permit)
        self.live.add(caller, lifeline)
        outcome = "failed"
        try:
            with lifeline:
                lifeline.watch()
                outcome = await self._exchange(call, route, caller, release, lifeline, downstream)
        except Withdrawn as withdrawn:
            outcome = "refused"
            await ending.refuse(downstream, call, withdrawn.decision, withdrawn.stamp)
        except UpstreamFailure as failure:
            outcome = failure.code
            _log.info("an upstream failed", system=route.system.name, reason=failure.explanation, detail=failure.detail)
            await ending.fail(downstream, call, failure, release)
        except Cut as cut:
            outcome = UpstreamTimeout.code if cut.reason == TOO_SLOW else cut.reason
            await ending.end_early(downstream, call, cut, release)
        finally:
            self.live.remove(caller, lifeline)
            self._outcomes.finished(permit.ruling, outcome, self._clock.monotonic() - began)

    async def _exchange(
        self,
        call: Call,
        route: Route,
        caller: Caller,
        release: Settled,
        lifeline: Lifeline,
        downstream: AsgiDownstream,
    ) -> str:
        """Send, and pass the answer on. Raises UpstreamFailure, Withdrawn, Cut."""
        timeouts = self._outbound.timeouts
        if call.endless:
            left = caller.expires_at - self._clock.seconds()
            lifeline.expire(left)
            # Silence is what such a stream is made of, so only the token's end is a limit.
            timeouts = Timeouts(timeouts.connect_seconds, max(left, 0.0) + _GRACE_SECONDS)
        else:
            lifeline.limit(self._limits.answer_seconds)
            downstream.on_stream = lifeline.unlimit
        if call.settles_first:
            await release()
        outgoing = call.outgoing()
        if route.system.credential_engine == TRANSACTION_TOKEN:
            token = await self._transactions.issue(release.permit, outgoing.body)
            outgoing.headers.append((transaction.HEADER, token))
        system, evidence = route.system, release.evidence
        person = release.permit.ruling.request.person
        both = (caller.agent,) if person is None else (caller.agent, as_principal(person, system))

        def visible(operation: Operation) -> bool:
            named = bounds.names(caller.details, system, operation)
            return named and all(self._policy.could_permit(one, system, operation, evidence=evidence) for one in both)

        async with self._outbound.open(
            outgoing.method, route.target, outgoing.headers, outgoing.body, timeouts
        ) as answer:
            return await call.relay(answer, release, downstream, visible)


def _scheme(caller: Caller) -> str:
    bound = caller.confirmation
    return "DPoP" if bound is not None and bound.jkt is not None else "Bearer"
