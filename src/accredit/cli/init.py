"""`accredit init`: make the data folder and exit."""

import click

from accredit.cli.render import json_option, write_json
from accredit.installation import prepare
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
            "sign_in_link": prepared.sign_in_link,
        }
        write_json(members)
        return
    click.echo(f"The data folder is {settings.data}")
    if key is not None:
        click.echo(f"Made the master key {key}. Back it up now, apart from the data folder.")
    if prepared.sign_in_link is not None:
        click.echo(f"Sign in once, within 15 minutes: {prepared.sign_in_link}")
