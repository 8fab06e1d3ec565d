"""`client_secret_basic` and `client_secret_post` (RFC 6749 §2.3.1)."""

import base64
import binascii
import hmac
from collections.abc import Callable
from urllib.parse import unquote_plus

from accredit.agents.model import Agent, AgentStatus, CredentialKind
from accredit.agents.registry import Agents
from accredit.oauth.client_auth import AuthenticatedClient, ClientRequest, invalid_client, look_up

BASIC = "client_secret_basic"
POST = "client_secret_post"
_NOTHING = bytes(32)


class ClientSecret:
    """Compares keyed hashes in constant time. An unknown agent costs the same work as a wrong secret."""

    methods = (BASIC, POST)

    def __init__(self, agents: Agents, hash_secret: Callable[[str], bytes]) -> None:
        self._agents = agents
        self._hash_secret = hash_secret

    def method_of(self, request: ClientRequest) -> str | None:
        """`client_secret_basic` by the header, `client_secret_post` by the form; both: the caller refuses."""
        if request.authorization is not None and request.authorization[:6].lower() == "basic ":
            return BASIC
        return POST if "client_secret" in request.form else None

    async def authenticate(self, request: ClientRequest) -> AuthenticatedClient:
        """Raises InvalidClient, alike for an unknown agent, a wrong secret and an agent that is not active."""
        method = self.method_of(request) or POST
        client_id, secret = self._credentials(request, method)
        claimed = await look_up(self._agents, client_id)
        # A client that goes by the URL of its document shares no secret (draft-ietf-oauth-client-id-metadata-document).
        agent = claimed.agent if claimed.agent is not None and claimed.agent.id == client_id else None
        if not self._matches(agent, secret):
            await claimed.even_out(self._agents)
            raise invalid_client()
        if agent is None or agent.status is not AgentStatus.ACTIVE:
            raise invalid_client(detail="the agent is not active")
        return AuthenticatedClient(agent=agent, method=method)

    def _matches(self, agent: Agent | None, secret: str) -> bool:
        presented = self._hash_secret(secret)
        stored = [_NOTHING]
        if agent is not None:
            active = [one for one in agent.credentials if one.revoked_at is None]
            stored += [
                one.secret_hash for one in active if one.kind is CredentialKind.CLIENT_SECRET and one.secret_hash
            ]
        # No early end: each stored hash is compared.
        return sum(hmac.compare_digest(presented, one) for one in stored) > 0

    def _credentials(self, request: ClientRequest, method: str) -> tuple[str, str]:
        form = request.form
        if method == POST:
            return form.get("client_id", ""), form["client_secret"]
        if "client_secret" in form:
            raise invalid_client(detail="two ways at once")
        try:
            text = base64.b64decode((request.authorization or "")[6:].strip(), validate=True).decode("ascii")
        except (binascii.Error, ValueError) as error:
            raise invalid_client(detail=type(error).__name__) from error
        client_id, _, secret = text.partition(":")
        # RFC 6749 §2.3.1: both are form-encoded before they are joined.
        client_id, secret = unquote_plus(client_id), unquote_plus(secret)
        if form.get("client_id", client_id) != client_id:
            raise invalid_client(detail="client_id differs between header and body")
        return client_id, secret
