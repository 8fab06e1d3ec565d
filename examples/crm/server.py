"""The CRM as an MCP server over streamable HTTP, built with the official SDK.

It speaks the stateless revision 2026-07-28 and the session-based ones before it. It knows nothing of Accredit and
checks no token: it listens on the loopback address only, and the gateway stands in front of it.
"""

import argparse
import asyncio
import json
import logging
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

if not __package__:
    # Run as a file, not with -m: the package is found from the checkout.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.crm.book import Book, Contact, Deal, EmailTakenError, NotFoundError, Stage
from examples.crm.seed import seed

PATH = "/mcp"
_STOP_SECONDS = 2

ContactId = Annotated[int, Field(description="The contact's number", ge=1)]


class Contacts(BaseModel):
    """Contacts that were found."""

    contacts: list[Contact]


class Deals(BaseModel):
    """Deals that were found."""

    deals: list[Deal]


class Export(BaseModel):
    """The whole address book as CSV text."""

    rows: int
    csv: str


class CallLog:
    """Writes each tool call that arrives to a file, a JSON object a line, before anything looks at it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Note the call and hand it on."""
        if ctx.method == "tools/call":
            params = ctx.params or {}
            line = {
                "time": datetime.now(UTC).isoformat(),
                "tool": params.get("name"),
                "arguments": params.get("arguments"),
                "revision": ctx.protocol_version,
            }
            with self._file.open("a", encoding="utf-8") as calls:
                calls.write(json.dumps(line) + "\n")
        return await call_next(ctx)


def build(book: Book, calls: Path | None = None) -> MCPServer[Any]:
    """Make the MCP server of a book; with `calls`, a file that each tool call is noted in."""
    server: MCPServer[Any] = MCPServer(
        "crm",
        title="Customer relations",
        version="1.0",
        instructions="Contacts and deals of one company. Amounts are in whole euros.",
        log_level="WARNING",
        middleware=[CallLog(calls)] if calls else [],
    )
    _add_reading_tools(server, book)
    _add_writing_tools(server, book)
    _add_resource(server, book)
    _add_prompt(server)
    return server


def _add_reading_tools(server: MCPServer[Any], book: Book) -> None:
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)

    @server.tool(title="Search contacts", annotations=reads)
    def search_contacts(
        query: Annotated[str, Field(description="Part of a name, an email address or a company", max_length=200)],
        limit: Annotated[int, Field(description="How many to return at most", ge=1, le=50)] = 10,
    ) -> Contacts:
        """Find contacts by a part of their name, email address or company."""
        return Contacts(contacts=book.search_contacts(query, limit))

    @server.tool(title="Get a contact", annotations=reads)
    def get_contact(id: ContactId) -> Contact:  # noqa: A002  # the argument's name on the wire
        """Read one contact."""
        try:
            return book.contact(id)
        except NotFoundError as error:
            raise ToolError(str(error)) from error

    @server.tool(title="List deals", annotations=reads)
    def list_deals(
        stage: Annotated[
            Literal["any", "lead", "qualified", "proposal", "won", "lost"],
            Field(description="Only deals in this stage"),
        ] = "any",
    ) -> Deals:
        """List deals, the largest first."""
        return Deals(deals=book.deals(None if stage == "any" else stage))

    @server.tool(title="Export all contacts", annotations=reads)
    def export_contacts() -> Export:
        """Read the whole address book at once, as CSV."""
        everyone = book.contacts()
        lines = [
            "id,name,email,company",
            *(f"{c.id},{_csv(c.name)},{_csv(c.email)},{_csv(c.company)}" for c in everyone),
        ]
        return Export(rows=len(everyone), csv="\r\n".join(lines) + "\r\n")


def _add_writing_tools(server: MCPServer[Any], book: Book) -> None:
    adds = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
    overwrites = ToolAnnotations(
        read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
    )

    @server.tool(title="Create a contact", annotations=adds)
    def create_contact(
        name: Annotated[str, Field(min_length=1, max_length=200)],
        email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)],
        company: Annotated[str, Field(min_length=1, max_length=200)],
    ) -> Contact:
        """Add a contact to the address book."""
        try:
            return book.create_contact(name, email, company)
        except EmailTakenError as error:
            raise ToolError(str(error)) from error

    @server.tool(title="Update a deal", annotations=overwrites)
    def update_deal(
        id: Annotated[int, Field(description="The deal's number", ge=1)],  # noqa: A002  # the name on the wire
        stage: Annotated[Stage, Field(description="The deal's new stage")],
        amount: Annotated[int, Field(description="The deal's new amount in whole euros", ge=0, le=1_000_000_000)],
    ) -> Deal:
        """Set a deal's stage and amount."""
        try:
            return book.update_deal(id, stage, amount)
        except NotFoundError as error:
            raise ToolError(str(error)) from error

    @server.tool(title="Delete a contact", annotations=overwrites)
    def delete_contact(id: ContactId) -> Contact:  # noqa: A002  # the argument's name on the wire
        """Delete a contact and its deals for ever. Returns the contact as it was."""
        try:
            return book.delete_contact(id)
        except NotFoundError as error:
            raise ToolError(str(error)) from error


def _add_resource(server: MCPServer[Any], book: Book) -> None:
    @server.resource("crm://contacts/{id}", name="contact", title="A contact", mime_type="application/json")
    def contact(id: str) -> str:  # noqa: A002  # the variable's name in the template
        """One contact as JSON."""
        try:
            return book.contact(int(id)).model_dump_json()
        except ValueError as error:
            raise ResourceNotFoundError("a contact's id is a number") from error
        except NotFoundError as error:
            raise ResourceNotFoundError(str(error)) from error


def _add_prompt(server: MCPServer[Any]) -> None:
    @server.prompt(name="follow_up", title="Write a follow-up")
    def follow_up(company: str) -> str:
        """Ask for a short follow-up message to the contacts of a company about their open deals."""
        return (
            f"Find the contacts at {company} and their deals in the stages lead, qualified and proposal. "
            "Write a follow-up message of at most 120 words to each of them. Do not change any record."
        )


def _csv(value: str) -> str:
    # A cell that starts like a formula is one to a spreadsheet: an apostrophe makes it text.
    safe = f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
    quoted = safe.replace('"', '""')
    return f'"{quoted}"' if any(mark in quoted for mark in ',"\r\n') else quoted


class _Server(uvicorn.Server):
    """Tells its address once it accepts connections."""

    def __init__(self, config: uvicorn.Config, port: int, port_file: Path | None) -> None:
        super().__init__(config)
        self._port = port
        self._port_file = port_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._port_file:
            # Renamed into place: who waits for the file never reads half a number.
            part = self._port_file.with_name(self._port_file.name + ".part")
            part.write_text(f"{self._port}\n", encoding="utf-8")
            part.rename(self._port_file)
        print(f"CRM listening on http://127.0.0.1:{self._port}{PATH}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns 1 if the port is taken."""
    options = _parse(arguments)
    book = Book(options.database)
    seed(book)
    try:
        listener = socket.create_server(("127.0.0.1", options.port), backlog=1_024)
    except OSError as error:
        print(f"cannot listen on 127.0.0.1:{options.port}: {error.strerror}. Choose another --port.", file=sys.stderr)
        return 1
    logging.basicConfig(level=logging.WARNING)
    config = uvicorn.Config(
        build(book, options.calls).streamable_http_app(streamable_http_path=PATH),
        log_level="warning",
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    server = _Server(config, listener.getsockname()[1], options.port_file)
    # Uvicorn stops cleanly and then raises the signal again: here that is the end of a good run, not a death.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda _number, _frame: None)
    with listener:
        asyncio.run(server.serve(sockets=[listener]))
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.crm.server", description="Serve the example CRM over MCP."
    )
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one (default: 9000)")
    parser.add_argument("--database", type=Path, default=Path("crm.db"), help="SQLite file, made and filled if absent")
    parser.add_argument("--port-file", type=Path, help="write the port here when the server accepts connections")
    parser.add_argument("--calls", type=Path, help="note each tool call here, a JSON object a line")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
