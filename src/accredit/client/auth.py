"""The auth object for httpx2: `httpx2.get(url, auth=OAuth(…))`, and the same for the MCP SDK's HTTP client."""

from collections.abc import AsyncGenerator, Generator

import httpx2

from accredit.client.authorization import AuthorizationCode
from accredit.client.credentials import Identity, NewClient, PublicClient
from accredit.client.dpop import DpopKey
from accredit.client.errors import Misconfigured
from accredit.client.flight import SingleFlight
from accredit.client.flow import Flow
from accredit.client.grants import ClientCredentials, Unattended
from accredit.client.loopback import LoopbackRedirect
from accredit.client.metadata import covers, origin
from accredit.client.steps import Http, arun, check_url, run
from accredit.client.tokens import MemoryStore, Store, Token
from accredit.client.turn import Need, Turn

Grant = Unattended | AuthorizationCode


class OAuth(httpx2.Auth):
    """Gets, caches and renews the token for one resource, and asks for more when the resource says so.

        auth = OAuth("https://accredit.example/gateway/crm", ClientSecret("agt_1", secret, issuer=issuer))
        with httpx2.Client(auth=auth) as http:
            http.get("https://accredit.example/gateway/crm/contacts")

    It works with `Client` and `AsyncClient`, from any number of threads and tasks at once; they share one token.

    Args:
        resource: The address of the resource. A token is sent there and below, and nowhere else.
        client: Who the client is: a credential, or NewClient.
        grant: What the token is asked for with. Without it, a client that can prove itself acts as itself
            (ClientCredentials), and any other asks a person (AuthorizationCode with LoopbackRedirect).
        scope: What to ask for at first, separated by spaces. Without it, what the resource says.
        dpop: The key that tokens are bound to (RFC 9449); a server that does not bind them is then refused. A
            resource that demands bound tokens makes the SDK use a key of its own, in memory.
        store: Where tokens with a person behind them, and registered clients, are kept; memory if absent. One
            store is for one person.
        http: How authorization servers are reached.

    Each request may raise ApprovalRequired, StepUpRequired, Denied and the other errors of `accredit.client`.
    """

    def __init__(
        self,
        resource: str,
        client: Identity,
        *,
        grant: Grant | None = None,
        scope: str | None = None,
        dpop: DpopKey | None = None,
        store: Store | None = None,
        http: Http | None = None,
    ) -> None:
        self._http = http or Http()
        check_url(resource, self._http)
        self._resource = resource
        self._flight = SingleFlight()
        self._flow = Flow(
            resource,
            client,
            grant or _usual_grant(client),
            scope=None if scope is None else tuple(scope.split()),
            dpop=dpop,
            store=store or MemoryStore(),
            http=self._http,
        )

    def __repr__(self) -> str:
        return f"OAuth({self._resource!r})"

    def get_token(self) -> Token:
        """A fresh token, for what is not an httpx2 request. Raises ClientError."""
        with self._flight:
            return run(self._flow.renew(Need(), None), self._http)

    async def aget_token(self) -> Token:
        """A fresh token, in an event loop. Raises ClientError."""
        async with self._flight.waiting():
            return await arun(self._flow.renew(Need(), None), self._http)

    def forget(self) -> None:
        """Drop the token here and in the store: the next request begins anew."""
        with self._flight:
            self._flow.forget()

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """See httpx2.Auth."""
        self._check_target(request)
        request.read()
        turn, need, token = Turn(), self._flow.need_before(), self._flow.token
        while True:
            if isinstance(need, Need):
                with self._flight:
                    token = run(self._flow.renew(need, token), self._http)
            self._flow.attach(request, token)
            response = yield request
            need = self._judge(turn, response, token)
            if need is False:
                return

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """See httpx2.Auth."""
        self._check_target(request)
        await request.aread()
        turn, need, token = Turn(), self._flow.need_before(), self._flow.token
        while True:
            if isinstance(need, Need):
                async with self._flight.waiting():
                    token = await arun(self._flow.renew(need, token), self._http)
            self._flow.attach(request, token)
            response = yield request
            need = self._judge(turn, response, token)
            if need is False:
                return

    def _judge(self, turn: Turn, response: httpx2.Response, token: Token | None) -> Need | bool:
        # After a redirect to another origin it is not our resource that speaks.
        if origin(str(response.request.url)) != origin(self._resource):
            return False
        nonce_is_new = self._flow.nonces.note(self._resource, response.headers.get("dpop-nonce"))
        return turn.judge(response, token, nonce_is_new=nonce_is_new)

    def _check_target(self, request: httpx2.Request) -> None:
        if not covers(self._resource, str(request.url)):
            raise Misconfigured(
                f"the token is for {self._resource}, and the request goes to {origin(str(request.url))}",
                next_step="use one auth object for each resource",
                code="wrong_target",
            )


def _usual_grant(client: Identity) -> Grant:
    if isinstance(client, NewClient | PublicClient):
        return AuthorizationCode(LoopbackRedirect())
    return ClientCredentials()
