"""`none`: a public client says who it is and proves nothing (RFC 6749 §2.1). What it holds does the rest."""

from accredit.agents.model import AgentStatus
from accredit.agents.registry import Agents
from accredit.oauth.client_assertions import JWT_BEARER_GRANT
from accredit.oauth.client_auth import NONE, AuthenticatedClient, ClientRequest, invalid_client, look_up


class PublicClient:
    """Only a client that is registered as public: one that has a credential must show it."""

    methods = (NONE,)

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    def method_of(self, request: ClientRequest) -> str | None:
        """Told by a client_id alone: no secret, no assertion, no header, and no certificate that would prove more."""
        form = request.form
        if request.authorization is not None or request.certificate is not None or "client_id" not in form:
            return None
        # The jwt-bearer grant is open to no public client: its assertion is the proof, or another stands beside it.
        if form.get("grant_type") == JWT_BEARER_GRANT:
            return None
        if form.keys() & {"client_secret", "client_assertion", "client_assertion_type"}:
            return None
        return NONE

    async def authenticate(self, request: ClientRequest) -> AuthenticatedClient:
        """Raises InvalidClient, alike for an unknown client, one that has a credential, and one that is not active."""
        client_id = request.form["client_id"]
        claimed = await look_up(self._agents, client_id)
        agent = claimed.agent
        if agent is None or agent.client is None or not agent.client.is_public or agent.client_id != client_id:
            await claimed.even_out(self._agents)
            raise invalid_client()
        if agent.status is not AgentStatus.ACTIVE:
            raise invalid_client(detail="the agent is not active")
        return AuthenticatedClient(agent=agent, method=NONE)
