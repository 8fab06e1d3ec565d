"""The documents of the authorization server that anyone may read; the token endpoint itself is `token.py`."""

from collections.abc import Mapping, Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from accredit.oauth.discovery import RESOURCE_PATH, SERVER_PATH, Discovery

_CACHE = {"cache-control": "public, max-age=60", "access-control-allow-origin": "*"}


def oauth_routes(discovery: Discovery, jwks: Mapping[str, Sequence[Mapping[str, str]]]) -> list[BaseRoute]:
    """RFC 8414 and RFC 9728 metadata, and the JWK Set (RFC 7517 §5)."""
    keys = msgspec.json.encode(jwks)

    async def server(_request: Request) -> Response:
        return Response(discovery.server(), media_type="application/json", headers=_CACHE)

    async def resource(request: Request) -> Response:
        path: str = request.scope["path"]
        document = discovery.protected_resource(path.removeprefix(RESOURCE_PATH))
        if document is None:
            return Response(b'{"error":"not_found"}', status_code=404, media_type="application/json")
        return Response(document, media_type="application/json", headers=_CACHE)

    async def jwk_set(_request: Request) -> Response:
        return Response(keys, media_type="application/jwk-set+json", headers=_CACHE)

    return [
        Route(SERVER_PATH, server, methods=["GET"]),
        Route(RESOURCE_PATH, resource, methods=["GET"]),
        Route(RESOURCE_PATH + "/{path:path}", resource, methods=["GET"]),
        Route("/.well-known/jwks.json", jwk_set, methods=["GET"]),
    ]
