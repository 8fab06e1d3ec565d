"""Errors as problem documents (RFC 9457), for the edges that use them: `/api` and what answers plain HTTP.

`type` is left out, which means `about:blank` (§4.2.1): `title` is then the status's own phrase, and `code` is what a
program tells errors apart by.
"""

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from accredit.errors import Conflict, Error, InputRefused, NotAuthenticated, NotFound, NotPermitted, Unavailable
from accredit.web.asgi import BodyTooLarge

MEDIA_TYPE = "application/problem+json"


class MediaTypeRefused(InputRefused):
    """The body is of a media type that is not taken here (RFC 9110 §15.5.16)."""

    code = "unsupported_media_type"


class MethodRefused(InputRefused):
    """There is something at this address, and it does not take this method (RFC 9110 §15.5.6)."""

    code = "method_not_allowed"


class Failed(Error):
    """The server failed in a way that it does not understand; the cause is in its log."""

    code = "server_error"

    def __init__(self) -> None:
        super().__init__("the server failed", next_step="try again; if it stays so, the server's log says why")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The document. `event` is the number of the event that tells of it, null if there is none."""

    title: str
    status: int
    detail: str
    next_step: str
    code: str
    event: int | None


# The first that fits; a class stands before its base.
_STATUS: tuple[tuple[type[Error], HTTPStatus], ...] = (
    (BodyTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (MediaTypeRefused, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (MethodRefused, HTTPStatus.METHOD_NOT_ALLOWED),
    (InputRefused, HTTPStatus.BAD_REQUEST),
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (NotPermitted, HTTPStatus.FORBIDDEN),
    (NotFound, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)


def describe(error: Error) -> Problem:
    """What a caller is told of an error; its `detail` stays here."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    return Problem(
        title=status.phrase,
        status=status,
        detail=error.explanation,
        next_step=error.next_step,
        code=error.code,
        event=error.event,
    )


def problem_response(error: Error, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that failed; never stored by a cache."""
    problem = describe(error)
    body = msgspec.json.encode(problem)
    return Response(body, problem.status, {"Cache-Control": "no-store", **(headers or {})}, media_type=MEDIA_TYPE)
