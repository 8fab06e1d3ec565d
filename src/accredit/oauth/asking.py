"""What a client asks of a person who is elsewhere: read by the same steps as at the authorization endpoint.

So a resource, `authorization_details` and a scope mean the same, whichever way a client asks.
"""

from accredit.agents.client_metadata import ClientMetadata
from accredit.agents.model import Agent
from accredit.clock import Clock
from accredit.oauth.authorize import open_clients
from accredit.oauth.clients import Client
from accredit.oauth.errors import UnauthorizedClient
from accredit.oauth.pending import PendingRequest
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.step import AuthorizationRequest, Leg
from accredit.oauth.steps.load_scope import load_scope
from accredit.oauth.steps.load_target import LoadTarget

_READ = ("resource", "authorization_details", "scope")


class Asking:
    """Reads the parameters of device authorization (RFC 8628 §3.1) and of CIBA (§7.1) that say what is asked for."""

    def __init__(self, load_target: LoadTarget, clock: Clock) -> None:
        self._load_target = load_target
        self._clock = clock

    async def read(self, agent: Agent, form: dict[str, str]) -> PendingRequest:
        """Raises InvalidTarget, InvalidScope, InvalidAuthorizationDetails."""
        request = AuthorizationRequest(
            leg=Leg.PUSHED,
            made_at=self._clock.seconds(),
            parameters={name: form[name] for name in _READ if name in form},
            client=as_client(agent),
        )
        request = await load_scope(await self._load_target(request))
        return PendingRequest(
            system=request.system.name, resource=request.audience, scope=request.scope, details=request.details
        )


def as_client(agent: Agent) -> Client:
    """An agent as the client that it is; one without metadata says nothing of itself."""
    return Client(client_id=agent.client_id, metadata=agent.client or ClientMetadata(), agent=agent)


def check_grant(agent: Agent, grant_type: str) -> None:
    """Raises UnauthorizedClient if the client did not register for the grant that the answer is changed with."""
    if agent.client is not None and grant_type not in agent.client.grant_types:
        raise UnauthorizedClient("this grant is not open to this client", next_step="ask the owner of the agent")


def open_asking(rooms: OAuthRooms) -> Asking:
    """As the server is wired."""
    return Asking(LoadTarget(open_clients(rooms), rooms.resources), rooms.clock)
