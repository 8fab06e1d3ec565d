"""`/healthz`: the process answers. `/readyz`: it can decide and record."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from accredit.errors import Error


def health_routes(check: Callable[[], Awaitable[None]]) -> list[BaseRoute]:
    """`check` raises Error when the process cannot serve; only its explanation is told."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        try:
            await check()
        except Error as error:
            return JSONResponse({"status": "unavailable", "detail": error.explanation}, status_code=503)
        return JSONResponse({"status": "ok"})

    return [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]
