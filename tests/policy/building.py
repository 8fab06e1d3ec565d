"""Builders: what a test does not say has a plain value."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from accredit.agents.model import Agent, AgentStatus
from accredit.audit.event import AuditEvent
from accredit.ids import AgentId, PersonId, SystemId
from accredit.policy.cedar import compile_policies
from accredit.policy.decide import Policy
from accredit.policy.engine import Engine
from accredit.policy.request import AccessRequest
from accredit.policy.starter import starter_sources
from accredit.storage.schema import Recorded
from accredit.storage.writer import Once
from accredit.systems.model import Effect, Operation, System, Tool
from tests.rooms import TestClock

# Sunday 2026-11-22, 13:20 UTC.
A_SUNDAY = 1_795_353_600.0


def an_agent(
    *roles: str,
    id_: str = "agt_1",
    systems: tuple[str, ...] = ("crm",),
    capability_level: int = 2,
    status: AgentStatus = AgentStatus.ACTIVE,
    epoch: int = 0,
    version: int = 1,
    type_: str = "worker",
) -> Agent:
    return Agent(
        id=AgentId(id_),
        name="ada",
        owner=PersonId("per_1"),
        owner_email="owner@example.com",
        type=type_,
        roles=roles,
        systems=systems,
        capability_level=capability_level,
        status=status,
        epoch=epoch,
        version=version,
        created_at=0.0,
        credentials=(),
    )


def an_operation(
    action: str = "crm.contacts.update",
    effect: Effect = "write",
    *,
    sensitivity: int = 1,
    scope: str = "crm:contacts",
    tool: str | None = None,
) -> Operation:
    return Operation(action=action, effect=effect, sensitivity=sensitivity, data=("personal",), scope=scope, tool=tool)


def a_system(*operations: Operation, name: str = "crm", version: int = 1) -> System:
    return System(
        id=SystemId(f"sys_{name}"),
        name=name,
        title="Customer relations",
        kind="crm",
        protocol="mcp",
        upstream="http://127.0.0.1:9000/mcp",
        sensitivity=2,
        data=("personal",),
        credential_engine="none",
        operations=operations,
        version=version,
    )


def a_tool(*, required: tuple[str, ...] = (), name: str = "update_contact", **properties: object) -> Tool:
    return a_tool_of(properties, required=required, name=name)


def a_tool_of(
    properties: Mapping[str, object], *, required: tuple[str, ...] = (), name: str = "update_contact"
) -> Tool:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return Tool(name=name, input_schema=msgspec.json.encode(schema).decode())


def a_request(
    agent: Agent,
    operation: Operation | None = None,
    *,
    action: str = "token.issue",
    arguments: dict[str, object] | None = None,
    tool: Tool | None = None,
    system: System | None = None,
) -> AccessRequest:
    return AccessRequest(
        agent=agent,
        action=operation.action if operation else action,
        system=system or a_system(*([operation] if operation else [])),
        operation=operation,
        arguments=arguments,
        tool=tool,
    )


def a_policy(
    id_: str,
    scope: str = "principal, action, resource",
    when: str | None = None,
    *,
    effect: str = "permit",
    unless: str | None = None,
) -> str:
    conditions = "" if when is None else f"\nwhen {{ {when} }}"
    conditions += "" if unless is None else f"\nunless {{ {unless} }}"
    return f'@id("{id_}")\n@description("The policy {id_}.")\n{effect} ({scope}){conditions};\n'


def an_engine(*policies: str) -> Engine:
    return Engine(compile_policies({"test.cedar": "\n".join(policies)}))


@dataclass
class Book:
    """Stands for `audit.group.Group`: it keeps what was queued, and each event is durable when a test says so."""

    events: list[AuditEvent] = field(default_factory=list)
    onces: list[tuple[Once, ...]] = field(default_factory=list)

    def add(self, event: AuditEvent, once: tuple[Once, ...] = ()) -> asyncio.Future[Recorded]:
        self.events.append(event)
        self.onces.append(once)
        return asyncio.get_running_loop().create_future()


@dataclass
class Ids:
    """Ids that count."""

    count: int = 0

    def __call__(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}_{self.count}"


def a_policy_at_work(
    *policies: str, starter: bool = True, change: int = 7, clock: TestClock | None = None
) -> tuple[Policy, Book]:
    book = Book()
    sources = dict(starter_sources()) if starter else {}
    if policies:
        sources["test.cedar"] = "\n".join(policies)
    compiled = compile_policies(sources)
    # The fake has the one method that a decision uses.
    policy = Policy(book, clock or TestClock(A_SUNDAY), Ids(), lambda: change, compiled)  # type: ignore[arg-type]
    return policy, book
