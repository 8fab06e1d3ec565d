"""The request to the upstream: our own encoding of what was read and decided on, and headers written from it.

Nothing of the client's headers is copied: not its token, cookies, `Forwarded`, `X-*`, `traceparent`, nor its spelling.
"""

from collections.abc import Mapping
from typing import cast

import msgspec

from accredit.gateway.protocol import Outgoing
from accredit.gateway.protocols.mcp.era import CAPABILITIES_KEY, NAME_OF, Era, encode_header
from accredit.gateway.protocols.mcp.read import Message

ACCEPT = ("accept", "application/json, text/event-stream")
_ACCEPT_STREAM = ("accept", "text/event-stream")
_JSON = ("content-type", "application/json")
_AGENT = ("user-agent", "accredit")

_encode = msgspec.json.Encoder().encode


def cleaned(message: Message) -> Message:
    """The message without what an upstream must not be told by a client.

    That is members of `_meta` that only this gateway writes, since an upstream may trust them, and the capability of
    sampling, since an upstream's requests to the client's model are not decided on.
    """
    changed: dict[str, object] = {}
    meta = message.params.get("_meta")
    if isinstance(meta, dict):
        kept = {key: value for key, value in meta.items() if not key.casefold().startswith("accredit/")}
        if _can_sample(kept.get(CAPABILITIES_KEY)):
            kept[CAPABILITIES_KEY] = _without_sampling(kept[CAPABILITIES_KEY])
        if kept != meta:
            changed["_meta"] = kept
    if message.method == "initialize" and _can_sample(message.params.get("capabilities")):
        changed["capabilities"] = _without_sampling(message.params["capabilities"])
    return with_params(message, changed) if changed else message


def with_params(message: Message, changed: Mapping[str, object]) -> Message:
    """The message with some parameters set otherwise: the one that is decided on and forwarded."""
    params: dict[str, object] = {**message.params, **changed}
    return msgspec.structs.replace(message, params=params, body={**message.body, "params": params})


def _can_sample(capabilities: object) -> bool:
    return isinstance(capabilities, dict) and "sampling" in capabilities


def _without_sampling(capabilities: object) -> dict[str, object]:
    return {key: value for key, value in cast("dict[str, object]", capabilities).items() if key != "sampling"}


def outgoing_message(
    message: Message, era: Era, upstream_session: str | None, param_headers: Mapping[str, str]
) -> Outgoing:
    """The POST of one message."""
    headers = [ACCEPT, _JSON, _AGENT]
    if era.version is not None:
        headers.append(("mcp-protocol-version", era.version))
    if era.modern:
        headers.append(("mcp-method", message.method))
        key = NAME_OF.get(message.method)
        name = message.params.get(key) if key is not None else None
        if isinstance(name, str):
            headers.append(("mcp-name", encode_header(name)))
        headers.extend(param_headers.items())
    elif upstream_session is not None:
        headers.append(("mcp-session-id", upstream_session))
    return Outgoing("POST", headers, _encode(message.body))


def outgoing_bare(method: str, era: Era, upstream_session: str | None) -> Outgoing:
    """The GET that opens a stream, or the DELETE that ends a session.

    `Last-Event-ID` is not passed on: it could name another agent's stream, or the answer to a list before it was cut.
    """
    headers = [_ACCEPT_STREAM if method == "GET" else ACCEPT, _AGENT]
    if era.version is not None:
        headers.append(("mcp-protocol-version", era.version))
    if upstream_session is not None:
        headers.append(("mcp-session-id", upstream_session))
    return Outgoing(method, headers, None)
