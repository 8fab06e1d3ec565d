"""Errors as commands tell them: one clear sentence, what to do next, the event's number; and an exit code.

0 done; 1 refused, or not whole; 2 wrong usage, or the command could not run.
"""

from typing import IO, Any

import click
import msgspec

from accredit.cli.render import JSON_WANTED, plain
from accredit.errors import Error


class CommandFailed(click.ClickException):
    """Ends the command; with `--json` the error is a JSON object on standard error."""

    code = "failed"

    def __init__(
        self, explanation: str, *, next_step: str = "", code: str | None = None, event: int | None = None
    ) -> None:
        super().__init__(explanation)
        self.next_step = next_step
        self.code = code or self.code
        self.event = event
        context = click.get_current_context(silent=True)
        self._as_json = context is not None and bool(context.meta.get(JSON_WANTED))

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the error to standard error."""
        if self._as_json:
            members = {"detail": self.message, "next_step": self.next_step, "code": self.code, "event": self.event}
            click.echo(msgspec.json.encode(members), file=file, err=True)
            return
        click.echo(f"Error: {plain(self.message)}", file=file, err=True)
        if self.next_step:
            click.echo(f"What to do: {plain(self.next_step)}", file=file, err=True)
        if self.event is not None:
            click.echo(f"Event: {self.event}", file=file, err=True)


class Refused(CommandFailed):
    """The server said no, or what was to be verified is not whole."""

    exit_code = 1
    code = "refused"


class CannotRun(CommandFailed):
    """The command could not do its work at all."""

    exit_code = 2
    code = "cannot_run"


def cannot_run(error: Error) -> CannotRun:
    """An error of a room that a command uses directly."""
    return CannotRun(error.explanation, next_step=error.next_step, code=error.code, event=error.event)
