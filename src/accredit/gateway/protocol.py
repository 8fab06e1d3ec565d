"""What a wire protocol does for the pipeline. The pipeline decides, records and forwards; protocols only translate."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

from accredit.errors import InputRefused
from accredit.outbound.client import Answer
from accredit.outbound.failures import UpstreamFailure
from accredit.systems.model import Operation, System, Tool
from accredit.tokens.model import Caller

Headers = tuple[tuple[bytes, bytes], ...]


class Incoming(msgspec.Struct, frozen=True):
    """A request as it arrived. `headers` has lower-case names; those in `repeated` stood there more than once."""

    method: str
    headers: Mapping[bytes, bytes]
    repeated: frozenset[bytes]
    body: bytes
    system: System
    caller: Caller


class Reply(msgspec.Struct, frozen=True):
    """A whole answer to the agent."""

    status: int
    headers: Headers
    body: bytes


class Outgoing(msgspec.Struct, frozen=True):
    """A request to the upstream, written anew."""

    method: str
    headers: list[tuple[str, str]]
    body: bytes | None


class Stamp(msgspec.Struct, frozen=True):
    """The record of the decision behind an answer: the event's number and the deciding policies."""

    event: int
    policies: tuple[str, ...]


class Denial(msgspec.Struct, frozen=True):
    """Why a call is not carried out, for the agent and its user.

    `decision` is `deny`, or `step_up` where an approval or a role would change it.
    """

    reason: str
    next_step: str
    stamp: Stamp
    decision: str = "deny"


class Malformed(InputRefused):
    """The request is not one of the protocol; `reply` says so in its own form, with the number of its event."""

    code = "malformed_request"

    def __init__(self, explanation: str, reply: Callable[[int], Reply]) -> None:
        super().__init__(explanation)
        self.reply = reply


Release = Callable[[], Awaitable[Stamp]]
"""Waits until the call may be answered: its event is durable and its permit still holds. Raises Withdrawn."""

Visible = Callable[[Operation], bool]
"""Whether the caller could be permitted an operation."""


class Downstream(Protocol):
    """The agent's side of a call, as its answer goes out."""

    async def reply(self, reply: Reply, stamp: Stamp | None = None) -> None:
        """Send a whole answer."""

    async def start(self, status: int, headers: Headers, stamp: Stamp) -> None:
        """Send the head of an answer that is streamed."""

    async def write(self, piece: bytes) -> None:
        """Send the next piece; waits while the agent reads slowly."""

    async def finish(self) -> None:
        """End a streamed answer."""


class Call(Protocol):
    """One request, read. What is decided on and what is forwarded are the same value."""

    @property
    def action(self) -> str:
        """What policy and the log call it."""

    @property
    def operation(self) -> Operation | None:
        """The operation of the system; None for a built-in action and for what nothing matches."""

    @property
    def arguments(self) -> Mapping[str, object] | None:
        """The arguments to decide on."""

    @property
    def resource(self) -> str | None:
        """What it acts on, for the record."""

    @property
    def session(self) -> str | None:
        """The session's own id, for the record."""

    @property
    def endless(self) -> bool:
        """Whether the answer is a stream with no natural end; it then ends with the token."""

    @property
    def tool_name(self) -> str | None:
        """The tool whose schema is needed to decide, None if none is."""

    @property
    def settles_first(self) -> bool:
        """Whether the decision must be on record before anything is sent."""

    def learn(self, tool: Tool | None) -> None:
        """Take the tool's schema: check what depends on it. Raises Malformed."""

    def outgoing(self) -> Outgoing:
        """The request to the upstream."""

    def refuse(self, denial: Denial) -> Reply:
        """The answer to a call that is not permitted."""

    def fail(self, failure: UpstreamFailure, stamp: Stamp) -> Reply:
        """The answer when the upstream gave none that can be used."""

    def broken_off(self, failure: UpstreamFailure, stamp: Stamp) -> bytes:
        """What ends an answer that had begun to stream, in the form of the protocol."""

    async def relay(self, answer: Answer, release: Release, downstream: Downstream, visible: Visible) -> str:
        """Pass the upstream's answer on, once `release` has returned; returns the outcome for the record.

        Raises UpstreamFailure, before anything was sent or in the middle of a stream.
        """


class WireProtocol(Protocol):
    """One way to speak to a system."""

    def read(self, incoming: Incoming) -> Call | Reply:
        """Read a request; a Reply if the protocol answers it without the upstream. Raises Malformed."""
