"""For the MCP SDK: a connection with OAuth in it, and typed errors for what Accredit's gateway refuses.

    async with connect(url, OAuth(url, ClientSecret("agt_1", secret, issuer=issuer))) as client:
        result = raise_for_decision(await client.call_tool("search_contacts", {"query": "ada"}))

The `OAuth` object is also all that the SDK's own parts need: `httpx2.AsyncClient(auth=OAuth(…))`. The SDK itself is
imported only by `connect`.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

import httpx2

from accredit.client.auth import OAuth
from accredit.client.errors import ApprovalRequired, ClientError, Denied, Misconfigured, StepUpRequired, Unavailable

if TYPE_CHECKING:
    from mcp import Client

R = TypeVar("R")

_CONNECT_SECONDS = 30.0
_READ_SECONDS = 300.0
_REFUSED = 403
_LATER = {429: "too many calls", 502: "the system behind the gateway failed", 504: "the system was too slow"}
_PREFIX = "accredit/"
_DECISION = "accredit/decision"
_REFUSALS = frozenset({"deny", "step_up"})
_SIGN_IN = "insufficient_user_authentication"
_DEPTH = 8


@asynccontextmanager
async def connect(url: str, auth: OAuth, *, mode: str = "auto") -> "AsyncIterator[Client]":
    """A connected client of the MCP SDK. `mode` is the SDK's: "auto", "legacy", or a protocol revision.

    Raises Misconfigured without the SDK, and the SDK's errors; those of `accredit.client` come as they are.
    """
    try:
        from mcp import Client  # noqa: PLC0415  # the SDK is no dependency of this package
        from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415  # the same
    except ImportError as error:
        raise Misconfigured("the MCP SDK is not installed", next_step="pip install mcp") from error
    timeout = httpx2.Timeout(_CONNECT_SECONDS, read=_READ_SECONDS)
    with typed_errors():
        async with (
            httpx2.AsyncClient(auth=auth, timeout=timeout) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            yield client


@contextmanager
def typed_errors() -> Iterator[None]:
    """Raise what the SDK's task groups and errors hide.

        with typed_errors():
            await client.read_resource("crm://contacts/1")

    That is the ClientError in a group, or the one for a JSON-RPC refusal. `connect` does it for its whole block.
    """
    try:
        yield
    except Exception as error:
        found = _find(error, _DEPTH)
        if found is None or found is error:
            raise
        raise found from error


def raise_for_decision(result: R) -> R:
    """The result of a tool call, unless Accredit refused the call: then the typed error.

    It takes the SDK's `CallToolResult`, or the JSON of one. A tool's own failure is returned as it is. Raises Denied,
    ApprovalRequired, StepUpRequired.
    """
    failed = _member(result, "is_error", "isError")
    meta = _member(result, "meta", "_meta")
    # Results of calls that were permitted carry an event too; only a refusal says what was decided.
    if failed is True and isinstance(meta, Mapping) and meta.get(_DECISION) in _REFUSALS:
        about = {str(name).removeprefix(_PREFIX): value for name, value in meta.items()}
        raise _decision(_text(result), about)
    return result


def error_of(error: BaseException) -> ClientError | None:
    """The typed error for the SDK's `MCPError`, None if it is not of Accredit's making."""
    code, data, message = (getattr(error, name, None) for name in ("code", "data", "message"))
    if not isinstance(code, int) or not isinstance(data, Mapping) or "next_step" not in data or "event" not in data:
        return None
    text = message if isinstance(message, str) else str(error)
    if code in _LATER:
        return Unavailable(text or _LATER[code], next_step=_string(data, "next_step"), event=_integer(data, "event"))
    return _decision(text, data) if code == _REFUSED else None


def _decision(text: str, about: Mapping[str, object]) -> ClientError:
    """Which refusal it is: `decision` says `step_up` where an approval or a sign-in would change it."""
    event, step, policies = _integer(about, "event"), _string(about, "next_step"), _strings(about, "policies")
    if about.get("error") == _SIGN_IN:
        return StepUpRequired(
            text,
            next_step=step,
            code=_SIGN_IN,
            event=event,
            policies=policies,
            acr_values=tuple(_string(about, "acr_values").split()),
            max_age_seconds=_integer(about, "max_age"),
        )
    if about.get("decision") == "step_up":
        approval = _string(about, "approval") or None
        return ApprovalRequired(
            text, next_step=step, code="approval_required", event=event, policies=policies, approval=approval
        )
    return Denied(text, next_step=step, code="access_denied", event=event, policies=policies)


def _find(error: BaseException, depth: int) -> ClientError | None:
    if isinstance(error, ClientError):
        return error
    if isinstance(error, BaseExceptionGroup) and depth > 0:
        for inner in error.exceptions:
            if (found := _find(inner, depth - 1)) is not None:
                return found
        return None
    return error_of(error)


def _member(result: object, name: str, wire: str) -> object:
    return result.get(wire) if isinstance(result, Mapping) else getattr(result, name, None)


def _text(result: object) -> str:
    content = _member(result, "content", "content")
    if not isinstance(content, Sequence):
        return "refused by policy"
    texts = [_member(block, "text", "text") for block in content]
    return "\n".join(text for text in texts if isinstance(text, str)) or "refused by policy"


def _string(about: Mapping[str, object], name: str) -> str:
    value = about.get(name)
    return value if isinstance(value, str) else ""


def _strings(about: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = about.get(name)
    return tuple(str(one) for one in value) if isinstance(value, list | tuple) else ()


def _integer(about: Mapping[str, object], name: str) -> int | None:
    value = about.get(name)
    return value if isinstance(value, int) else None
