"""Client authentication: a request uses just one method (RFC 6749 §2.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from accredit.agents.model import Agent
from accredit.agents.registry import Agents
from accredit.oauth.errors import InvalidClient, InvalidRequest
from accredit.storage.writer import Once


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRequest:
    """What a method may look at: the form, the Authorization header, and the certificate of the connection.

    `certificate` is the client's, in DER, as the TLS layer proved it. `dpop` is the value of the header DPoP.
    """

    form: Mapping[str, str]
    authorization: str | None
    certificate: bytes | None = None
    dpop: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatedClient:
    """An agent that proved itself; by `none`, one that has nothing to prove itself with.

    `once` is what must not be used again; it is spent with the token's event.
    """

    agent: Agent
    method: str
    once: tuple[Once, ...] = ()

    @property
    def is_public(self) -> bool:
        """Whether nothing was proved (RFC 6749 §2.1)."""
        return self.method == NONE


NONE = "none"


@dataclass(frozen=True, slots=True)
class Claimed:
    """The agent that a request says it is from, if there is one; nothing is proved yet."""

    agent: Agent | None
    read_again: str | None

    async def even_out(self, agents: Agents) -> None:
        """Read the database if the look-up did not.

        Every failure reads it just once, so that the time does not tell a known agent from an unknown.
        """
        if self.read_again is not None:
            await agents.reload(self.read_again)


async def look_up(agents: Agents, client_id: str) -> Claimed:
    """Whoever has this client_id: from memory, else from the database. Raises Unavailable."""
    agent = agents.peek_client(client_id)
    if agent is not None:
        return Claimed(agent, agent.id)
    return Claimed(await agents.of_client(client_id), None)


class ClientAuth(Protocol):
    """One method, by its name in the registry of RFC 8414."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The names that the metadata lists."""

    def method_of(self, request: ClientRequest) -> str | None:
        """The name of the method that the request uses, or None if it does not use this one."""

    async def authenticate(self, request: ClientRequest) -> AuthenticatedClient:
        """Prove the client. Raises InvalidClient for every failure alike; Unavailable."""


class ClientAuthentication:
    """Picks the one method that a request uses."""

    def __init__(self, methods: tuple[ClientAuth, ...]) -> None:
        self._methods = methods
        self.names = tuple(name for method in methods for name in method.methods)

    async def authenticate(self, request: ClientRequest) -> AuthenticatedClient:
        """The proven client. Raises InvalidRequest if it uses two methods, InvalidClient if none holds."""
        used = [method for method in self._methods if method.method_of(request) is not None]
        if len(used) > 1:
            raise InvalidRequest("the request authenticates in two ways", next_step="use one (RFC 6749 §2.3)")
        if not used:
            raise invalid_client()
        return await used[0].authenticate(request)

    def method_of(self, request: ClientRequest) -> str | None:
        """The name of the method in use, for the record."""
        return next((name for method in self._methods if (name := method.method_of(request)) is not None), None)


def invalid_client(detail: str = "") -> InvalidClient:
    """The one answer to every failed authentication: it tells a stranger nothing."""
    return InvalidClient(
        "client authentication failed",
        next_step="check the client_id and the credential; the agent's owner can see whether it is active",
        detail=detail,
    )
