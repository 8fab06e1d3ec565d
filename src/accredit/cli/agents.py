"""`accredit agent …`: register agents, end them, and give them credentials."""

from pathlib import Path

import click
import msgspec

from accredit.cli.connection import connect, decode, segment
from accredit.cli.delegations import end_delegation, list_delegations
from accredit.cli.failures import CannotRun
from accredit.cli.registration_tokens import registration_token
from accredit.cli.render import json_option, write_facts, write_json, write_line, write_note, write_table


class _Client(msgspec.Struct):
    redirect_uris: tuple[str, ...] = ()


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
    max_session_seconds: int = 0
    may_act: tuple[str, ...] = ()
    client: _Client | None = None


class _AgentPage(msgspec.Struct):
    agents: list[msgspec.Raw]
    next: str | None


class _Credential(msgspec.Struct):
    id: str
    kind: str
    created_at: str
    revoked_at: str | None = None
    client_secret: str | None = None
    issuer: str | None = None
    subject: str | None = None


class _CredentialList(msgspec.Struct):
    credentials: list[_Credential]


class _PolicySet(msgspec.Struct):
    roles: tuple[str, ...]


@click.group()
def agent() -> None:
    """Register agents, end them, and give them credentials."""


agent.add_command(registration_token)


@agent.command()
@click.argument("name")
@click.option("--owner", required=True, metavar="EMAIL", help="Who answers for the agent.")
@click.option(
    "--role", "roles", multiple=True, help="A role, such as ai-agent-readonly. Without one, nothing is permitted."
)
@click.option("--type", "type_", default="service", show_default=True, help="What kind of agent it is.")
@click.option("--system", "systems", multiple=True, help="A system it may reach. Without one, none is.")
@click.option("--capability-level", type=click.IntRange(0, 4), default=2, show_default=True)
@click.option(
    "--max-session-seconds",
    type=click.IntRange(min=1),
    help="Bounds its tokens and refresh chains. Without it, the server's setting holds.",
)
@click.option("--may-act", multiple=True, metavar="AGENT", help="An agent that may act with its tokens.")
@json_option
def create(
    name: str,
    owner: str,
    roles: tuple[str, ...],
    type_: str,
    systems: tuple[str, ...],
    capability_level: int,
    max_session_seconds: int | None,
    may_act: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Register an agent."""
    body: dict[str, object] = {
        "name": name,
        "owner": owner,
        "roles": roles,
        "type": type_,
        "systems": systems,
        "capability_level": capability_level,
        "may_act": may_act,
    }
    if max_session_seconds is not None:
        body["max_session_seconds"] = max_session_seconds
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


@agent.command()
@click.argument("name")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where a person comes back to with a code.")
@click.option("--public", is_flag=True, help="The client has no credential: a program on a person's machine.")
@click.option(
    "--file",
    "metadata_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="A JSON file with client metadata (RFC 7591).",
)
@json_option
def client(
    name: str, redirect_uris: tuple[str, ...], metadata_file: Path | None, *, public: bool, as_json: bool
) -> None:
    """Say what an agent is as an OAuth client; what was said before is replaced."""
    if not redirect_uris and metadata_file is None:
        raise click.UsageError("give --redirect-uri URI, or --file FILE with client metadata")
    metadata = {} if metadata_file is None else _read_object(metadata_file)
    if redirect_uris:
        metadata["redirect_uris"] = redirect_uris
    if public:
        metadata["token_endpoint_auth_method"] = "none"  # noqa: S105  # the name of a method
    with connect() as api:
        answer = api.put(f"/agents/{segment(name)}/client", metadata)
    _write_agent(answer, as_json=as_json)


@agent.command()
@click.argument("name")
@click.option("--end", metavar="DELEGATION", help="End this one, with every token that came of it.")
@json_option
def delegations(name: str, end: str | None, *, as_json: bool) -> None:
    """List for whom an agent may act, or end one of it."""
    path = f"/agents/{segment(name)}/delegations"
    if end is None:
        list_delegations(path, empty="It acts for nobody.", as_json=as_json, limit=_DELEGATIONS)
    else:
        end_delegation(path, end, as_json=as_json)


_DELEGATIONS = 1_000
_OPTIONS_OF: dict[str, tuple[str, ...]] = {
    "client_secret": (),
    "public_key": ("--jwks",),
    "tls_subject": ("--subject",),
    "tls_certificate": ("--certificate",),
    "federated": ("--subject", "--issuer"),
}


@agent.group()
def credential() -> None:
    """Give an agent credentials, and take them away."""


@credential.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(list(_OPTIONS_OF)), required=True)
@click.option(
    "--jwks",
    "jwks_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="A file with a JWK or JWK Set of public keys, for --kind public_key.",
)
@click.option(
    "--subject",
    help='What the certificate must hold, for --kind tls_subject: "dn:CN=…", "dns:…", "uri:…"; or whom the token is '
    "about, for --kind federated.",
)
@click.option("--issuer", metavar="URL", help="A trusted issuer of workloads' tokens, for --kind federated.")
@click.option(
    "--claim",
    "claims",
    multiple=True,
    metavar="NAME=VALUE",
    help="What else its tokens must say, for --kind federated.",
)
@click.option(
    "--certificate",
    "certificate_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="A file with one certificate in PEM, for --kind tls_certificate.",
)
@json_option
def add(
    name: str,
    kind: str,
    jwks_file: Path | None,
    subject: str | None,
    issuer: str | None,
    claims: tuple[str, ...],
    certificate_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make a client secret, which is shown this once, or register public keys, a client certificate or a workload."""
    given = {"--jwks": jwks_file, "--subject": subject, "--issuer": issuer, "--certificate": certificate_file}
    if claims and kind != "federated":
        raise click.UsageError("--claim goes with --kind federated")
    if tuple(option for option, value in given.items() if value is not None) != _OPTIONS_OF[kind]:
        raise click.UsageError(f"--kind {kind} goes with {' '.join(_OPTIONS_OF[kind]) or 'no other option'}")
    body: dict[str, object] = {"kind": kind}
    if jwks_file is not None:
        body["jwks"] = _read_json(jwks_file, "give a JWK or JWK Set of public keys (RFC 7517)")
    if subject is not None:
        body["subject"] = subject
    if issuer is not None:
        body["issuer"] = issuer
        body["claims"] = dict(_claim(text) for text in claims)
    if certificate_file is not None:
        body["certificate"] = _read_certificate(certificate_file)
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
    rows = [(one.id, one.kind, one.subject or "-", one.created_at, one.revoked_at or "-") for one in held]
    write_table(("Id", "Kind", "Subject", "Added", "Revoked"), rows, empty="The agent has no credential yet.")


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


def _claim(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise click.UsageError("--claim takes NAME=VALUE")
    return name, value


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
        ("Session", f"{one.max_session_seconds} seconds at most"),
        ("May act with its tokens", ", ".join(one.may_act) or "nobody else"),
        (
            "Redirect URIs",
            "\n".join(one.client.redirect_uris) or "none" if one.client else "none: it only acts as itself",
        ),
        ("Epoch", str(one.epoch)),
        ("Registered", one.created_at),
    )
    write_facts(facts)


def _read_object(path: Path) -> dict[str, object]:
    found = _read_json(path, "give an object with client metadata (RFC 7591 §2)")
    if not isinstance(found, dict):
        raise CannotRun(f"{path} is no JSON object", next_step="give an object with client metadata (RFC 7591 §2)")
    return found


def _read_json(path: Path, next_step: str) -> object:
    try:
        with click.open_file(str(path), "rb") as file:
            return msgspec.json.decode(file.read())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CannotRun(f"{path} is not a JSON file", next_step=next_step) from error


def _read_certificate(path: Path) -> str:
    try:
        with click.open_file(str(path), "r", encoding="ascii") as file:
            return str(file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRun(f"{path} is not a file in PEM", next_step="give the client's certificate (RFC 7468)") from error
