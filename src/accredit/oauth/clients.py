"""Who asks for a person's consent: a client that is registered here, or one that is known by its metadata document."""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from accredit.agents.client_metadata import ClientMetadata
from accredit.agents.model import Agent, AgentStatus
from accredit.agents.registry import Agents
from accredit.ids import AgentId, PersonId
from accredit.oauth.client_documents import ClientDocuments, is_client_url
from accredit.oauth.errors import InvalidClient
from accredit.oauth.resources import ACCREDIT
from accredit.settings import Settings
from accredit.systems.model import System


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client and what it says of itself. `agent` is None for a document client that nobody has consented to yet."""

    client_id: str
    metadata: ClientMetadata
    agent: Agent | None = None

    @property
    def host(self) -> str | None:
        """The host of its metadata document; None for a client that was registered here."""
        return urlsplit(self.client_id).netloc if is_client_url(self.client_id) else None

    @property
    def name(self) -> str:
        """What it is called: by its register for one that is registered here, else by itself."""
        if self.host is None and self.agent is not None:
            return self.agent.name
        return self.metadata.client_name or self.host or self.client_id


NOBODY = Client(client_id="", metadata=ClientMetadata())
"""The client of a request that was not checked yet: it has no redirect URI, so nothing is answered to it."""


class Clients:
    """Finds clients, and says what they would be once a person has consented."""

    def __init__(self, agents: Agents, documents: ClientDocuments, settings: Settings) -> None:
        self._agents = agents
        self._documents = documents
        self._roles = settings.open_client_roles
        self._systems = settings.open_client_systems

    async def find(self, client_id: str) -> Client:
        """The client of a client_id. Raises InvalidClient, alike for every client that is not known; Unavailable."""
        if is_client_url(client_id):
            metadata = await self._documents.get(client_id)
            agent = await self._agents.of_client(client_id)
            if agent is not None and agent.status is not AgentStatus.ACTIVE:
                raise _unknown()
            return Client(client_id=client_id, metadata=metadata, agent=agent)
        agent = await self._agents.get(client_id)
        if agent is None or agent.status is not AgentStatus.ACTIVE or agent.client is None:
            raise _unknown()
        if agent.client_id != client_id:
            # One name a client: the redirect URIs of the other are not this one's.
            raise _unknown()
        return Client(client_id=client_id, metadata=agent.client, agent=agent)

    def after_consent(self, client: Client, system: System | None) -> Agent:
        """The agent as it would be once a person has consented to what it asks for on a system."""
        agent = client.agent or self._newcomer(client)
        if system is None or not self.grows(client, system):
            return agent
        # Another id: what policy remembers of this one must not be taken for what the agent may do now.
        return replace(agent, id=AgentId(f"{agent.id}+{system.name}"), systems=(*agent.systems, system.name))

    def grows(self, client: Client, system: System) -> bool:
        """Whether consent would allow the client a system that it is not allowed yet."""
        if client.host is None or system is ACCREDIT:
            return False
        if client.agent is not None and system.name in client.agent.systems:
            return False
        return "*" in self._systems or system.name in self._systems

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of a client that comes by its metadata document."""
        return self._roles

    def _newcomer(self, client: Client) -> Agent:
        return Agent(
            id=AgentId(client.client_id),
            name=client.name,
            owner=PersonId(""),
            owner_email="",
            type="client",
            roles=self._roles,
            systems=(),
            capability_level=2,
            status=AgentStatus.ACTIVE,
            epoch=0,
            version=0,
            created_at=0.0,
            credentials=(),
            client=client.metadata,
            client_url=client.client_id,
        )


def _unknown() -> InvalidClient:
    return InvalidClient(
        "the client_id is of no client that may ask people here",
        next_step="the agent's owner can see whether it is active and has redirect URIs",
    )
