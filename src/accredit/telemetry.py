"""Logs of the process, on standard error: JSON, or readable lines on a terminal."""

import logging
import sys
from contextvars import ContextVar

import structlog
from structlog.typing import EventDict

from accredit.ids import new_id


class _Request:
    """One request, whose id is made when something is logged of it: most requests say nothing."""

    __slots__ = ("_id",)

    def __init__(self) -> None:
        self._id: str | None = None

    @property
    def id(self) -> str:
        if self._id is None:
            self._id = new_id("req")
        return self._id


_request: ContextVar[_Request | None] = ContextVar("accredit_request", default=None)


def begin_request() -> None:
    """Have everything that is logged from here on in this task carry one `request_id`."""
    _request.set(_Request())


def _add_request_id(_logger: object, _name: str, event: EventDict) -> EventDict:
    request = _request.get()
    if request is not None:
        event["request_id"] = request.id
    return event


def configure_logs(*, readable: bool | None = None) -> None:
    """Set up structured logs with `time`, `level`, `event` and what is bound, such as `request_id`.

    `readable` chooses lines for people; by default it is what standard error is.
    """
    if readable is None:
        readable = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=readable) if readable else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        _add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
