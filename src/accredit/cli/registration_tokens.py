"""`accredit agent registration-token …`: let clients register themselves (RFC 7591 §3)."""

import click
import msgspec

from accredit.cli.connection import connect, decode, segment
from accredit.cli.render import json_option, write_json, write_line, write_note, write_table


class _Token(msgspec.Struct):
    id: str
    owner: str
    roles: tuple[str, ...]
    systems: tuple[str, ...]
    uses_left: int
    expires_at: str
    token: str = ""


class _TokenList(msgspec.Struct):
    registration_tokens: list[_Token]


@click.group("registration-token")
def registration_token() -> None:
    """Let clients register themselves, so many and for so long."""


@registration_token.command()
@click.option("--owner", required=True, metavar="EMAIL", help="Who answers for the agents that are registered.")
@click.option("--role", "roles", multiple=True, help="A role of each agent. Without one, nothing is permitted.")
@click.option("--system", "systems", multiple=True, help="A system that each agent may reach. Without one, none is.")
@click.option("--uses", type=click.IntRange(min=1), default=1, show_default=True, help="How many clients.")
@click.option("--days", type=click.IntRange(min=1), default=7, show_default=True, help="For how many days.")
@json_option
def create(
    owner: str, roles: tuple[str, ...], systems: tuple[str, ...], uses: int, days: int, *, as_json: bool
) -> None:
    """Make a token, which is shown this once."""
    body = {"owner": owner, "roles": roles, "systems": systems, "uses": uses, "days": days}
    with connect() as api:
        answer = api.post("/registration-tokens", body)
    if as_json:
        write_json(answer)
    else:
        # Just the token, so that `> FILE` keeps it and nothing else.
        write_line(decode(answer, _Token).token)
    write_note("The token is shown this once: a client sends it as Authorization: Bearer to /oauth/register.")


@registration_token.command("list")
@json_option
def list_tokens(*, as_json: bool) -> None:
    """List the tokens; none is shown itself."""
    with connect() as api:
        answer = api.get("/registration-tokens")
    if as_json:
        write_json(answer)
        return
    rows = [
        (one.id, one.owner, ", ".join(one.roles), ", ".join(one.systems), str(one.uses_left), one.expires_at)
        for one in decode(answer, _TokenList).registration_tokens
    ]
    write_table(("Id", "Owner", "Roles", "Systems", "Uses left", "Until"), rows, empty="There is no token yet.")


@registration_token.command()
@click.argument("token_id", metavar="TOKEN")
@json_option
def revoke(token_id: str, *, as_json: bool) -> None:
    """Revoke a token, by its id. What was registered with it lives on."""
    with connect() as api:
        api.delete(f"/registration-tokens/{segment(token_id)}")
    if as_json:
        write_json({"id": token_id, "revoked": True})
    else:
        write_line(f"Revoked {token_id}.")
