"""`accredit agent …`: register agents, end them, and give them credentials."""

from pathlib import Path

import click
import msgspec

from accredit.cli.connection import connect, decode, segment
from accredit.cli.failures import CannotRun
from accredit.cli.render import json_option, write_facts, write_json, write_line, write_note, write_table


class _Agent(msgspec.Struct):
    id: str
    name: str
    owner: str
    type: str
    roles: tuple[str, ...]
    systems: tuple[str, ...]
    capability_level: int
    status: str
    epoch: int
    created_at: str


class _AgentPage(msgspec.Struct):
    agents: list[msgspec.Raw]
    next: str | None


class _Credential(msgspec.Struct):
    id: str
    kind: str
    created_at: str
    revoked_at: str | None = None
    client_secret: str | None = None


class _CredentialList(msgspec.Struct):
    credentials: list[_Credential]


class _PolicySet(msgspec.Struct):
    roles: tuple[str, ...]


@click.group()
def agent() -> None:
    """Register agents, end them, and give them credentials."""


@agent.command()
@click.argument("name")
@click.option("--owner", required=True, metavar="EMAIL", help="Who answers for the agent.")
@click.option(
    "--role", "roles", multiple=True, help="A role, such as ai-agent-readonly. Without one, nothing is permitted."
)
@click.option("--type", "type_", default="service", show_default=True, help="What kind of agent it is.")
@click.option("--system", "systems", multiple=True, help="A system it may reach. Without one, none is.")
@click.option("--capability-level", type=click.IntRange(0, 4), default=2, show_default=True)
@json_option
def create(
    name: str,
    owner: str,
    roles: tuple[str, ...],
    type_: str,
    systems: tuple[str, ...],
    capability_level: int,
    *,
    as_json: bool,
) -> None:
    """Register an agent."""
    body = {
        "name": name,
        "owner": owner,
        "roles": roles,
        "type": type_,
        "systems": systems,
        "capability_level": capability_level,
    }
    with connect() as api:
        answer = api.post("/agents", body)
        known = decode(api.get("/policies"), _PolicySet).roles if roles else ()
    _write_agent(answer, as_json=as_json)
    for role in roles:
        if role not in known:
            write_note(
                f"No policy in force names the role {role}: it permits nothing. `accredit policy list` shows them."
            )


@agent.command()
@click.argument("name")
@json_option
def show(name: str, *, as_json: bool) -> None:
    """Show an agent, by its name or id."""
    with connect() as api:
        answer = api.get(f"/agents/{segment(name)}")
    _write_agent(answer, as_json=as_json)


@agent.command("list")
@json_option
def list_agents(*, as_json: bool) -> None:
    """List every agent, by name."""
    found: list[msgspec.Raw] = []
    after: str | None = ""
    with connect() as api:
        while after is not None:
            page = decode(api.get("/agents", after=after, limit=1_000), _AgentPage)
            found.extend(page.agents)
            after = page.next
    if as_json:
        write_json({"agents": found})
        return
    agents = [decode(bytes(one), _Agent) for one in found]
    rows = [(one.name, one.status, one.owner, ", ".join(one.roles), ", ".join(one.systems), one.id) for one in agents]
    write_table(("Name", "Status", "Owner", "Roles", "Systems", "Id"), rows, empty="There is no agent yet.")


@agent.command()
@click.argument("name")
@json_option
def suspend(name: str, *, as_json: bool) -> None:
    """End everything that an agent holds, until it is resumed."""
    _move(name, "suspend", as_json=as_json)


@agent.command()
@click.argument("name")
@json_option
def resume(name: str, *, as_json: bool) -> None:
    """Let a suspended agent ask for tokens again; the old ones stay ended."""
    _move(name, "resume", as_json=as_json)


@agent.command()
@click.argument("name")
@json_option
def retire(name: str, *, as_json: bool) -> None:
    """End an agent for good."""
    _move(name, "retire", as_json=as_json)


@agent.group()
def credential() -> None:
    """Give an agent credentials, and take them away."""


@credential.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(["client_secret", "public_key"]), required=True)
@click.option(
    "--jwks",
    "jwks_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="A file with a JWK or JWK Set of public keys, for --kind public_key.",
)
@json_option
def add(name: str, kind: str, jwks_file: Path | None, *, as_json: bool) -> None:
    """Make a client secret, which is shown this once, or register public keys."""
    if (kind == "public_key") != (jwks_file is not None):
        raise click.UsageError("--kind public_key goes with --jwks FILE, and --kind client_secret without")
    body: dict[str, object] = {"kind": kind}
    if jwks_file is not None:
        body["jwks"] = _read_jwks(jwks_file)
    with connect() as api:
        answer = api.post(f"/agents/{segment(name)}/credentials", body)
    added = decode(answer, _Credential)
    if as_json:
        write_json(answer)
    else:
        # Just the secret, so that `> FILE` keeps it and nothing else.
        write_line(added.id if added.client_secret is None else added.client_secret)
    if added.client_secret is not None:
        write_note("The secret is shown this once: keep it where only the agent reads it.")


@credential.command("list")
@click.argument("name")
@json_option
def list_credentials(name: str, *, as_json: bool) -> None:
    """List an agent's credentials; no secret is shown."""
    with connect() as api:
        answer = api.get(f"/agents/{segment(name)}/credentials")
    if as_json:
        write_json(answer)
        return
    held = decode(answer, _CredentialList).credentials
    rows = [(one.id, one.kind, one.created_at, one.revoked_at or "-") for one in held]
    write_table(("Id", "Kind", "Added", "Revoked"), rows, empty="The agent has no credential yet.")


@credential.command()
@click.argument("name")
@click.argument("credential_id", metavar="CREDENTIAL")
@json_option
def revoke(name: str, credential_id: str, *, as_json: bool) -> None:
    """Revoke one credential. Tokens made with it live on to their end."""
    with connect() as api:
        api.delete(f"/agents/{segment(name)}/credentials/{segment(credential_id)}")
    if as_json:
        write_json({"id": credential_id, "revoked": True})
    else:
        write_line(f"Revoked {credential_id}.")


def _move(name: str, act: str, *, as_json: bool) -> None:
    with connect() as api:
        answer = api.post(f"/agents/{segment(name)}/{act}")
    if as_json:
        write_json(answer)
    else:
        moved = decode(answer, _Agent)
        write_line(f"The agent {moved.name} is {moved.status}.")


def _write_agent(answer: bytes, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    one = decode(answer, _Agent)
    facts = (
        ("Name", one.name),
        ("Id, client_id", one.id),
        ("Status", one.status),
        ("Owner", one.owner),
        ("Type", one.type),
        ("Roles", ", ".join(one.roles) or "none: nothing is permitted"),
        ("Systems", ", ".join(one.systems) or "none is allowed"),
        ("Capability level", str(one.capability_level)),
        ("Epoch", str(one.epoch)),
        ("Registered", one.created_at),
    )
    write_facts(facts)


def _read_jwks(path: Path) -> object:
    try:
        with click.open_file(str(path), "rb") as file:
            return msgspec.json.decode(file.read())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CannotRun(
            f"{path} is not a JSON file", next_step="give a JWK or JWK Set of public keys (RFC 7517)"
        ) from error
