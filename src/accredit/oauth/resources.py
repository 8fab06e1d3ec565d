"""Resource indicators (RFC 8707): which system a token is for, and its audience."""

from accredit.agents.model import Agent
from accredit.ids import SystemId
from accredit.oauth.errors import InvalidTarget
from accredit.systems.model import System
from accredit.systems.registry import Systems

RESOURCE_PATH = "/.well-known/oauth-protected-resource"
"""Where a resource's metadata stands, before the path of the resource (RFC 9728 §3.1)."""

ACCREDIT_SCOPES = ("agent:read", "agent:write:limited")
"""Accredit's own scopes that an agent may have as itself; `user:delegate:read` needs a person who delegates."""

IDENTITY_SCOPES = ("openid", "profile", "email", "offline_access")
"""OpenID Connect's scopes: what a client may know of the person who signed in, whichever system the token is for."""

ACCREDIT_PERSON_SCOPES = (*IDENTITY_SCOPES, "user:delegate:read")
"""Accredit's own scopes for an agent that acts for a person: OpenID Connect's (Core §5.4, §11), and ours."""

ACCREDIT = System(
    id=SystemId("sys_accredit"),
    name="accredit",
    title="Accredit",
    kind="other",
    protocol="http",
    upstream="",
    sensitivity=0,
    data=("none",),
    credential_engine="none",
    operations=(),
    version=1,
)
"""Accredit itself, as the resource of tokens whose audience is the issuer."""


class Resources:
    """The resources of one issuer. A resource is exact: a path more or a slash more is another one."""

    def __init__(self, issuer: str, systems: Systems) -> None:
        self._issuer = issuer
        self._systems = systems

    def audience(self, system: System) -> str:
        """The `aud` of a system's tokens, and its resource indicator."""
        if system is ACCREDIT:
            return self._issuer
        suffix = "/mcp" if system.protocol == "mcp" else ""
        return f"{self._issuer}/gateway/{system.name}{suffix}"

    def named(self, name: str) -> System | None:
        """The system of this name."""
        return self._systems.get(name)

    def of_audience(self, audience: str) -> System | None:
        """The system whose tokens have this audience; None if it is gone."""
        if audience == self._issuer:
            return ACCREDIT
        name = audience.removeprefix(f"{self._issuer}/gateway/").partition("/")[0]
        system = self._systems.get(name)
        return system if system is not None and self.audience(system) == audience else None

    def resolve(self, agent: Agent, resource: str | None) -> System:
        """The system that a request names; without a name the agent's only system, else Accredit itself.

        Raises InvalidTarget.
        """
        if resource is None:
            only = self._systems.get(agent.systems[0]) if len(agent.systems) == 1 else None
            return only or ACCREDIT
        system = self.of_audience(resource)
        if system is not None:
            return system
        raise InvalidTarget("the resource is not known here", next_step="use a system's address at the gateway")
