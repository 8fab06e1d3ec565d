"""Where commands find a server, and how they talk to its management API.

`ACCREDIT_URL` and `ACCREDIT_TOKEN`, else `management.json` in the data folder. Every request has a time limit; no
proxy of the environment is used, so that the token goes nowhere else.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from accredit.cli.failures import CannotRun, CommandFailed, Refused, cannot_run
from accredit.errors import InputRefused
from accredit.sensitive import Sensitive
from accredit.settings import environment, load_settings

T = TypeVar("T")

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
_NO_SERVER = "start one with `accredit serve`, or set ACCREDIT_URL and ACCREDIT_TOKEN to reach another"


class _ManagementFile(msgspec.Struct):
    url: str
    token: str


class _Problem(msgspec.Struct):
    """What is read of a problem document (RFC 9457)."""

    detail: str
    next_step: str = ""
    code: str = "refused"
    event: int | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A server's address, and the management token if there is one."""

    url: str
    token: Sensitive | None


def data_folder() -> Path:
    """The data folder that the settings name. Raises CannotRun."""
    try:
        return load_settings().data
    except InputRefused as error:
        raise cannot_run(error) from error


def find_server(env: Mapping[str, str] | None = None) -> Server:
    """The server that the environment names, else the one of the data folder. Raises CannotRun."""
    env = environment() if env is None else env
    token = env.get("ACCREDIT_TOKEN")
    if url := env.get("ACCREDIT_URL"):
        return Server(_checked(url, "ACCREDIT_URL"), Sensitive(token) if token else None)
    path = data_folder() / "management.json"
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_ManagementFile)
    except FileNotFoundError as error:
        raise CannotRun(f"no server was started here: there is no {path}", next_step=_NO_SERVER) from error
    except OSError as error:
        raise CannotRun(f"{path} cannot be read: {error.strerror}", next_step=_NO_SERVER) from error
    except msgspec.MsgspecError as error:
        raise CannotRun(f"{path} is not as a server writes it", next_step="start the server again") from error
    return Server(_checked(found.url, str(path)), Sensitive(found.token))


class ManagementApi:
    """Calls of the management API. Answers are the JSON that came, not decoded.

    Each raises Refused if the server says no, and CannotRun if there is no server or it is no Accredit.
    """

    def __init__(self, client: httpx2.Client, url: str) -> None:
        self._client = client
        self._url = url

    def get(self, path: str, **query: str | int) -> bytes:
        """Read."""
        return self._call("GET", path, query=query)

    def post(self, path: str, body: object = None) -> bytes:
        """Act."""
        return self._call("POST", path, body=body)

    def put(self, path: str, body: object) -> bytes:
        """Set."""
        return self._call("PUT", path, body=body)

    def delete(self, path: str) -> None:
        """Take away."""
        self._call("DELETE", path)

    def download(self, path: str, file: BinaryIO) -> None:
        """Copy an answer to a file as it arrives."""
        with reaching(self._url), self._client.stream("GET", f"/api/v1{path}") as response:
            if response.status_code != HTTPStatus.OK:
                response.read()
                raise refusal(response, self._url)
            for part in response.iter_bytes():
                file.write(part)

    def _call(
        self, method: str, path: str, *, query: Mapping[str, str | int] | None = None, body: object = None
    ) -> bytes:
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        with reaching(self._url):
            response = self._client.request(method, f"/api/v1{path}", params=query, content=content, headers=headers)
        if not response.is_success:
            raise refusal(response, self._url)
        return response.content


@contextmanager
def connect() -> Iterator[ManagementApi]:
    """The management API of the server that was found. Raises CannotRun."""
    server = find_server()
    if server.token is None:
        raise CannotRun(
            "ACCREDIT_URL is set, and ACCREDIT_TOKEN is not",
            next_step="set ACCREDIT_TOKEN to the token in the server's management.json",
        )
    headers = {"Authorization": f"Bearer {server.token.reveal()}", "Accept": "application/json"}
    with http_client(server.url, headers) as client:
        yield ManagementApi(client, server.url)


def http_client(url: str, headers: Mapping[str, str] | None = None) -> httpx2.Client:
    """A client with time limits that follows no redirect and uses no proxy."""
    timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    return httpx2.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Tell a failed connection in words. Raises CannotRun."""
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise CannotRun(f"nothing answers at {url}", next_step=_NO_SERVER, code="unreachable") from error
    except httpx2.TimeoutException as error:
        raise CannotRun(f"{url} did not answer in time", next_step="try again", code="timeout") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise CannotRun(f"the connection to {url} broke: {error}", next_step="try again") from error


def refusal(response: httpx2.Response, url: str) -> CommandFailed:
    """A problem document as an error: the server's fault could not run, anything else was refused."""
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except msgspec.MsgspecError:
        return CannotRun(
            f"{url} answered {response.status_code}, and not as Accredit does",
            next_step="check ACCREDIT_URL",
            code="not_accredit",
        )
    kind = CannotRun if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else Refused
    return kind(problem.detail, next_step=problem.next_step, code=problem.code, event=problem.event)


def decode(raw: bytes, kind: type[T]) -> T:
    """Read what a command shows of an answer. Raises CannotRun."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise CannotRun(
            "the server's answer is not of the form that this command knows",
            next_step="use the same version of accredit as the server",
        ) from error


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def _checked(url: str, where: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
    except ValueError:
        valid = False
    if not valid:
        raise CannotRun(f"{where} names no http or https address", next_step="for example http://localhost:8400")
    return url.rstrip("/")
