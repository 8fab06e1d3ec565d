"""Scopes: what is granted is what was asked for, cut to everything that bounds it (RFC 6749 §3.3)."""

from accredit.agents.model import Agent
from accredit.oauth.errors import InvalidScope
from accredit.oauth.resources import ACCREDIT, ACCREDIT_PERSON_SCOPES, ACCREDIT_SCOPES, IDENTITY_SCOPES
from accredit.people.model import Person, Session
from accredit.policy.decide import Policy
from accredit.policy.request import Evidence
from accredit.systems.model import System

_LIMIT = 256


def cut_scopes(asked: str | None, *bounds: tuple[str, ...]) -> tuple[str, ...]:
    """What was asked for, cut to each bound; all that they share if nothing was asked. In the order of the first bound.

    Raises InvalidScope if nothing is left of what was asked.
    """
    shared = tuple(scope for scope in bounds[0] if all(scope in bound for bound in bounds[1:]))
    if asked is None:
        return shared
    wanted = parse_scope(asked)
    scopes = tuple(scope for scope in shared if scope in wanted)
    if not scopes:
        raise InvalidScope(
            "none of the scopes is open to this agent on this system",
            next_step="leave scope out to get all that are, or ask the owner for a role",
        )
    return scopes


def parse_scope(text: str) -> frozenset[str]:
    """The scope tokens of a parameter. Raises InvalidScope."""
    wanted = frozenset(part for part in text.split(" ") if part)
    if len(wanted) > _LIMIT:
        raise InvalidScope("so many scopes are not read", next_step="leave scope out to get all that are open")
    return wanted


def agent_scopes(policy: Policy, agent: Agent, system: System, evidence: Evidence) -> tuple[str, ...]:
    """What an agent is entitled to on a system, as itself or for a person.

    The `scope` of its registration is no bound: an MCP client registers with what it knows then, and steps up later.
    """
    if system is ACCREDIT:
        return ACCREDIT_SCOPES if evidence.person is None else ACCREDIT_PERSON_SCOPES
    return policy.entitled_scopes(agent, system, evidence)


def person_scopes(policy: Policy, person: Person, system: System, evidence: Evidence) -> tuple[str, ...]:
    """What a person may let an agent do on a system: no more than they may do themselves."""
    if system is ACCREDIT:
        return ACCREDIT_PERSON_SCOPES
    return policy.person_scopes(person, system, evidence)


def expected_evidence(session: Session) -> Evidence:
    """What a token request is expected to bring, when a person is asked before it.

    With which proof of possession it will come is not known yet: what needs one is offered, and cut when it lacks.
    """
    return Evidence(person=session.person.id, acr=session.acr, sender_constraint="dpop")


def delegable_scopes(
    policy: Policy, agent: Agent, person: Person, system: System, evidence: Evidence
) -> tuple[str, ...]:
    """What an agent may do for a person on a system, whatever was asked for: both of them must be able to."""
    own = person_scopes(policy, person, system, evidence)
    return tuple(scope for scope in agent_scopes(policy, agent, system, evidence) if scope in own)


def cut_delegated(asked: str | None, delegable: tuple[str, ...]) -> tuple[str, ...]:
    """What was asked for, cut to what a person may let the agent do.

    The scopes of OpenID Connect are given for any system, but only to who asks for them: without `scope` a token for a
    system tells nothing of the person. Raises InvalidScope if nothing is left of what was asked.
    """
    if asked is None:
        return delegable
    known = frozenset(delegable)
    return cut_scopes(asked, (*delegable, *(scope for scope in IDENTITY_SCOPES if scope not in known)))
