"""Pushed authorization requests (RFC 9126): parse → authenticate the client → the steps → keep → a reference.

The client is authenticated as at the token endpoint, and its errors have that form.
"""

import contextlib

import msgspec
import structlog

from accredit.errors import Unavailable
from accredit.oauth.authorize import Checks, open_checks
from accredit.oauth.client_auth import NONE, ClientAuthentication, ClientRequest, invalid_client
from accredit.oauth.client_documents import ClientDocuments, is_client_url
from accredit.oauth.client_requests import read_client_request
from accredit.oauth.errors import InvalidDpopProof, InvalidRequest, OAuthError, TemporarilyUnavailable, render_error
from accredit.oauth.pushed import PUSHED_SECONDS, PushedRequests
from accredit.oauth.refusals import Refusals, basic_challenge, open_refusals
from accredit.oauth.rooms import OAuthRooms
from accredit.oauth.senders import Senders
from accredit.oauth.step import Leg, RequestRefused
from accredit.storage.writer import Once, UsedBefore
from accredit.web.asgi import JSON, NO_STORE, Disconnected, Headers, Receive, Scope, Send, send_response
from accredit.web.certificates import ClientCertificates

PATH = "/oauth/par"
_log = structlog.get_logger("accredit.oauth")
_CREATED = 201
_METHOD_NOT_ALLOWED = 405
_CREDENTIALS = frozenset(("client_secret", "client_assertion", "client_assertion_type"))


class ParEndpoint:
    """The ASGI application at `/oauth/par`."""

    def __init__(
        self,
        client_authentication: ClientAuthentication,
        documents: ClientDocuments,
        checks: Checks,
        pushed: PushedRequests,
        certificates: ClientCertificates,
        senders: Senders,
        refusals: Refusals,
    ) -> None:
        self._client_authentication = client_authentication
        self._documents = documents
        self._checks = checks
        self._pushed = pushed
        self._certificates = certificates
        self._senders = senders
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (§2.2, §2.3)."""
        if scope["method"] != "POST":
            await send_response(send, _METHOD_NOT_ALLOWED, b"", [(b"allow", b"POST"), NO_STORE])
            return
        headers: Headers = [JSON, NO_STORE, (b"pragma", b"no-cache")]
        client: ClientRequest | None = None
        try:
            client = await read_client_request(scope, receive, self._certificates)
            body = await self._push(client)
        except Disconnected:
            return
        except OAuthError as error:
            method = None if client is None else self._client_authentication.method_of(client)
            with contextlib.suppress(Unavailable):
                await self._refusals.record(error, PATH, method)
            headers.extend(basic_challenge(error, client))
            headers.extend(self._senders.nonce(client))
            await send_response(send, error.status, render_error(error), headers)
        except (Unavailable, TimeoutError) as error:
            _log.error("PAR endpoint unavailable", error=repr(error))
            await send_response(send, 503, render_error(_unavailable()), headers)
        except Exception:  # noqa: BLE001  # the outermost edge: fail closed, tell a stranger nothing
            _log.exception("PAR endpoint failed")
            await send_response(send, 503, render_error(_unavailable()), headers)
        else:
            await send_response(send, _CREATED, body, headers)

    async def _push(self, client: ClientRequest) -> bytes:
        client_id, once = await self._authenticate(client)
        # §2.1: the client_id is a parameter of the request too; it is the one that was authenticated.
        if client.form.get("client_id", client_id) != client_id:
            raise InvalidRequest("client_id is another than that of the client that pushes")
        parameters = {name: value for name, value in client.form.items() if name not in _CREDENTIALS}
        jkt, proof = self._senders.prove(client)
        if jkt is not None and parameters.setdefault("dpop_jkt", jkt) != jkt:
            raise InvalidRequest("dpop_jkt is another key than that of the proof (RFC 9449 §10.1)")
        try:
            checked = await self._checks.check(Leg.PUSHED, {**parameters, "client_id": client_id})
        except RequestRefused as refused:
            raise refused.error from refused
        try:
            uri = await self._pushed.push(client_id, checked.parameters, (*once, *proof))
        except UsedBefore as error:
            if error.once in proof:
                raise InvalidDpopProof("the DPoP proof was used before", next_step="make a new one") from error
            raise invalid_client(detail=error.explanation) from error
        return msgspec.json.encode({"request_uri": uri, "expires_in": PUSHED_SECONDS})

    async def _authenticate(self, client: ClientRequest) -> tuple[str, tuple[Once, ...]]:
        client_id = client.form.get("client_id", "")
        if is_client_url(client_id) and self._client_authentication.method_of(client) == NONE:
            # A public client is who its document says, whether anybody has consented to it yet or not.
            metadata = await self._documents.get(client_id)
            if not metadata.is_public:
                raise invalid_client(detail="not a public client")
            return client_id, ()
        authenticated = await self._client_authentication.authenticate(client)
        return authenticated.agent.client_id, authenticated.once


def _unavailable() -> TemporarilyUnavailable:
    return TemporarilyUnavailable("the request cannot be kept now", next_step="try again in a few seconds")


def open_par(rooms: OAuthRooms, client_authentication: ClientAuthentication) -> ParEndpoint:
    """As the server is wired."""
    return ParEndpoint(
        client_authentication,
        rooms.client_documents,
        open_checks(rooms),
        PushedRequests(rooms.transactions, rooms.clock),
        rooms.certificates,
        Senders(rooms.binding, f"{rooms.issuer}{PATH}"),
        open_refusals(rooms),
    )
