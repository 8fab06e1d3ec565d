"""`accredit sign-in …`: where people sign on."""

from pathlib import Path

import click
import msgspec

from accredit.cli.connection import connect, decode, segment
from accredit.cli.render import json_option, write_facts, write_json, write_line, write_table
from accredit.cli.sources import read_text


class _Configuration(msgspec.Struct):
    kind: str
    name: str
    title: str
    issuer: str = ""
    entity_id: str = ""
    domains: tuple[str, ...] = ()
    authoritative_domains: tuple[str, ...] = ()
    roles: dict[str, tuple[str, ...]] = {}


class _Provider(msgspec.Struct):
    id: str
    has_secret: bool
    register_there: str
    version: int
    configuration: _Configuration


class _ProviderList(msgspec.Struct):
    providers: list[_Provider]


class _Linked(msgspec.Struct):
    provider: str
    email: str


@click.group("sign-in")
def sign_in() -> None:
    """Choose where people sign on."""


@sign_in.group()
def provider() -> None:
    """Connect the company's identity providers."""


@provider.command()
@click.argument("description", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the client secret, or for private_key_jwt the private key (JWK or PEM).",
)
@click.option("--replace", is_flag=True, help="Put it in the place of the one of the same name.")
@json_option
def add(description: Path, *, secret_file: Path | None, replace: bool, as_json: bool) -> None:
    """Connect a provider by its description (TOML, docs/sign-on.md)."""
    body: dict[str, object] = {
        "configuration": read_text(description),
        "file": description.name,
        "replace": replace,
    }
    if secret_file is not None:
        body["secret"] = read_text(secret_file).strip()
    with connect() as api:
        answer = api.post("/sign-in-providers", body)
    if as_json:
        write_json(answer)
        return
    added = decode(answer, _Provider)
    write_line(f"People can sign on at {added.configuration.title}.")
    write_line(f"Register this address there, if it is not known yet: {added.register_there}")


@provider.command("list")
@json_option
def list_providers(*, as_json: bool) -> None:
    """List the providers, by name."""
    with connect() as api:
        answer = api.get("/sign-in-providers")
    if as_json:
        write_json(answer)
        return
    rows = [
        (
            one.configuration.name,
            one.configuration.title,
            one.configuration.kind,
            one.configuration.issuer or one.configuration.entity_id,
            ", ".join(one.configuration.domains),
        )
        for one in decode(answer, _ProviderList).providers
    ]
    write_table(("Name", "Title", "Kind", "Issuer", "Domains"), rows, empty="No provider is connected yet.")


@provider.command()
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show a provider."""
    with connect() as api:
        answer = api.get(f"/sign-in-providers/{segment(name)}")
    if as_json:
        write_json(answer)
        return
    one = decode(answer, _Provider)
    write_facts(
        (
            ("Name", one.configuration.name),
            ("Title", one.configuration.title),
            ("Kind", one.configuration.kind),
            ("Issuer", one.configuration.issuer or one.configuration.entity_id),
            ("Register there", one.register_there),
            ("Domains", ", ".join(one.configuration.domains)),
            ("Authoritative for", ", ".join(one.configuration.authoritative_domains)),
            ("Secret", "sealed" if one.has_secret else "none"),
            ("Version", str(one.version)),
        )
    )
    rows = [(group, ", ".join(roles)) for group, roles in sorted(one.configuration.roles.items())]
    write_table(("Group", "Roles"), rows, empty="No group gives a role.")


@provider.command()
@click.argument("name")
@json_option
def remove(name: str, *, as_json: bool) -> None:
    """Let nobody sign on there any more. Sessions that began there live on to their end."""
    with connect() as api:
        api.delete(f"/sign-in-providers/{segment(name)}")
    if as_json:
        write_json({"removed": name})
        return
    write_line(f"Nobody signs on at {name} any more.")


@provider.command()
@click.argument("name")
@click.option("--subject", required=True, help="The subject as the provider names it: `sub`, or SAML's NameID.")
@click.option("--email", required=True, help="The address of the person that this is here.")
@json_option
def link(name: str, *, subject: str, email: str, as_json: bool) -> None:
    """Let a provider's subject sign on as a person who is here already."""
    with connect() as api:
        answer = api.post(f"/sign-in-providers/{segment(name)}/identities", {"subject": subject, "email": email})
    if as_json:
        write_json(answer)
        return
    linked = decode(answer, _Linked)
    write_line(f"{linked.email} signs on at {linked.provider} from now on.")
