"""`decision`: what `policy.decide` costs with 10 to 10,000 policies, in process, beside cedarpy over the whole set.

Only few policies concern any one request, however many there are: here two of our own and the starter roles. The
others are about other roles, systems and actions, as in a company with many teams.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import cedarpy
import msgspec

from accredit.agents.model import Agent, AgentStatus
from accredit.audit.event import AuditEvent
from accredit.audit.group import Group
from accredit.clock import SystemClock
from accredit.ids import AgentId, PersonId, SystemId, new_id
from accredit.policy.cedar import CompiledPolicies, compile_policies, policy_set
from accredit.policy.decide import Policy
from accredit.policy.entities import entities_of
from accredit.policy.permit import Permit
from accredit.policy.request import AccessRequest
from accredit.policy.starter import starter_sources
from accredit.storage.schema import Recorded
from accredit.storage.writer import Once
from accredit.systems.model import Operation, System, Tool
from bench.load import LoadFailedError, percentile
from bench.report import Detail, Peer, Report

SIZES = (10, 100, 1_000, 10_000)
_ROUND = 200
_WHOLE_SHARE = 0.2

_OPERATION = Operation(
    action="crm.deals.update",
    effect="write",
    sensitivity=2,
    data=("financial",),
    scope="crm:deals.write",
    tool="update_deal",
)
_SYSTEM = System(
    id=SystemId("sys_01JD8X0000000000000000000A"),
    name="crm",
    title="Customer relations",
    kind="crm",
    protocol="mcp",
    upstream="http://127.0.0.1:9000/mcp",
    sensitivity=2,
    data=("personal",),
    credential_engine="none",
    operations=(_OPERATION,),
    version=1,
)
_TOOL = Tool(
    name="update_deal",
    input_schema='{"type":"object","properties":{"id":{"type":"integer"},"stage":{"type":"string"},'
    '"amount":{"type":"integer"}},"required":["id","stage","amount"]}',
)
_AGENT = Agent(
    id=AgentId("agt_01JD8X0000000000000000000A"),
    name="bench",
    owner=PersonId("per_01JD8X0000000000000000000A"),
    owner_email="bench@example.org",
    type="worker",
    roles=("ai-agent-operator",),
    systems=("crm",),
    capability_level=2,
    status=AgentStatus.ACTIVE,
    epoch=0,
    version=1,
    created_at=0.0,
    credentials=(),
)
_OURS = """
@id("deals-small")
@description("Deals above a million are not for agents.")
forbid (principal, action == Action::"crm.deals.update", resource) when { context.args.amount > 1000000 };

@id("deals-stage")
@description("An agent does not close a deal as lost.")
forbid (principal, action == Action::"crm.deals.update", resource) when { context.args.stage == "lost" };
"""


@dataclass(slots=True)
class _Sized:
    """One size, and the microseconds of each decision taken with it."""

    policy: Policy
    whole: Callable[[int], bool]
    new_facts: list[float] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)
    whole_set: list[float] = field(default_factory=list)


class _Unwritten(Group):
    """Takes events and writes them nowhere: the log has a bench of its own."""

    def __init__(self) -> None:
        self._done: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        self._done.set_result(Recorded(seq=0, change=0))

    def add(self, event: AuditEvent, once: tuple[Once, ...] = ()) -> asyncio.Future[Recorded]:  # noqa: ARG002
        return self._done


def run(seconds: float) -> Report:
    """Measure all sizes in turns, for `seconds` together."""
    return asyncio.run(_run(seconds))


async def _run(seconds: float) -> Report:
    sized = {size: _prepare(size) for size in SIZES}
    amounts = itertools.count(1)
    started = time.perf_counter()
    # In turns, so that a slow moment of the machine strikes all sizes alike.
    while time.perf_counter() - started < seconds:
        for one in sized.values():
            _take_turn(one, amounts)
    took = time.perf_counter() - started

    smallest, largest = sized[SIZES[0]], sized[SIZES[-1]]
    mean_us = sum(largest.new_facts) / len(largest.new_facts)
    whole_us = sum(largest.whole_set) / len(largest.whole_set)
    return Report(
        name="decision",
        seconds=took,
        connections=1,
        per_second=1_000_000 / mean_us,
        p50_ms=percentile(largest.new_facts, 0.5) / 1_000,
        p99_ms=percentile(largest.new_facts, 0.99) / 1_000,
        peer=Peer(
            name="cedarpy over the whole set",
            per_second=1_000_000 / whole_us,
            p50_ms=percentile(largest.whole_set, 0.5) / 1_000,
            p99_ms=percentile(largest.whole_set, 0.99) / 1_000,
            ratio=whole_us / mean_us,
        ),
        load="one caller in this process; 10,000 policies; every decision with arguments never seen before",
        goal="the cost at 10,000 policies ≤ 1.5 × the cost at 10",
        details=(
            *(detail for size, one in sized.items() for detail in _details(size, one)),
            _growth("new facts", largest.new_facts, smallest.new_facts),
            _growth("memo hit", largest.hits, smallest.hits),
        ),
    )


def _prepare(size: int) -> _Sized:
    compiled = compile_policies({**starter_sources(), "ours.cedar": _OURS, "others.cedar": _others(size)})
    policy = Policy(_Unwritten(), SystemClock(), new_id, lambda: 0, compiled)
    sized = _Sized(policy, _whole_set(compiled))
    for amount in (-1, -2):
        decision = policy.decide(_request(amount))
        if not isinstance(decision, Permit) or not sized.whole(amount):
            raise LoadFailedError(f"with {size} policies the request is not permitted: {decision}")
    return sized


def _take_turn(one: _Sized, amounts: Iterator[int]) -> None:
    for _ in range(_ROUND):
        request = _request(next(amounts))
        _time(one.new_facts, partial(one.policy.decide, request))
    same = _request(next(amounts))
    one.policy.decide(same)
    for _ in range(_ROUND):
        _time(one.hits, partial(one.policy.decide, same))
    # The whole set takes milliseconds: a few are enough, and the others get most of the time.
    budget = time.perf_counter() + _WHOLE_SHARE * _ROUND * 1e-4
    _time(one.whole_set, partial(one.whole, next(amounts)))
    while time.perf_counter() < budget:
        _time(one.whole_set, partial(one.whole, next(amounts)))


def _time(into: list[float], act: Callable[[], object]) -> None:
    started = time.perf_counter()
    act()
    into.append((time.perf_counter() - started) * 1_000_000)


def _request(amount: int) -> AccessRequest:
    return AccessRequest(
        agent=_AGENT,
        action=_OPERATION.action,
        system=_SYSTEM,
        operation=_OPERATION,
        arguments={"id": 7, "stage": "won", "amount": amount % 1_000_000},
        tool=_TOOL,
        resource="update_deal",
    )


def _whole_set(compiled: CompiledPolicies) -> Callable[[int], bool]:
    """Ask Cedar with every policy and every fact, the entities ready: what there is without slices and memo."""
    policies = policy_set((policy.id, policy.cedar_json) for policy in compiled.policies)
    entities = entities_of(_AGENT, _SYSTEM, _OPERATION)

    def ask(amount: int) -> bool:
        context = {
            "args": {"id": 7, "stage": "won", "amount": amount},
            "args_unmapped": [],
            "risk": 0,
            "hour": 12,
            "weekday": 3,
            "network": "",
            "approval": {"count": 0, "groups": []},
            "elevation": "",
        }
        request = {
            "principal": {"type": "Agent", "id": _AGENT.id},
            "action": {"type": "Action", "id": _OPERATION.action},
            "resource": {"type": "Operation", "id": _OPERATION.action},
            "context": msgspec.json.encode(context).decode(),
        }
        return bool(cedarpy.is_authorized(request, policies, entities).allowed)

    return ask


def _others(size: int) -> str:
    """The policies of other teams, so many that the whole set has `size`."""
    first = len(compile_policies({**starter_sources(), "ours.cedar": _OURS}).policies)
    return "\n".join(_other(number) for number in range(max(0, size - first)))


def _other(number: int) -> str:
    system, role, action = f"system-{number % 97}", f"team-{number % 211}", f"s{number % 97}.things.do-{number}"
    forms = (
        f'permit (principal in Role::"{role}", action == Action::"{action}", resource is Operation)'
        f" when {{ context.risk < {number % 90} && context.args.amount <= {number} }};",
        f'forbid (principal, action == Action::"{action}", resource in System::"{system}")'
        f" when {{ context.hour < {number % 24} }};",
        f'permit (principal in Role::"{role}", action in Action::"read", resource in System::"{system}")'
        f" when {{ principal.capability_level >= {number % 5} }};",
    )
    return f'@id("other-{number}")\n@description("What team {number} may do.")\n{forms[number % len(forms)]}'


def _details(size: int, one: _Sized) -> tuple[Detail, ...]:
    return (
        Detail(name=f"{size:,} policies, new facts, p50", value=percentile(one.new_facts, 0.5), unit="µs"),
        Detail(name=f"{size:,} policies, new facts, p99", value=percentile(one.new_facts, 0.99), unit="µs"),
        Detail(name=f"{size:,} policies, memo hit, p50", value=percentile(one.hits, 0.5), unit="µs"),
        Detail(
            name=f"{size:,} policies, cedarpy over the whole set, p50", value=percentile(one.whole_set, 0.5), unit="µs"
        ),
    )


def _growth(name: str, largest: list[float], smallest: list[float]) -> Detail:
    ratio = percentile(largest, 0.5) / percentile(smallest, 0.5)
    return Detail(name=f"cost at {SIZES[-1]:,} ÷ cost at {SIZES[0]}, {name}", value=ratio, unit="")
