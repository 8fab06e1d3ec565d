"""The public face of the log: checkpoint, verifier keys and tiles, readable by anyone (c2sp.org/tlog-tiles).

An entry is a salted commitment, so the tiles tell nothing of the events.
"""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from accredit.audit.reading import AuditLog
from accredit.errors import InputRefused, NotFound, Unavailable

_IMMUTABLE = {"cache-control": "public, max-age=31536000, immutable"}
_BRIEF = {"cache-control": "public, max-age=1"}


def public_log_routes(log: AuditLog) -> list[BaseRoute]:
    """`/audit/checkpoint`, `/audit/key` and `/audit/tile/…`."""

    async def checkpoint(_request: Request) -> Response:
        try:
            return PlainTextResponse(await log.checkpoint(), headers=_BRIEF)
        except NotFound as error:
            return PlainTextResponse(f"{error.explanation}\n", status_code=404)
        except Unavailable as error:
            return PlainTextResponse(f"{error.explanation}\n", status_code=503)

    async def key(_request: Request) -> Response:
        return PlainTextResponse(log.keys(), headers=_BRIEF)

    async def tile(request: Request) -> Response:
        try:
            data = await log.file("tile/" + request.path_params["path"])
        except (NotFound, InputRefused):
            return PlainTextResponse("there is no such tile\n", status_code=404)
        except Unavailable as error:
            return PlainTextResponse(f"{error.explanation}\n", status_code=503)
        return Response(data, media_type="application/octet-stream", headers=_IMMUTABLE)

    return [
        Route("/audit/checkpoint", checkpoint, methods=["GET"]),
        Route("/audit/key", key, methods=["GET"]),
        Route("/audit/tile/{path:path}", tile, methods=["GET"]),
    ]
