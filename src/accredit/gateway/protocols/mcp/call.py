"""A request → what is decided on, and back: the MCP side of the pipeline."""

from collections.abc import Mapping

from accredit.gateway.protocol import (
    Call,
    Denial,
    Downstream,
    Incoming,
    Malformed,
    Outgoing,
    Release,
    Reply,
    Stamp,
    Visible,
)
from accredit.gateway.protocols.mcp import refuse
from accredit.gateway.protocols.mcp.era import MODERN, Era, EraMismatch, check_params, check_version, tell_era
from accredit.gateway.protocols.mcp.forward import cleaned, outgoing_bare, outgoing_message, with_params
from accredit.gateway.protocols.mcp.methods import Resolved, is_known, is_notification, newest_legacy, resolve
from accredit.gateway.protocols.mcp.read import INVALID_PARAMS, INVALID_REQUEST, BadMessage, Message, read_message
from accredit.gateway.protocols.mcp.relay import Asked, Kind, relay
from accredit.gateway.protocols.mcp.sessions import NoSuchSession, NoSuchState, Session, Sessions
from accredit.ids import NewId
from accredit.keys.seal import Sealer
from accredit.outbound.client import Answer
from accredit.outbound.failures import UpstreamFailure
from accredit.policy.request import MCP_SESSION
from accredit.systems.model import Operation, System, Tool

_BARE_KINDS: dict[str, Kind] = {"GET": "stream", "DELETE": "end"}
_BARE = Message("notification", None, "", {}, {})


class Mcp:
    """Reads requests of the three revisions that are served."""

    def __init__(self, sealer: Sealer, new_id: NewId) -> None:
        self._sessions = Sessions(sealer, new_id)

    def read(self, incoming: Incoming) -> Call | Reply:
        """Read a request. Raises Malformed."""
        if incoming.method == "POST":
            return self._read_post(incoming)
        if incoming.method not in ("GET", "DELETE"):
            return _method_not_allowed()
        return self._read_bare(incoming)

    def _read_post(self, incoming: Incoming) -> Call | Reply:
        media_type = incoming.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if media_type != b"application/json" or b"content-encoding" in incoming.headers:
            raise _malformed(None, INVALID_REQUEST, "the body is to be application/json, uncompressed", status=415)
        try:
            message = read_message(incoming.body)
        except BadMessage as error:
            raise _malformed(error.message_id, error.rpc_code, error.explanation) from error
        try:
            era = tell_era(incoming, message)
        except EraMismatch as error:
            raise _malformed(message.id, error.rpc_code, error.explanation, error.data) from error
        if message.kind == "notification" and not is_notification(message.method, modern=era.modern):
            raise _malformed(None, INVALID_REQUEST, "a request needs an id, and this is no notification of a client")
        if era.modern and message.kind == "notification":
            # Revision 2026-07-28 has none from the client: a posted `cancelled` could name another agent's request.
            return Reply(202, (), b"")
        if message.kind == "request" and not is_known(message.method, modern=era.modern):
            status = 404 if era.modern else 200
            raise _malformed(message.id, refuse.METHOD_NOT_FOUND, "the method is not known here", status=status)
        session = self._open_session(incoming, era, message)
        message = self._as_forwarded(incoming, era, message)
        return McpCall(self._sessions, incoming, era, message, session, _resolve(message, incoming.system))

    def _read_bare(self, incoming: Incoming) -> Call | Reply:
        try:
            era = check_version(incoming)
        except EraMismatch as error:
            raise _malformed(None, error.rpc_code, error.explanation, error.data) from error
        if era.modern:
            return _method_not_allowed()
        session = self._open_session(incoming, era, _BARE)
        return McpCall(self._sessions, incoming, era, _BARE, session, Resolved(action=MCP_SESSION))

    def _as_forwarded(self, incoming: Incoming, era: Era, message: Message) -> Message:
        """The message that is decided on and sent. Raises Malformed."""
        message = cleaned(message)
        if message.method == "initialize":
            return newest_legacy(message)
        sealed = message.params.get("requestState") if era.modern else None
        if sealed is None:
            return message
        try:
            state = self._sessions.open_state(sealed, incoming.caller, incoming.system)
        except NoSuchState as error:
            raise _malformed(message.id, INVALID_PARAMS, error.explanation) from error
        return with_params(message, {"requestState": state})

    def _open_session(self, incoming: Incoming, era: Era, message: Message) -> Session | None:
        sealed = incoming.headers.get(b"mcp-session-id")
        if sealed is None or era.modern or message.method == "initialize":
            return None
        if b"mcp-session-id" in incoming.repeated:
            raise _malformed(message.id, INVALID_REQUEST, "Mcp-Session-Id stands twice")
        try:
            return self._sessions.open(sealed.decode("latin-1"), incoming.caller, incoming.system)
        except NoSuchSession as error:
            raise _malformed(message.id, refuse.NOT_FOUND, error.explanation, status=404) from error


class McpCall:
    """One request of MCP (see `gateway.protocol.Call`)."""

    __slots__ = ("_asked", "_incoming", "_message", "_param_headers", "_resolved", "_sessions")

    def __init__(
        self,
        sessions: Sessions,
        incoming: Incoming,
        era: Era,
        message: Message,
        session: Session | None,
        resolved: Resolved,
    ) -> None:
        self._sessions = sessions
        self._incoming = incoming
        self._message = message
        self._resolved = resolved
        self._param_headers: Mapping[str, str] = {}
        self._asked = Asked(
            kind=_BARE_KINDS.get(incoming.method, message.kind),
            id=message.id,
            method=message.method,
            era=era,
            system=incoming.system,
            caller=incoming.caller,
            session=session,
        )

    @property
    def action(self) -> str:
        """What policy and the log call it."""
        return self._resolved.action

    @property
    def operation(self) -> Operation | None:
        """The operation that the manifest matches."""
        return self._resolved.operation

    @property
    def arguments(self) -> Mapping[str, object] | None:
        """The parsed arguments, the same object that is forwarded."""
        return self._resolved.arguments

    @property
    def resource(self) -> str | None:
        """The tool, prompt or URI."""
        return self._resolved.resource

    @property
    def session(self) -> str | None:
        """The session's own id."""
        return self._asked.session.ref if self._asked.session is not None else None

    @property
    def endless(self) -> bool:
        """True for the stream of what the server says unasked, in either form."""
        return self._asked.kind == "stream" or self._asked.method == "subscriptions/listen"

    @property
    def tool_name(self) -> str | None:
        """The tool that is called."""
        return self._resolved.resource if self._asked.method == "tools/call" else None

    @property
    def settles_first(self) -> bool:
        """True for whatever may change something, and for messages that expect no answer."""
        operation = self._resolved.operation
        if operation is not None:
            return operation.effect != "read"
        return self._asked.kind in ("notification", "response", "end")

    def learn(self, tool: Tool | None) -> None:
        """Check the `Mcp-Param-*` headers by the tool's schema. Raises Malformed."""
        if not self._asked.era.modern:
            return
        try:
            self._param_headers = check_params(self._incoming, tool, self._resolved.arguments or {})
        except EraMismatch as error:
            raise _malformed(self._asked.id, error.rpc_code, error.explanation, error.data) from error

    def outgoing(self) -> Outgoing:
        """The request to the upstream."""
        era, session = self._asked.era, self._asked.session
        upstream_session = session.upstream_id if session is not None else None
        if self._asked.kind in ("stream", "end"):
            return outgoing_bare(self._incoming.method, era, upstream_session)
        return outgoing_message(self._message, era, upstream_session, self._param_headers)

    def refuse(self, denial: Denial) -> Reply:
        """An `isError` result for a tool call, a JSON-RPC error for every other request, HTTP 403 for the rest."""
        asked = self._asked
        if asked.method == "tools/call":
            what = f"{self._resolved.action} (tool {self._resolved.resource})" if self.operation else self.action
            return refuse.tool_result(asked.id, what, asked.system, denial, modern=asked.era.modern)
        return refuse.denial_error(asked.id, denial, status=200 if asked.kind == "request" else 403)

    def fail(self, failure: UpstreamFailure, stamp: Stamp) -> Reply:
        """A JSON-RPC error; under an HTTP error status where no request waits for a response."""
        status = 200 if self._asked.kind == "request" else refuse.failure_code(failure)
        return refuse.failure_error(self._asked.id, failure, stamp, status=status)

    def broken_off(self, failure: UpstreamFailure, stamp: Stamp) -> bytes:
        """An event with a JSON-RPC error for a request; nothing for a stream of messages."""
        if self._asked.kind != "request":
            return b""
        return refuse.failure_event(self._asked.id, failure, stamp)

    async def relay(self, answer: Answer, release: Release, downstream: Downstream, visible: Visible) -> str:
        """Pass the answer on. Raises UpstreamFailure."""
        return await relay(self._asked, answer, release, downstream, visible, self._sessions)


def _resolve(message: Message, system: System) -> Resolved:
    if message.kind != "request":
        return Resolved(action=MCP_SESSION)
    try:
        return resolve(message, system)
    except BadMessage as error:
        raise _malformed(message.id, error.rpc_code, error.explanation) from error


def _malformed(
    message_id: str | int | None,
    code: int,
    explanation: str,
    data: dict[str, object] | None = None,
    *,
    status: int = 400,
) -> Malformed:
    def reply(event: int) -> Reply:
        known = {"event": event, "policies": [], "next_step": "correct the request; see the specification of MCP"}
        return refuse.error(message_id, code, explanation, {**known, **(data or {})}, status=status)

    return Malformed(explanation, reply)


def _method_not_allowed() -> Reply:
    reply = refuse.error(None, INVALID_REQUEST, f"revision {MODERN[-1]} is spoken by POST only", status=405)
    return Reply(405, (*reply.headers, (b"allow", b"POST")), reply.body)
