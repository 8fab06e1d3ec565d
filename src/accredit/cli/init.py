"""`accredit init`: make the data folder and exit."""

import sys

import click

from accredit.cli.render import json_option, write_json
from accredit.installation import LINK_FILE, prepare
from accredit.settings import load_settings


@click.command()
@click.option("--link", is_flag=True, help="Make a new one-time link for the administrator, even if there was one.")
@json_option
def init(*, link: bool, as_json: bool) -> None:
    """Make the data folder, its keys and the administrator's one-time sign-in link."""
    settings = load_settings()
    prepared = prepare(settings, new_link=link)
    key = prepared.master_key_made
    if as_json:
        members = {
            "data": str(settings.data),
            "master_key_made": None if key is None else str(key),
            "sign_in_link_file": None if prepared.sign_in_link is None else str(settings.data / LINK_FILE),
        }
        write_json(members)
        return
    click.echo(f"The data folder is {settings.data}")
    if key is not None:
        click.echo(f"Made the master key {key}. Back it up now, apart from the data folder.")
    if prepared.sign_in_link is not None:
        # A one-time link is shown on a terminal only: what is piped may be kept.
        shown = prepared.sign_in_link if sys.stdout.isatty() else f"with the link in {settings.data / LINK_FILE}"
        click.echo(f"Sign in once, within 15 minutes: {shown}")
