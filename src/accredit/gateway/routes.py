"""Which system a request is for, by the path exactly as it was sent; and what no honest client sends is refused.

The HTTP server accepts some requests that two parsers could read differently: two Hosts or none, a Host that is no
host, `Transfer-Encoding: identity, chunked`. They end here.
"""

import re
from typing import Any

import msgspec

from accredit.errors import InputRefused, NotFound, Unavailable
from accredit.outbound.target import Target, TargetRefused, parse_target
from accredit.systems.model import System
from accredit.systems.registry import Systems
from accredit.web.asgi import Scope

_PATH = re.compile(r"/gateway/([a-z0-9-]{1,63})/mcp")
_HOST = re.compile(rb"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SINGLE = frozenset(
    (
        *(b"host", b"authorization", b"origin", b"content-type", b"content-length"),
        *(b"content-encoding", b"transfer-encoding"),
    )
)
_METHODS = frozenset(("GET", "POST", "DELETE"))


class MisdirectedRequest(InputRefused):
    """A request whose head could be read in two ways, or whose Host is none."""

    code = "bad_request"


class ForeignOrigin(InputRefused):
    """A browser sent it from a page that is not ours (DNS rebinding)."""

    code = "foreign_origin"


class Route(msgspec.Struct, frozen=True):
    """What is known of a system before any request. `metadata` is the address of its RFC 9728 document."""

    system: System
    protocol: str
    audience: str
    metadata: str
    target: Target


class HeaderMap(msgspec.Struct, frozen=True):
    """A request's headers by lower-case name; of those in `repeated` the last stands."""

    values: dict[bytes, bytes]
    repeated: frozenset[bytes]


class Routes:
    """Finds the system of a request."""

    def __init__(self, issuer: str, systems: Systems, origins: frozenset[str]) -> None:
        self._issuer = issuer
        self._systems = systems
        self._origins = frozenset(one.encode() for one in origins)
        self._known: dict[str, Route] = {}

    def find(self, scope: Scope) -> Route:
        """The route of a path such as `/gateway/crm/mcp`. Raises NotFound; Unavailable for a bad upstream."""
        match = _PATH.fullmatch(_raw_path(scope))
        system = self._systems.get(match[1]) if match is not None else None
        if system is None or system.protocol != "mcp":
            raise NotFound("there is no such system here", next_step="look at the address: /gateway/{system}/mcp")
        known = self._known.get(system.name)
        if known is None or known.system is not system:
            known = self._known[system.name] = self._route(system)
        return known

    def check_head(self, scope: Scope) -> HeaderMap:
        """Read the headers once. Raises MisdirectedRequest, ForeignOrigin."""
        values: dict[bytes, bytes] = {}
        repeated: set[bytes] = set()
        for name, value in scope["headers"]:
            if name in values:
                repeated.add(name)
            values[name] = value
        if repeated and not _SINGLE.isdisjoint(repeated):
            raise MisdirectedRequest("a header that may stand once is repeated")
        if scope["method"] not in _METHODS:
            raise MisdirectedRequest("only GET, POST and DELETE are taken")
        host = values.get(b"host", b"")
        if _HOST.fullmatch(host) is None:
            raise MisdirectedRequest("the Host header is absent or no host")
        if b"transfer-encoding" in values and (
            values[b"transfer-encoding"].lower() != b"chunked" or b"content-length" in values
        ):
            raise MisdirectedRequest("the length of the body is given in two ways or in an unknown encoding")
        origin = values.get(b"origin")
        if origin is not None and origin not in self._origins:
            raise ForeignOrigin("a page of this origin may not call", next_step="call from a program, not a page")
        return HeaderMap(values, frozenset(repeated))

    def _route(self, system: System) -> Route:
        path = f"/gateway/{system.name}/mcp"
        return Route(
            system=system,
            protocol=system.protocol,
            audience=self._issuer + path,
            metadata=f"{self._issuer}/.well-known/oauth-protected-resource{path}",
            target=_target(system),
        )


def _target(system: System) -> Target:
    try:
        return parse_target(system.upstream)
    except TargetRefused as error:
        reason = "the address of the system's upstream cannot be sent to"
        raise Unavailable(reason, next_step="correct the manifest", detail=error.explanation) from error


def _raw_path(scope: Scope) -> str:
    # `path` is decoded, so that `/gateway/crm%2fmcp` would look like another: only the bytes that were sent count.
    raw: Any = scope.get("raw_path")
    return raw.partition(b"?")[0].decode("latin-1") if isinstance(raw, bytes) else ""
