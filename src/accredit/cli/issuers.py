"""`accredit issuer …`: whose word is taken about workloads and people, and who takes ours."""

from pathlib import Path

import click
import msgspec

from accredit.cli.connection import connect, decode, segment
from accredit.cli.render import json_option, write_facts, write_json, write_line, write_table
from accredit.cli.sources import read_text


class _People(msgspec.Struct):
    authoritative_domains: tuple[str, ...]
    create_people: bool


class _Peer(msgspec.Struct):
    resources: dict[str, tuple[str, ...]]
    clients: dict[str, str]


class _Configuration(msgspec.Struct):
    name: str
    issuer: str
    kind: str
    jwks_uri: str
    jwks: str
    audience: str
    people: _People | None
    peer: _Peer | None


class _Issuer(msgspec.Struct):
    configuration: _Configuration
    subject: str | None


class _IssuerList(msgspec.Struct):
    issuers: list[_Issuer]


@click.group()
def issuer() -> None:
    """Trust the issuers of workloads' tokens and of identity assertions."""


@issuer.command()
@click.argument("description", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--replace", is_flag=True, help="Put it in the place of the one of the same name.")
@json_option
def add(description: Path, *, replace: bool, as_json: bool) -> None:
    """Trust an issuer by its description (TOML, docs/workloads.md)."""
    body = {"configuration": read_text(description), "file": description.name, "replace": replace}
    with connect() as api:
        answer = api.post("/trusted-issuers", body)
    if as_json:
        write_json(answer)
        return
    added = decode(answer, _Issuer)
    write_line(f"The issuer {added.configuration.name} is trusted: {_for_what(added)}.")
    if added.subject is not None:
        write_line(f"A workload's subject is written like this: {added.subject}")


@issuer.command("list")
@json_option
def list_issuers(*, as_json: bool) -> None:
    """List the trusted issuers, by name."""
    with connect() as api:
        answer = api.get("/trusted-issuers")
    if as_json:
        write_json(answer)
        return
    rows = [
        (one.configuration.name, one.configuration.kind, one.configuration.issuer, _for_what(one))
        for one in decode(answer, _IssuerList).issuers
    ]
    write_table(("Name", "Kind", "Issuer", "For"), rows, empty="No issuer is trusted yet.")


@issuer.command()
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show a trusted issuer."""
    with connect() as api:
        answer = api.get(f"/trusted-issuers/{segment(name)}")
    if as_json:
        write_json(answer)
        return
    one = decode(answer, _Issuer)
    known = one.configuration
    keys = known.jwks_uri or ("in the description" if known.jwks else "named by its metadata")
    facts = [
        ("Name", known.name),
        ("Kind", known.kind),
        ("Issuer", known.issuer),
        ("Keys", keys),
        ("Audience", known.audience or "this installation's issuer"),
        ("For", _for_what(one)),
        ("Subjects like", one.subject or "-"),
    ]
    if known.people is not None:
        facts.append(("Speaks for addresses of", ", ".join(known.people.authoritative_domains) or "no domain"))
        facts.append(("Makes accounts", "yes" if known.people.create_people else "no"))
    write_facts(facts)
    if known.peer is not None:
        write_table(
            ("Resource there", "Scopes"),
            [(resource, " ".join(scopes)) for resource, scopes in known.peer.resources.items()],
            empty="No resource is listed.",
        )


@issuer.command()
@click.argument("name")
@json_option
def remove(name: str, *, as_json: bool) -> None:
    """Trust an issuer no more. Tokens that were given on its word live on to their end."""
    with connect() as api:
        api.delete(f"/trusted-issuers/{segment(name)}")
    if as_json:
        write_json({"removed": name})
        return
    write_line(f"The issuer {name} is trusted no more.")


def _for_what(one: _Issuer) -> str:
    known = one.configuration
    uses = (
        ("workloads", one.subject is not None),
        ("people (it gives identity assertions)", known.people is not None),
        ("takes our identity assertions", known.peer is not None),
    )
    return ", ".join(name for name, is_so in uses if is_so)
