"""One policy set at work: from a request's parts to a verdict, through three bounded caches.

A place is everything about a request that does not change from call to call: the entities, the candidates, and
which facts they read. A verdict is a pure function of the place and of those facts as bytes, so it is kept.
"""

import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

import cedarpy
import msgspec

from accredit.agents.model import Agent, AgentStatus
from accredit.ids import AgentId
from accredit.policy import entities, est
from accredit.policy.arguments import encode_arguments
from accredit.policy.cedar import CompiledPolicies, Verdict, evaluate
from accredit.policy.facts import READERS, Facts
from accredit.policy.request import AccessRequest
from accredit.policy.slices import Slice, Slices
from accredit.systems.model import Operation, System

PLACES = 4_096
VERDICTS = 16_384
MAX_UNMAPPED = 1_000
"""More names than this are not handed to Cedar; the call is refused where a policy asks for them."""

_LONG_CONTEXT = 256
_NO_DECISION = Verdict(permits=False, decided=False)
_encoder = msgspec.json.Encoder(order="sorted")

_ANYBODY = AgentId("")

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping that forgets what was not used for longest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """What is kept under a key, which then counts as used."""
        found = self._items.get(key)
        if found is not None:
            self._items.move_to_end(key)
        return found

    def put(self, key: K, value: V) -> V:
        """Keep a value, and return it."""
        self._items[key] = value
        if len(self._items) > self._limit:
            self._items.popitem(last=False)
        return value


class Standing(NamedTuple):
    """What a policy set can tell agents apart by."""

    agent: AgentId
    type: str
    capability_level: int
    owner_email: str
    status: AgentStatus
    roles: tuple[str, ...]
    systems: tuple[str, ...]

    def seen(self, agent: Agent) -> Agent:
        """An agent of this standing without what no policy sees."""
        return replace(agent, id=self.agent, owner_email=self.owner_email)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Agents that are alike to every policy, before one operation (or system), under one policy set.

    `number` names it in the verdicts' cache. `facts` are the attributes that the candidates read, `args` the arguments
    among them (None: all), `reads_args` and `reads_unmapped` whether they read any, and the names of those that could
    not be said.
    """

    number: int
    principal: dict[str, str]
    action: dict[str, str]
    resource: dict[str, str]
    entities: cedarpy.Entities
    positions: tuple[int, ...]
    facts: tuple[str, ...]
    args: frozenset[str] | None
    reads_args: bool
    reads_unmapped: bool


class Engine:
    """Evaluates requests against one compiled set. Not for use by several threads at once."""

    def __init__(self, compiled: CompiledPolicies) -> None:
        self.compiled = compiled
        self._slices = Slices(compiled)
        self._numbers = itertools.count()
        self._places: Recent[Hashable, Place] = Recent(PLACES)
        self._verdicts: Recent[tuple[int, bytes], Verdict] = Recent(VERDICTS)
        self._named = frozenset(name for policy in compiled.policies for name in policy.agents)
        self._reads_owner = any(policy.reads_owner for policy in compiled.policies)

    def standing(self, agent: Agent) -> Standing:
        """All of an agent that a policy of this set can see: agents who are alike in it are decided alike.

        So what is remembered of one serves a million. A policy sees its entity's attributes and parents, and its id
        only where it names an agent itself: in no other value is there one to compare it with.
        """
        is_named = agent.id in self._named or _ANYBODY in self._named
        return Standing(
            agent.id if is_named else _ANYBODY,
            agent.type,
            agent.capability_level,
            agent.owner_email if self._reads_owner else "",
            agent.status,
            agent.roles,
            agent.systems,
        )

    def place(self, agent: Agent, system: System, action: str, operation: Operation | None) -> Place | None:
        """Where this agent stands before this operation; None if Cedar refuses the entities."""
        standing = self.standing(agent)
        key = (
            *(standing, system.id, system.version, action),
            None if operation is None else (operation.effect, operation.sensitivity, operation.data),
        )
        found = self._places.get(key)
        if found is not None:
            return found
        try:
            return self._places.put(key, self._new_place(standing.seen(agent), system, action, operation))
        except ValueError:
            return None

    def judge(self, place: Place, facts: Facts, request: AccessRequest) -> Verdict:
        """Evaluate a request: pure in the place, the facts that its policies read, and the arguments."""
        context = _context(place, facts, request)
        if context is None:
            return _NO_DECISION
        key = (place.number, context if len(context) <= _LONG_CONTEXT else hashlib.sha256(context).digest())
        found = self._verdicts.get(key)
        if found is not None:
            return found
        handle = self.slice(place).handle
        return self._verdicts.put(key, evaluate(_cedar_request(place, context), handle, place.entities))

    def could_permit(self, place: Place, facts: Facts) -> bool:
        """Whether some arguments might be permitted under these facts."""
        context = _encoder.encode({name: READERS[name](facts) for name in place.facts})
        listing = self.slice(place).listing()
        request = _cedar_request(place, context)
        certain = evaluate(request, listing.certain, place.entities)
        if not certain.decided or certain.errors:
            return False
        if certain.permits:
            return True
        if certain.reasons or listing.possible is None:  # forbidden, or nothing left that could permit
            return False
        # A relaxed permit that errs, where what was taken out guarded it, takes nothing from the others.
        return bool(evaluate(request, listing.possible, place.entities).reasons)

    def slice(self, place: Place) -> Slice:
        """The policies that can apply there."""
        return self._slices.slice(place.positions)

    def _new_place(self, agent: Agent, system: System, action: str, operation: Operation | None) -> Place:
        positions = self._slices.positions(
            entities.agent_keys(agent),
            entities.action_keys(action, operation),
            entities.resource_keys(system, operation),
        )
        names = {name for position in positions for name in self.compiled.policies[position].reads}
        arguments = {name for name in names if name.startswith(f"{est.ARGS}.")}
        whole = est.ARGS in names
        return Place(
            number=next(self._numbers),
            principal={"type": "Agent", "id": agent.id},
            action={"type": "Action", "id": action},
            resource=entities.resource_uid(system, operation),
            entities=entities.entities_of(agent, system, operation),
            positions=positions,
            facts=tuple(sorted(names & READERS.keys())),
            args=None if whole else frozenset(name.removeprefix(f"{est.ARGS}.") for name in arguments),
            reads_args=whole or bool(arguments),
            reads_unmapped=est.ARGS_UNMAPPED in names,
        )


def _context(place: Place, facts: Facts, request: AccessRequest) -> bytes | None:
    """The context, cut to what the candidates read; None if there is more in it than Cedar should be given."""
    context: dict[str, object] = {name: READERS[name](facts) for name in place.facts}
    if place.reads_args or place.reads_unmapped:
        encoded = encode_arguments(request.arguments or {}, request.tool)
        if place.reads_unmapped:
            if len(encoded.unmapped) > MAX_UNMAPPED:
                return None
            context[est.ARGS_UNMAPPED] = encoded.unmapped
        if place.reads_args:
            wanted = place.args
            context[est.ARGS] = {
                name: value for name, value in encoded.args.items() if wanted is None or name in wanted
            }
    return _encoder.encode(context)


def _cedar_request(place: Place, context: bytes) -> dict[str, object]:
    return {
        "principal": place.principal,
        "action": place.action,
        "resource": place.resource,
        "context": context.decode(),
    }
