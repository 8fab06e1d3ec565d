"""Client credentials: an agent asks for a token as itself (RFC 6749 §4.4)."""

from accredit.oauth.grant import Granted, TokenRequest
from accredit.oauth.issuance import Issuance
from accredit.oauth.resources import Resources
from accredit.oauth.scopes import agent_scopes, cut_scopes
from accredit.policy.decide import Policy


class ClientCredentials:
    """No refresh token is issued (§4.4.3): the agent can always ask again."""

    grant_type = "client_credentials"
    required: frozenset[str] = frozenset()
    optional = frozenset({"resource", "scope"})
    is_open_to_public_clients = False

    def __init__(self, policy: Policy, issuance: Issuance, resources: Resources) -> None:
        self._policy = policy
        self._issuance = issuance
        self._resources = resources

    async def handle(self, request: TokenRequest) -> Granted:
        """Raises InvalidTarget, InvalidScope if nothing that was asked for is open, UnauthorizedClient."""
        agent = request.client.agent
        system = self._resources.resolve(agent, request.parameters.get("resource"))
        evidence = self._issuance.evidence(request)
        entitled = agent_scopes(self._policy, agent, system, evidence)
        scopes = cut_scopes(request.parameters.get("scope"), entitled)
        token, permit = await self._issuance.issue(request, system, scopes, evidence)
        return Granted(token=token, permit=permit)
