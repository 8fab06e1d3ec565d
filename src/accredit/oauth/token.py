"""The token endpoint (RFC 6749 §3.2): parse → authenticate the client → the grant decides and issues → render.

Nothing is answered before its event is durable, and no refusal goes unrecorded.
"""

import msgspec
import structlog

from accredit.audit.group import Group
from accredit.errors import Unavailable
from accredit.oauth.client_auth import AuthenticatedClient, ClientAuthentication, ClientRequest, invalid_client
from accredit.oauth.client_requests import read_client_request
from accredit.oauth.errors import (
    InvalidDpopProof,
    InvalidGrant,
    InvalidRequest,
    OAuthError,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
    render_error,
)
from accredit.oauth.grant import Grant, Granted, TokenRequest
from accredit.oauth.refusals import Refusals, basic_challenge
from accredit.oauth.senders import Senders
from accredit.policy.permit import Permit
from accredit.policy.request import TOKEN_ISSUE
from accredit.policy.settle import Settlement
from accredit.storage.writer import Once, UsedBefore
from accredit.web.asgi import JSON, NO_STORE, Disconnected, Headers, Receive, Scope, Send, send_response
from accredit.web.certificates import ClientCertificates

_log = structlog.get_logger("accredit.oauth")
_HEADERS = (JSON, NO_STORE, (b"pragma", b"no-cache"))
_METHOD_NOT_ALLOWED = 405


class TokenEndpoint:
    """The ASGI application at `/oauth/token`."""

    def __init__(
        self,
        client_authentication: ClientAuthentication,
        grants: dict[str, Grant],
        settlement: Settlement,
        group: Group,
        refusals: Refusals,
        senders: Senders,
        certificates: ClientCertificates,
    ) -> None:
        self._senders = senders
        self._certificates = certificates
        self._client_authentication = client_authentication
        self._grants = grants
        self._settlement = settlement
        self._group = group
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; an error is answered in the form of RFC 6749 §5.2."""
        if scope["method"] != "POST":
            await send_response(send, _METHOD_NOT_ALLOWED, b"", [(b"allow", b"POST"), NO_STORE])
            return
        client: ClientRequest | None = None
        try:
            client = await read_client_request(scope, receive, self._certificates)
            seq, body = await self._answer(client)
        except Disconnected:
            return
        except OAuthError as error:
            await self._refuse(send, error, client)
        except (Unavailable, TimeoutError) as error:
            _log.error("token endpoint unavailable", error=repr(error))
            await self._refuse(send, _unavailable(), None)
        except Exception:  # noqa: BLE001  # the outermost edge: fail closed, tell a stranger nothing
            _log.exception("token endpoint failed")
            await self._refuse(send, _unavailable(), None)
        else:
            headers = (*_HEADERS, (b"x-accredit-event", b"%d" % seq), *self._senders.nonce(client))
            await send_response(send, 200, body, headers)

    async def _answer(self, client: ClientRequest) -> tuple[int, bytes]:
        authenticated = await self._client_authentication.authenticate(client)
        grant = self._grant(client, authenticated)
        declared = grant.required | grant.optional
        parameters = {name: value for name, value in client.form.items() if name in declared}
        confirmation, proof = self._senders.confirm(authenticated, client)
        request = TokenRequest(
            client=authenticated,
            parameters=parameters,
            confirmation=confirmation,
            once=(*authenticated.once, *proof),
        )
        try:
            granted = await grant.handle(request)
        except OAuthError as error:
            # What proved the client is spent by a refusal too: it cannot be shown again.
            error.once = request.once
            raise
        try:
            recorded, decision = await self._settlement.settle(granted.permit)
        except UsedBefore as error:
            if error.once in request.once or granted.on_reuse is None:
                raise _used_before(error, request.once, client) from error
            await granted.on_reuse(error.once)
            raise InvalidGrant(
                "this was used before", next_step="begin anew", detail="everything of it ended"
            ) from error
        if not isinstance(decision, Permit):
            raise UnauthorizedClient(decision.reason, next_step=decision.next_step, event=recorded.seq)
        return recorded.seq, _render(granted)

    def _grant(self, client: ClientRequest, authenticated: AuthenticatedClient) -> Grant:
        grant_type = client.form.get("grant_type")
        if grant_type is None:
            raise InvalidRequest("grant_type is missing", next_step="send grant_type=client_credentials")
        grant = self._grants.get(grant_type)
        if grant is None:
            raise UnsupportedGrantType(
                "there is no such grant here", next_step="use one of " + ", ".join(sorted(self._grants))
            )
        metadata = authenticated.agent.client
        known = metadata is None or grant_type in metadata.grant_types
        if not known or (authenticated.is_public and not grant.is_open_to_public_clients):
            raise UnauthorizedClient("this grant is not open to this client", next_step="ask the owner of the agent")
        if missing := grant.required - client.form.keys():
            raise InvalidRequest("missing: " + ", ".join(sorted(missing)))
        return grant

    async def _refuse(self, send: Send, error: OAuthError, client: ClientRequest | None) -> None:
        if error.event is None and error.status < 500:  # noqa: PLR2004  # what is unavailable cannot be recorded
            try:
                await self._record_refusal(error, client)
            except UsedBefore as used:
                error = _used_before(used, error.once, client)
                await self._record_refusal(error, client)
            except Unavailable:
                error = _unavailable()
        headers: Headers = [*_HEADERS, *self._senders.nonce(client)]
        if error.event is not None:
            headers.append((b"x-accredit-event", b"%d" % error.event))
        headers.extend(basic_challenge(error, client))
        await send_response(send, error.status, render_error(error), headers)

    async def _record_refusal(self, error: OAuthError, client: ClientRequest | None) -> None:
        if not error.is_recorded:
            if error.once:
                await self._group.use(error.once)
            return
        method = None if client is None else self._client_authentication.method_of(client)
        await self._refusals.write(error, "token.refused", TOKEN_ISSUE, method)


def _render(granted: Granted) -> bytes:
    token = granted.token
    answer: dict[str, object] = {
        "access_token": token.token.reveal(),
        "token_type": token.token_type,
        "expires_in": token.expires_in,
        "scope": token.scope,
    }
    # Strict clients refuse a null: a member that is not there is left out.
    if granted.refresh_token is not None:
        answer["refresh_token"] = granted.refresh_token.reveal()
    if granted.id_token is not None:
        answer["id_token"] = granted.id_token.reveal()
    if granted.issued_token_type is not None:
        answer["issued_token_type"] = granted.issued_token_type
    if granted.details:
        answer["authorization_details"] = granted.details
    return msgspec.json.encode(answer)


def _used_before(used: UsedBefore, once: tuple[Once, ...], client: ClientRequest | None) -> OAuthError:
    """The client's own assertion was used before, or its DPoP proof, which stands last in `once`."""
    if client is not None and client.dpop is not None and used.once == once[-1]:
        return InvalidDpopProof("the DPoP proof was used before", next_step="make a new one for each request")
    return invalid_client(detail=used.explanation)


def _unavailable() -> TemporarilyUnavailable:
    return TemporarilyUnavailable("the server cannot issue tokens now", next_step="try again in a few seconds")
