"""What a refusal says: what was refused, by which policy, and what would change it if anything does."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from accredit.agents.model import Agent
from accredit.policy.cedar import CompiledPolicy
from accredit.policy.request import AccessRequest
from accredit.policy.stepup import Step

STARTER_ROLES = ("ai-agent-readonly", "ai-agent-operator", "ai-agent-admin")

ASK_THE_PERSON = "ask the person for this action or a higher limit, by authorization_details"
GIVE_THE_PERSON_A_ROLE = "an administrator can give the person a role that may do this"
FORBIDDEN = "Nothing that the agent can obtain changes that; its owner can ask those who keep the policy."

Permits = Callable[[Agent], bool]
"""Whether a request would be permitted, outright or after a step, if its agent were this one."""


def refused_by(request: AccessRequest, policies: Iterable[CompiledPolicy]) -> str:
    """The reason of a request that policies forbid."""
    named = "; ".join(f"`{policy.id}` ({policy.description.rstrip('.')})" for policy in policies)
    return f"{_what(request)} is forbidden by policy {named}."


def not_permitted(request: AccessRequest) -> str:
    """The reason of a request that no policy permits."""
    return f"No policy permits {_what(request)} (default-deny)."


def not_evaluated(request: AccessRequest, policies: Iterable[str]) -> str:
    """The reason of a request on which policies erred, or which Cedar refused."""
    named = ", ".join(f"`{id_}`" for id_ in policies)
    if not named:
        return f"{_what(request)} is refused: its facts could not be put before the policies."
    return f"{_what(request)} is refused: policy {named} could not be evaluated on it, and an error never permits."


def not_active(agent: Agent) -> str:
    """The reason of any request by an agent that is suspended or retired."""
    return f"The agent {agent.name} is {agent.status.value}."


def beyond_person(request: AccessRequest) -> str:
    """The reason of a call that the agent may make, and the person whom it acts for may not."""
    return f"The person whom {request.agent.name} acts for may not do {_what(request)} themselves."


def ended(agent: Agent) -> str:
    """The reason of a request made under an epoch that is over."""
    return f"What the agent {agent.name} held has been ended since."


def unmatched(request: AccessRequest) -> str:
    """The reason of a request that is no operation of its system."""
    return f"`{request.action}` is no operation of the system `{request.system.name}`, and nothing else is permitted."


def step_text(step: Step) -> str:
    """What would make it a permit."""
    approvals = {0: "", 1: "an approval by one person", 2: "approvals by two people"}[step.approvals]
    elevation = f"the role `{step.elevation}` for a while" if step.elevation else ""
    return "What would permit it: " + " and ".join(part for part in (approvals, elevation) if part) + "."


def who_could(request: AccessRequest, permits: Permits) -> str:
    """The smallest change to the agent that would permit it: its systems, then a starter role, found by asking."""
    agent, name = request.agent, request.system.name
    allows = "" if name in agent.systems else f"allow the system `{name}`"
    allowed = replace(agent, systems=(*agent.systems, name)) if allows else agent
    if allows and permits(allowed):
        return f"An administrator can {allows} for the agent."
    for role in STARTER_ROLES:
        if role not in agent.roles and permits(replace(allowed, roles=(*agent.roles, role))):
            gives = f"give the agent the role `{role}`, which would permit it"
            return f"An administrator can {allows} and {gives}." if allows else f"An administrator can {gives}."
    return "No starter role would permit it; an administrator would have to write a policy that does."


def described(policies: Iterable[CompiledPolicy], ids: Iterable[str]) -> list[CompiledPolicy]:
    """Those of the policies that have these ids."""
    wanted = set(ids)
    return [policy for policy in policies if policy.id in wanted]


def _what(request: AccessRequest) -> str:
    return f"`{request.action}` on `{request.system.name}`"
