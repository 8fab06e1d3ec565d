"""`/api/v1/audit`: read the log, prove an event, and take the whole log away."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated

import msgspec

from accredit.api.endpoint import AnyEndpoint, Call, Endpoint
from accredit.api.parsing import SEQ_LIMIT, Nothing, parse_seq
from accredit.audit.event import AuditEvent
from accredit.audit.export import MEDIA_TYPE
from accredit.audit.reading import AuditLog, EventProof
from accredit.errors import InputRefused

Export = Callable[[], AsyncIterator[bytes]]
"""Begins an export of the whole log (`audit.export`)."""

Seq = Annotated[int, msgspec.Meta(ge=-1, le=SEQ_LIMIT)]


class ShownEvent(AuditEvent, frozen=True, kw_only=True):
    """An event with its number in the log. One whose body was removed has `seq`, `id`, `removed`, `commitment`."""

    seq: int


EventJson = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"$ref": "#/components/schemas/ShownEvent"})]


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events, oldest first after `after`, else newest first.

    `next` is the `after` or `before` that goes on from here, null if the page is empty.
    """

    events: tuple[EventJson, ...]
    next: int | None


class EventPageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page: the events after a number, before a number, or the newest."""

    after: Seq | None = None
    before: Seq | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class AuditEndpoints:
    """What can be asked of the log."""

    def __init__(self, log: AuditLog, export: Export) -> None:
        self._log = log
        self._export = export

    def endpoints(self) -> tuple[AnyEndpoint, ...]:
        """The rows of the table."""
        one = "/api/v1/audit/events/{seq}"
        return (
            Endpoint(
                method="GET",
                path="/api/v1/audit/events",
                summary="Read events",
                act=self._page,
                body=Nothing,
                query=EventPageQuery,
                answer=EventPage,
            ),
            Endpoint(
                method="GET",
                path=one,
                summary="Show an event",
                act=self._show,
                body=Nothing,
                query=Nothing,
                answer=ShownEvent,
            ),
            Endpoint(
                method="GET",
                path=f"{one}/proof",
                summary="Prove that an event is in the log",
                act=self._prove,
                body=Nothing,
                query=Nothing,
                answer=EventProof,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/audit/export",
                summary="Take the whole log away, in a form that verifies offline",
                act=self._take_away,
                body=Nothing,
                query=Nothing,
                answer=None,
                streams=MEDIA_TYPE,
            ),
        )

    async def _page(self, call: Call[Nothing, EventPageQuery]) -> EventPage:
        query = call.query
        match query.after, query.before:
            case None, None:
                found = await self._log.latest(query.limit)
            case int(after), None:
                found = await self._log.after(after, query.limit)
            case None, int(before):
                found = await self._log.before(before, query.limit)
            case _:
                raise InputRefused("the query names both after and before", next_step="give one of them")
        shown = tuple(msgspec.Raw(event.json()) for event in found)
        return EventPage(events=shown, next=found[-1].seq if found else None)

    async def _show(self, call: Call[Nothing, Nothing]) -> msgspec.Raw:
        return msgspec.Raw((await self._log.event(parse_seq(call.path["seq"]))).json())

    async def _prove(self, call: Call[Nothing, Nothing]) -> EventProof:
        return await self._log.prove(parse_seq(call.path["seq"]))

    async def _take_away(self, call: Call[Nothing, Nothing]) -> AsyncIterator[bytes]:
        del call
        return self._export()
