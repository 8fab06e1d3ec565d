"""`accredit token`: get an access token as an agent, with the agent's own credential.

An administrator cannot make one for an agent; the management API is only asked for the id that belongs to a name.
"""

from pathlib import Path
from urllib.parse import urlsplit

import click
import httpx2
import msgspec

from accredit.cli.client_assertion import load_private_key, sign_client_assertion
from accredit.cli.connection import Server, connect, decode, find_server, http_client, reaching, segment
from accredit.cli.failures import CannotRun, CommandFailed, Refused
from accredit.cli.render import json_option, write_json, write_line, write_note
from accredit.cli.sources import read_text
from accredit.client.private_keys import ASSERTION_TYPE

METADATA_PATH = "/.well-known/oauth-authorization-server"
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


class _Metadata(msgspec.Struct):
    """What is read of RFC 8414's document."""

    issuer: str
    token_endpoint: str


class _TokenResponse(msgspec.Struct):
    access_token: str
    expires_in: int
    scope: str = ""


class _OAuthError(msgspec.Struct):
    error: str
    error_description: str = ""
    next_step: str = ""
    event: int | None = None


class _Agent(msgspec.Struct):
    id: str


@click.command()
@click.argument("agent")
@click.option("--resource", metavar="URL", help="What the token is for; without it the agent's only system.")
@click.option("--scope", help="Scopes, with spaces between them; without it all that the agent is entitled to.")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the agent's client secret.",
)
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the agent's private key: a JWK or PEM.",
)
@json_option
def token(
    agent: str,
    resource: str | None,
    scope: str | None,
    secret_file: Path | None,
    key_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Get an access token as AGENT (its client_id, or its name). Prints the token, or with --json the response."""
    if (secret_file is None) == (key_file is None):
        raise click.UsageError("give one of --secret-file and --key")
    server = find_server()
    client_id = agent if agent.startswith("agt_") else _id_of(agent)
    with http_client(server.url) as client:
        metadata = _discover(client, server)
        form = {"grant_type": "client_credentials", "resource": resource, "scope": scope}
        form |= _prove(client_id, metadata.issuer, secret_file, key_file)
        with reaching(metadata.token_endpoint):
            response = client.post(
                metadata.token_endpoint, data={name: value for name, value in form.items() if value is not None}
            )
    if not response.is_success:
        raise _refusal(response)
    answer = decode(response.content, _TokenResponse)
    if as_json:
        write_json(response.content)
    else:
        write_line(answer.access_token)
        write_note(f"Valid for {answer.expires_in} seconds; scope: {answer.scope or 'none'}")


def _id_of(name: str) -> str:
    with connect() as api:
        return decode(api.get(f"/agents/{segment(name)}"), _Agent).id


def _discover(client: httpx2.Client, server: Server) -> _Metadata:
    with reaching(server.url):
        response = client.get(METADATA_PATH)
    if not response.is_success:
        raise CannotRun(f"{server.url} has no {METADATA_PATH}", next_step="check ACCREDIT_URL", code="not_accredit")
    metadata = decode(response.content, _Metadata)
    # RFC 8414 §3.3: otherwise one server could have a client prove itself to another.
    if _spelled(metadata.issuer) != _spelled(server.url):
        raise CannotRun(
            f"the server at {server.url} says that its address is {metadata.issuer}",
            next_step=f"set ACCREDIT_URL to {metadata.issuer}",
        )
    if _spelled(metadata.token_endpoint)[:3] != _spelled(metadata.issuer)[:3]:
        raise CannotRun(f"the token endpoint {metadata.token_endpoint} is another server's than {metadata.issuer}")
    return metadata


def _prove(client_id: str, issuer: str, secret_file: Path | None, key_file: Path | None) -> dict[str, str | None]:
    """The parameters of client_secret_post (RFC 6749 §2.3.1) or private_key_jwt (RFC 7523 §2.2)."""
    if secret_file is not None:
        return {"client_id": client_id, "client_secret": read_text(secret_file).strip()}
    if key_file is None:
        return {}
    assertion = sign_client_assertion(load_private_key(key_file), client_id, issuer)
    return {"client_id": client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


def _refusal(response: httpx2.Response) -> CommandFailed:
    try:
        error = msgspec.json.decode(response.content, type=_OAuthError)
    except msgspec.MsgspecError:
        return CannotRun(f"the token endpoint answered {response.status_code}, and not as Accredit does")
    kind = CannotRun if response.is_server_error else Refused
    return kind(error.error_description or error.error, next_step=error.next_step, code=error.error, event=error.event)


def _spelled(url: str) -> tuple[str, str, int | None, str]:
    """An address to compare; the names of this machine for itself are one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, "localhost" if host in _LOOPBACK else host, port, parts.path.rstrip("/")
