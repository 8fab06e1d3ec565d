"""The only input to a decision: who wants to do what, where, with which arguments, and how we know who it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from accredit.agents.model import Agent
from accredit.delegations.model import ActionDetails
from accredit.people.model import Person
from accredit.systems.model import Operation, System, Tool

TOKEN_ISSUE = "token.issue"  # noqa: S105  # the name of an action
MCP_SESSION = "mcp.session"


class EarlierActor(NamedTuple):
    """An agent that stands behind the one that acts, and the epoch under which it handed over (RFC 8693 §4.1)."""

    agent: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How the caller proved who it is, for the record; none of it is the caller's own word.

    `person` is the id of the one acted for, by `delegation`; `actors` are those before the agent, the latest first;
    `lineage` holds the ids of everything whose end ends this. `sender_constraint` is `dpop`, `mtls` or nothing, `acr`
    how well the person was authenticated (OpenID Connect Core §2).
    """

    authentication: str | None = None
    token_id: str | None = None
    session: str | None = None
    person: str | None = None
    delegation: str | None = None
    actors: tuple[EarlierActor, ...] = ()
    lineage: tuple[str, ...] = ()
    sender_constraint: str = ""
    acr: str = ""
    network: str = ""


NO_EVIDENCE = Evidence()
"""Of a question that nobody in particular asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """`operation` is None for the built-in actions `token.issue` and `mcp.session`, whose resource is the system.

    `arguments` is the parsed object of the call, None where the action has none; `tool` holds the schema by which
    they are encoded, None while it is unknown. `resource` names the thing in the record: a tool, URI or audience.
    `details` are those of the token that is used: they narrow what policy would permit (RFC 9396). `person` is the one
    of the evidence, as they are now: their own rights bound the call.
    """

    agent: Agent
    action: str
    system: System
    operation: Operation | None = None
    arguments: Mapping[str, object] | None = None
    tool: Tool | None = None
    resource: str | None = None
    evidence: Evidence = NO_EVIDENCE
    details: tuple[ActionDetails, ...] = ()
    person: Person | None = None
