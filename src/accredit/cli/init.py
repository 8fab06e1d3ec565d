"""`accredit init`: make the data folder and exit."""

import json

import click

from accredit.errors import Error
from accredit.installation import prepare
from accredit.settings import load_settings


@click.command()
@click.option("--link", is_flag=True, help="Make a new one-time link for the administrator, even if there was one.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def init(*, link: bool, as_json: bool) -> None:
    """Make the data folder, its keys and the administrator's one-time sign-in link."""
    try:
        settings = load_settings()
        prepared = prepare(settings, new_link=link)
    except Error as error:
        raise click.ClickException(f"{error.explanation}. {error.next_step}".strip()) from error
    key = prepared.master_key_made
    if as_json:
        click.echo(
            json.dumps(
                {
                    "data": str(settings.data),
                    "master_key_made": None if key is None else str(key),
                    "sign_in_link": prepared.sign_in_link,
                }
            )
        )
        return
    click.echo(f"The data folder is {settings.data}")
    if key is not None:
        click.echo(f"Made the master key {key}. Back it up now, apart from the data folder.")
    if prepared.sign_in_link is not None:
        click.echo(f"Sign in once, within 15 minutes: {prepared.sign_in_link}")
