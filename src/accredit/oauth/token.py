"""The token endpoint (RFC 6749 §3.2): parse → authenticate the client → the grant decides and issues → render.

Nothing is answered before its event is durable, and no refusal goes unrecorded.
"""

import structlog

from accredit.audit.event import AuditEvent
from accredit.audit.group import Group
from accredit.clock import Clock, rfc3339
from accredit.errors import InputRefused, Unavailable
from accredit.ids import EventId, NewId
from accredit.oauth.client_auth import ClientAuthentication, ClientRequest, invalid_client
from accredit.oauth.errors import (
    InvalidRequest,
    OAuthError,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
    render_error,
)
from accredit.oauth.grant import Grant, Granted, TokenRequest
from accredit.policy.permit import Permit
from accredit.policy.settle import Settlement
from accredit.storage.writer import UsedBefore
from accredit.web.asgi import JSON, NO_STORE, Disconnected, Headers, Receive, Scope, Send, read_body, send_response
from accredit.web.forms import FORM_LIMIT_BYTES, parse_form

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
        clock: Clock,
        new_id: NewId,
    ) -> None:
        self._client_authentication = client_authentication
        self._grants = grants
        self._settlement = settlement
        self._group = group
        self._clock = clock
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; an error is answered in the form of RFC 6749 §5.2."""
        if scope["method"] != "POST":
            await send_response(send, _METHOD_NOT_ALLOWED, b"", [(b"allow", b"POST"), NO_STORE])
            return
        client: ClientRequest | None = None
        try:
            client = await self._parse(scope["headers"], receive)
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
            await send_response(send, 200, body, (*_HEADERS, (b"x-accredit-event", b"%d" % seq)))

    async def _parse(self, headers: Headers, receive: Receive) -> ClientRequest:
        content_type = b""
        authorization: str | None = None
        for name, value in headers:
            if name == b"content-type":
                content_type = value
            elif name == b"authorization":
                if authorization is not None:
                    raise InvalidRequest("the request holds two Authorization headers", next_step="send one")
                authorization = value.decode("latin-1")
        try:
            form = parse_form(await read_body(receive, headers, FORM_LIMIT_BYTES), content_type)
        except InputRefused as error:
            raise InvalidRequest(error.explanation, next_step="see RFC 6749 §3.2", detail=error.detail) from error
        return ClientRequest(form=form, authorization=authorization)

    async def _answer(self, client: ClientRequest) -> tuple[int, bytes]:
        authenticated = await self._client_authentication.authenticate(client)
        grant = self._grant(client)
        declared = grant.required | grant.optional
        parameters = {name: value for name, value in client.form.items() if name in declared}
        granted = await grant.handle(TokenRequest(client=authenticated, parameters=parameters))
        try:
            recorded, decision = await self._settlement.settle(granted.permit)
        except UsedBefore as error:
            raise invalid_client(detail=error.explanation) from error
        if not isinstance(decision, Permit):
            raise UnauthorizedClient(decision.reason, next_step=decision.next_step, event=recorded.seq)
        return recorded.seq, _render(granted)

    def _grant(self, client: ClientRequest) -> Grant:
        grant_type = client.form.get("grant_type")
        if grant_type is None:
            raise InvalidRequest("grant_type is missing", next_step="send grant_type=client_credentials")
        grant = self._grants.get(grant_type)
        if grant is None:
            raise UnsupportedGrantType(
                "there is no such grant here", next_step="use one of " + ", ".join(sorted(self._grants))
            )
        if missing := grant.required - client.form.keys():
            raise InvalidRequest("missing: " + ", ".join(sorted(missing)))
        return grant

    async def _refuse(self, send: Send, error: OAuthError, client: ClientRequest | None) -> None:
        if error.event is None and error.status < 500:  # noqa: PLR2004  # what is unavailable cannot be recorded
            try:
                error.event = await self._record_refusal(error, client)
            except Unavailable:
                error = _unavailable()
        headers: Headers = [*_HEADERS]
        if error.event is not None:
            headers.append((b"x-accredit-event", b"%d" % error.event))
        if error.code == "invalid_client" and client is not None and client.authorization is not None:
            headers.append((b"www-authenticate", b'Basic realm="accredit"'))
        await send_response(send, error.status, render_error(error), headers)

    async def _record_refusal(self, error: OAuthError, client: ClientRequest | None) -> int:
        event = AuditEvent(
            id=EventId(self._new_id("evt")),
            time=rfc3339(self._clock.seconds()),
            type="token.refused",
            action="token.issue",
            authentication=None if client is None else self._client_authentication.method_of(client),
            decision="deny",
            reason=error.code if not error.detail else f"{error.code}: {error.detail[:200]}",
        )
        return (await self._group.add(event)).seq


def _render(granted: Granted) -> bytes:
    token = granted.token
    # The scope is made of scope tokens and the token of base64url: neither holds anything that JSON escapes.
    return (
        f'{{"access_token":"{token.token.reveal()}","token_type":"Bearer",'
        f'"expires_in":{token.expires_in},"scope":"{token.scope}"}}'
    ).encode()


def _unavailable() -> TemporarilyUnavailable:
    return TemporarilyUnavailable("the server cannot issue tokens now", next_step="try again in a few seconds")
