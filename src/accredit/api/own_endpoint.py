"""An endpoint of the management API for agents themselves: authenticate → find → check the scope → parse → act.

An agent comes with an access token whose audience is this server (RFC 6750, RFC 9449 §7), and not with the management
token. What it is told is its own: an endpoint has no parameter that names another agent.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from accredit.api.endpoint import NO_STORE, content_type, reply
from accredit.api.parsing import Nothing, parse_body, parse_query
from accredit.audit.group import Group
from accredit.errors import Error, NotPermitted
from accredit.storage.writer import UsedBefore
from accredit.tokens.errors import InvalidToken, NonceNeeded, ProofInvalid
from accredit.tokens.model import Caller
from accredit.web.asgi import Headers, read_body
from accredit.web.bearer import Bearer, scope_challenge
from accredit.web.problem import MethodRefused

Q = TypeVar("Q", bound=msgspec.Struct)


class LacksScope(NotPermitted):
    """RFC 6750 §3.1 `insufficient_scope`: the token holds here, and is not for this. `scheme` is the challenge's."""

    code = "insufficient_scope"

    def __init__(self, scope: str, scheme: str) -> None:
        super().__init__(f"the token lacks the scope {scope}", next_step=f"ask for a token with scope={scope}")
        self.scope = scope
        self.scheme = scheme

    @classmethod
    def of(cls, caller: Caller, scope: str) -> "LacksScope":
        """For this caller, whose token may be bound to a key."""
        bound = caller.confirmation
        return cls(scope, "DPoP" if bound is not None and bound.jkt is not None else "Bearer")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCall(Generic[Q]):
    """A request that was authenticated and parsed; the token holds the endpoint's scope."""

    caller: Caller
    query: Q


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEndpoint(Generic[Q]):
    """A row of the table that routes, checks and documents. It only reads; `scope` is what the token must hold."""

    path: str
    summary: str
    scope: str
    act: Callable[[OwnCall[Q]], Awaitable[msgspec.Struct]]
    query: type[Q]
    answer: type[msgspec.Struct]
    method: Literal["GET"] = "GET"
    body: type[msgspec.Struct] = Nothing
    status: int = 200
    streams: None = None


# A table holds endpoints of every kind of query; each row is checked where it is made.
AnyOwnEndpoint = OwnEndpoint[Any]


class AgentToken:
    """Who an agent is by its access token. `metadata` is the address of this server's own metadata (RFC 9728)."""

    def __init__(self, bearer: Bearer, group: Group, issuer: str, metadata: str) -> None:
        self._bearer = bearer
        self._group = group
        self._issuer = issuer
        self._metadata = metadata

    async def authenticate(self, scope: Scope) -> Caller:
        """The agent of a request, whose proof of possession is used up. Raises InvalidToken, Unavailable."""
        caller = await self._bearer.authenticate(scope, self._issuer)
        if caller.once:
            try:
                await self._group.use(caller.once)
            except UsedBefore as error:
                raise ProofInvalid("the DPoP proof was used before", next_step="make a new one") from error
        return caller

    def check_scope(self, caller: Caller, scope: str) -> None:
        """Raises LacksScope."""
        if scope not in caller.scopes:
            raise LacksScope.of(caller, scope)

    def challenges(self, error: Error) -> Headers:
        """What goes with a refusal: 401 (RFC 6750 §3, RFC 9449 §7.1 and §9) or 403 (RFC 6750 §3.1)."""
        if isinstance(error, LacksScope):
            return [(b"www-authenticate", scope_challenge(error.scope, self._metadata, error.scheme).encode())]
        if not isinstance(error, InvalidToken):
            return []
        nonce = [(b"dpop-nonce", error.nonce.encode())] if isinstance(error, NonceNeeded) else []
        return [*self._bearer.challenges(error, self._metadata), *nonce]

    def nonce_for(self, caller: Caller) -> Headers:
        """The header with the next nonce, for a caller that makes proofs (RFC 9449 §8.2)."""
        return list(self._bearer.nonce_for(caller))


class OwnAddress:
    """The ASGI application at one path for agents."""

    def __init__(self, endpoint: AnyOwnEndpoint, token: AgentToken, body_limit_bytes: int) -> None:
        self._endpoint = endpoint
        self._token = token
        self._body_limit_bytes = body_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await reply(scope, receive, send, self._answer, self._more)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        endpoint, headers = self._endpoint, scope["headers"]
        caller = await self._token.authenticate(scope)
        if scope["method"] != endpoint.method:
            raise MethodRefused(f"this address does not take {scope['method']}", next_step="see the header Allow")
        self._token.check_scope(caller, endpoint.scope)
        query = parse_query(scope["query_string"], endpoint.query)
        parse_body(await read_body(receive, headers, self._body_limit_bytes), content_type(headers), endpoint.body)
        shown = await endpoint.act(OwnCall(caller=caller, query=query))
        response = Response(msgspec.json.encode(shown), endpoint.status, NO_STORE, media_type="application/json")
        response.raw_headers.extend(self._token.nonce_for(caller))
        return response

    def _more(self, error: Error) -> Headers:
        if isinstance(error, MethodRefused):
            return [(b"allow", self._endpoint.method.encode())]
        return self._token.challenges(error)
