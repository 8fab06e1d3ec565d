"""The command `accredit`: one table of commands, each loaded when it is asked for."""

import importlib
import sys

import click

from accredit.cli.failures import CannotRun, cannot_run
from accredit.errors import Error

COMMANDS = {
    "init": "accredit.cli.init:init",
    "serve": "accredit.cli.serve:serve",
    "demo": "accredit.cli.demo:demo",
    "agent": "accredit.cli.agents:agent",
    "person": "accredit.cli.people:person",
    "system": "accredit.cli.systems:system",
    "token": "accredit.cli.token:token",
    "policy": "accredit.cli.policies:policy",
    "keys": "accredit.cli.keys:keys",
    "sign-in": "accredit.cli.sign_in:sign_in",
    "issuer": "accredit.cli.issuers:issuer",
    "audit": "accredit.cli.audit:audit",
}
"""Command → where it is. By name, so that `accredit agent` need not load the server first (two seconds)."""


class Commands(click.Group):
    """The commands of the table. What a room refuses is told like every other error, without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run one."""
        try:
            return super().invoke(ctx)
        except Error as error:
            raise cannot_run(error) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="accredit")
def accredit() -> None:
    """Identity, secrets and policy for AI agents.

    Commands reach a server through ACCREDIT_URL and ACCREDIT_TOKEN, else through management.json in ACCREDIT_DATA.
    They exit with 0 when done, 1 when refused, 2 when they could not run.
    """


def main() -> None:
    """Run the command line of this process."""
    try:
        accredit()
    except Exception as error:  # noqa: BLE001  # the outermost edge: a sentence, not a traceback
        click.echo(f"Error: accredit failed: {type(error).__name__}: {error}", err=True)
        click.echo(
            "What to do: this is a fault of accredit itself; report it with the command that you gave.", err=True
        )
        sys.exit(CannotRun.exit_code)
