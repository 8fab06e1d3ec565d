"""One endpoint of the management API, and the walk through it: authenticate → find → parse → act → render."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec
import structlog
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from accredit.api.authentication import ManagementToken
from accredit.api.parsing import parse_body, parse_query
from accredit.audit.event import Actor
from accredit.errors import Error, NotAuthenticated, NotFound
from accredit.web.asgi import Disconnected, Headers, read_body
from accredit.web.problem import Failed, MethodRefused, problem_response

B = TypeVar("B", bound=msgspec.Struct)
Q = TypeVar("Q", bound=msgspec.Struct)

Method = Literal["GET", "POST", "PUT", "DELETE"]
Answer = msgspec.Struct | msgspec.Raw | AsyncIterator[bytes] | None

NO_STORE = {"Cache-Control": "no-store"}
_log = structlog.get_logger("accredit.api")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[B, Q]):
    """A request that was authenticated and parsed. `path` holds the variable parts of the path, decoded."""

    actor: Actor
    path: Mapping[str, str]
    body: B
    query: Q


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[B, Q]):
    """A row of the table that routes, checks and documents.

    `answer` describes what `act` returns: a struct (or its JSON), None for 204. With `streams`, the media type, `act`
    returns bytes part by part.
    """

    method: Method
    path: str
    summary: str
    act: Callable[[Call[B, Q]], Awaitable[Answer]]
    body: type[B]
    query: type[Q]
    answer: type[msgspec.Struct] | None
    status: int = 200
    streams: str | None = None


# A table holds endpoints of every kind of body and query; each row is checked where it is made.
AnyEndpoint = Endpoint[Any, Any]


class Address:
    """The ASGI application at one path: its endpoints by method, and a problem document for everything else."""

    def __init__(self, endpoints: Mapping[str, AnyEndpoint], token: ManagementToken, body_limit_bytes: int) -> None:
        self._endpoints = endpoints
        self._token = token
        self._body_limit_bytes = body_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await reply(scope, receive, send, self._answer, self._more)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        headers: Headers = scope["headers"]
        actor = self._token.authenticate(headers)
        endpoint = self._find(scope["method"])
        call = Call(
            actor=actor,
            path=scope["path_params"],
            query=parse_query(scope["query_string"], endpoint.query),
            body=parse_body(
                await read_body(receive, headers, self._body_limit_bytes), content_type(headers), endpoint.body
            ),
        )
        return await _render(endpoint, await endpoint.act(call))

    def _find(self, method: str) -> AnyEndpoint:
        if not self._endpoints:
            raise NotFound("there is nothing at this address", next_step="/api/openapi.json lists what there is")
        endpoint = self._endpoints.get(method)
        if endpoint is None:
            raise MethodRefused(f"this address does not take {method}", next_step="see the header Allow")
        return endpoint

    def _more(self, error: Error) -> Headers:
        match error:
            case NotAuthenticated():
                return [(b"www-authenticate", b"Bearer")]
            case MethodRefused():
                return [(b"allow", ", ".join(sorted(self._endpoints)).encode())]
        return []


async def reply(
    scope: Scope,
    receive: Receive,
    send: Send,
    answer: Callable[[Scope, Receive], Awaitable[Response]],
    more: Callable[[Error], Headers],
) -> None:
    """Send what `answer` returns, else a problem document; `more` are the headers that go with an error."""
    try:
        response = await answer(scope, receive)
    except Disconnected:
        return
    except Error as error:
        if not isinstance(error, NotAuthenticated | MethodRefused):
            _log.info("request refused", path=scope["path"], code=error.code, detail=error.detail)
        response = problem_response(error)
        response.raw_headers.extend(more(error))
    except Exception:  # noqa: BLE001  # the outermost edge: log it, and tell a caller nothing of the inside
        _log.exception("request failed", path=scope["path"])
        response = problem_response(Failed())
    await response(scope, receive, send)


async def _render(endpoint: AnyEndpoint, answer: Answer) -> Response:
    if answer is None:
        return Response(status_code=204, headers=NO_STORE)
    if isinstance(answer, msgspec.Struct | msgspec.Raw):
        body = msgspec.json.encode(answer)
        return Response(body, endpoint.status, NO_STORE, media_type="application/json")
    # The first part is made before the answer begins: what cannot begin is still answered with a problem.
    first = await anext(answer, b"")
    return StreamingResponse(_rejoined(first, answer), endpoint.status, NO_STORE, media_type=endpoint.streams)


async def _rejoined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for part in rest:
            yield part
    except Exception as error:  # an answer that has begun: it is logged, and raised again
        # The status is sent already: the connection is broken off, so that a part does not pass for the whole.
        _log.error("answer broken off", error=error.explanation if isinstance(error, Error) else repr(error))
        raise


def content_type(headers: Headers) -> bytes:
    """The media type of the body, as it was sent; empty if none was."""
    return next((value for name, value in headers if name == b"content-type"), b"")
