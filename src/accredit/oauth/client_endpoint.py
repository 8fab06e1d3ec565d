"""An endpoint for clients beside the token endpoint: parse → authenticate the client → act → render.

What proved the client is spent whatever the answer is; refusals are answered in the form of RFC 6749 §5.2.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
import structlog

from accredit.audit.group import Group
from accredit.errors import Unavailable
from accredit.oauth.client_auth import AuthenticatedClient, ClientAuthentication, ClientRequest, invalid_client
from accredit.oauth.client_requests import read_client_request
from accredit.oauth.errors import OAuthError, TemporarilyUnavailable, render_error
from accredit.oauth.refusals import Refusals, basic_challenge
from accredit.storage.writer import UsedBefore
from accredit.web.asgi import JSON, NO_STORE, Disconnected, Receive, Scope, Send, send_response
from accredit.web.certificates import ClientCertificates

_log = structlog.get_logger("accredit.oauth")
_METHOD_NOT_ALLOWED = 405


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is told: a struct without null members, what is encoded already, or nothing."""

    status: int
    body: msgspec.Struct | bytes | None
    media_type: tuple[bytes, bytes] = JSON


Act = Callable[[AuthenticatedClient, dict[str, str]], Awaitable[Answer]]
"""What an endpoint does for a client with its parameters. Raises OAuthError."""


class ClientEndpoint:
    """The ASGI application of one endpoint."""

    def __init__(
        self,
        authentication: ClientAuthentication,
        certificates: ClientCertificates,
        group: Group,
        refusals: Refusals,
        act: Act,
    ) -> None:
        self._authentication = authentication
        self._certificates = certificates
        self._group = group
        self._refusals = refusals
        self._act = act

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] != "POST":
            await send_response(send, _METHOD_NOT_ALLOWED, b"", [(b"allow", b"POST"), NO_STORE])
            return
        client: ClientRequest | None = None
        try:
            client = await read_client_request(scope, receive, self._certificates)
            authenticated = await self._authentication.authenticate(client)
            if authenticated.once:
                await self._group.use(authenticated.once)
            answer = await self._act(authenticated, dict(client.form))
        except Disconnected:
            return
        except UsedBefore as error:
            await self._refuse(scope, send, invalid_client(detail=error.explanation), client)
        except OAuthError as error:
            await self._refuse(scope, send, error, client)
        except (Unavailable, TimeoutError) as error:
            _log.error("endpoint unavailable", path=scope["path"], error=repr(error))
            await _refuse(send, _unavailable(), None)
        except Exception:  # noqa: BLE001  # the outermost edge: fail closed, tell a stranger nothing
            _log.exception("endpoint failed", path=scope["path"])
            await _refuse(send, _unavailable(), None)
        else:
            body = answer.body if isinstance(answer.body, bytes) else _encode(answer.body)
            await send_response(send, answer.status, body, [answer.media_type, NO_STORE])

    async def _refuse(self, scope: Scope, send: Send, error: OAuthError, client: ClientRequest | None) -> None:
        method = None if client is None else self._authentication.method_of(client)
        try:
            await self._refusals.record(error, scope["path"], method)
        except Unavailable:
            error = _unavailable()
        await _refuse(send, error, client)


def _encode(body: msgspec.Struct | None) -> bytes:
    return b"" if body is None else msgspec.json.encode(body)


async def _refuse(send: Send, error: OAuthError, client: ClientRequest | None) -> None:
    headers = [JSON, NO_STORE, *basic_challenge(error, client)]
    await send_response(send, error.status, render_error(error), headers)


def _unavailable() -> TemporarilyUnavailable:
    return TemporarilyUnavailable("the server cannot answer now", next_step="try again in a few seconds")
