"""`accredit person …`: who is here, what they may do, and what they have let agents do."""

import sys
from urllib.parse import urlencode

import click
import msgspec

from accredit.cli.connection import connect, decode, segment
from accredit.cli.delegations import end_delegation, list_delegations
from accredit.cli.failures import CannotRun
from accredit.cli.render import json_option, write_facts, write_json, write_line, write_note, write_table

_PAGE = 1_000


class _Person(msgspec.Struct):
    id: str
    email: str
    name: str
    roles: tuple[str, ...]
    mapped_roles: tuple[str, ...]
    created_at: str
    passkeys: int
    identities: int
    delegations: int


class _PersonPage(msgspec.Struct):
    people: list[msgspec.Raw]
    next: str | None


class _Link(msgspec.Struct):
    url: str
    expires_in_seconds: int


class _Identity(msgspec.Struct):
    issuer: str
    subject: str
    provider: str | None
    created_at: str


class _IdentityList(msgspec.Struct):
    identities: list[_Identity]


class _PolicySet(msgspec.Struct):
    roles: tuple[str, ...]


@click.group()
def person() -> None:
    """See people, give them roles, and end what they have delegated."""


@person.command("list")
@json_option
def list_people(*, as_json: bool) -> None:
    """List everybody, by address."""
    found: list[msgspec.Raw] = []
    after: str | None = ""
    with connect() as api:
        while after is not None:
            page = decode(api.get("/people", after=after, limit=_PAGE), _PersonPage)
            found.extend(page.people)
            after = page.next
    if as_json:
        write_json({"people": found})
        return
    people = [decode(bytes(one), _Person) for one in found]
    rows = [(one.email, one.name, ", ".join(one.roles), _ways_in(one), str(one.delegations)) for one in people]
    write_table(("Address", "Name", "Roles", "Signs in with", "Delegations"), rows, empty="There is nobody yet.")


@person.command()
@click.argument("email")
@json_option
def show(email: str, *, as_json: bool) -> None:
    """Show a person, by their address or id."""
    with connect() as api:
        answer = api.get(f"/people/{segment(email)}")
    _write_person(answer, as_json=as_json)


@person.command()
@click.argument("email")
@click.option(
    "--role", "roles", multiple=True, help="A role, such as delegator or administrator. Give it once for each."
)
@click.option("--none", "no_roles", is_flag=True, help="Take away every role that was given here.")
@json_option
def roles(email: str, roles: tuple[str, ...], *, no_roles: bool, as_json: bool) -> None:
    """Give a person just these roles; those that a provider's groups give stay.

    `delegator` lets agents read and write for them, `administrator` does that too and opens the console.
    """
    if bool(roles) == no_roles:
        raise click.UsageError("give --role ROLE, once or more, or --none")
    with connect() as api:
        answer = api.put(f"/people/{segment(email)}/roles", {"roles": roles})
        known = decode(api.get("/policies"), _PolicySet).roles if roles else ()
    _write_person(answer, as_json=as_json)
    for role in roles:
        if role not in known:
            write_note(
                f"No policy in force names the role {role}: it permits nothing. `accredit policy list` shows them."
            )


@person.command()
@click.argument("email")
@json_option
def link(email: str, *, as_json: bool) -> None:
    """Make a link with which a person signs in to the console once, within 15 minutes; who is not known is made."""
    # Before it is made: a link that nobody sees would still work.
    if not as_json and not sys.stdout.isatty():
        raise CannotRun("a one-time link is shown on a terminal only", next_step="give --json to have it in a pipe")
    with connect() as api:
        answer = api.post("/sign-in-links", {"email": email})
    if as_json:
        write_json(answer)
        return
    made = decode(answer, _Link)
    write_line(made.url)
    write_note(f"It works once, within {made.expires_in_seconds // 60} minutes, for whoever opens it first.")


@person.command()
@click.argument("email")
@click.option("--end", metavar="DELEGATION", help="End this one, with every token that came of it.")
@json_option
def delegations(email: str, end: str | None, *, as_json: bool) -> None:
    """List what a person lets agents do, or end one of it."""
    path = f"/people/{segment(email)}/delegations"
    if end is None:
        list_delegations(path, empty="They let no agent act for them.", as_json=as_json)
    else:
        end_delegation(path, end, as_json=as_json)


@person.command()
@click.argument("email")
@json_option
def identities(email: str, *, as_json: bool) -> None:
    """List as whom sign-in providers know a person."""
    with connect() as api:
        answer = api.get(f"/people/{segment(email)}/identities")
    if as_json:
        write_json(answer)
        return
    rows = [
        (one.provider or "-", one.issuer, one.subject, one.created_at)
        for one in decode(answer, _IdentityList).identities
    ]
    write_table(("Provider", "Issuer", "Subject", "Since"), rows, empty="No provider knows this person.")


@person.command()
@click.argument("email")
@click.option("--issuer", required=True, help="The issuer, as `accredit person identities` shows it.")
@click.option("--subject", required=True, help="The subject, as it shows it.")
@json_option
def unlink(email: str, *, issuer: str, subject: str, as_json: bool) -> None:
    """Let a provider's subject sign on as this person no more, and end their sessions."""
    with connect() as api:
        api.delete(f"/people/{segment(email)}/identities?{urlencode({'issuer': issuer, 'subject': subject})}")
    if as_json:
        write_json({"issuer": issuer, "subject": subject, "unlinked": True})
    else:
        write_line(f"{subject} of {issuer} signs on as {email} no more. Their sessions were ended.")


def _ways_in(one: _Person) -> str:
    ways = []
    if one.passkeys:
        ways.append(f"{one.passkeys} passkey{'' if one.passkeys == 1 else 's'}")
    if one.identities:
        ways.append(f"{one.identities} provider identit{'y' if one.identities == 1 else 'ies'}")
    return ", ".join(ways) or "a one-time link only"


def _write_person(answer: bytes, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    one = decode(answer, _Person)
    shown = [role + (" (from a provider's group)" if role in one.mapped_roles else "") for role in one.roles]
    facts = (
        ("Address", one.email),
        ("Name", one.name or "-"),
        ("Id", one.id),
        ("Roles", "\n".join(shown) or "none: they can let no agent act for them"),
        ("Signs in with", _ways_in(one)),
        ("Delegations", str(one.delegations)),
        ("Since", one.created_at),
    )
    write_facts(facts)
