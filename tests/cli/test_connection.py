"""How commands find a server, and what they say when they do not."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from accredit.cli.main import COMMANDS, Commands, accredit
from tests.api.server import TOKEN
from tests.cli.conftest import Accredit


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that says the same to everyone; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(5)


def run_alone(*arguments: str, **env: str) -> tuple[int, str]:
    result = CliRunner().invoke(accredit, arguments, env={"ACCREDIT_URL": "", "ACCREDIT_TOKEN": "", **env})
    return result.exit_code, result.stderr


def test_the_environment_names_a_server_before_the_data_folder(run: Accredit, tmp_path: Path) -> None:
    env = {"ACCREDIT_DATA": str(tmp_path), "ACCREDIT_URL": run.server.url + "/", "ACCREDIT_TOKEN": TOKEN}

    result = run("agent", "list", env=env)

    assert result.exit_code == 0


def test_where_nothing_was_started_commands_say_so(tmp_path: Path) -> None:
    code, said = run_alone("agent", "list", ACCREDIT_DATA=str(tmp_path))

    assert code == 2
    assert "no server was started here" in said
    assert "accredit serve" in said


def test_where_nothing_answers_commands_say_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    code, said = run_alone("agent", "list", ACCREDIT_URL=f"http://127.0.0.1:{port}", ACCREDIT_TOKEN="mgt_x")

    assert code == 2
    assert f"nothing answers at http://127.0.0.1:{port}" in said


def test_a_wrong_token_is_refused_and_not_shown(run: Accredit) -> None:
    result = run("agent", "list", env={"ACCREDIT_URL": run.server.url, "ACCREDIT_TOKEN": "mgt_wrong"})

    assert result.exit_code == 1
    assert "management.json" in result.stderr
    assert "mgt_wrong" not in result.output


def test_an_address_without_a_token_is_not_enough(run: Accredit) -> None:
    result = run("agent", "list", env={"ACCREDIT_URL": run.server.url})

    assert result.exit_code == 2
    assert "ACCREDIT_TOKEN" in result.stderr


@pytest.mark.parametrize("url", ["localhost:8400", "ftp://localhost", "http://", "http://[::1", "http://a?b", "x"])
def test_what_is_no_address_is_told(url: str) -> None:
    code, said = run_alone("agent", "list", ACCREDIT_URL=url, ACCREDIT_TOKEN="mgt_x")

    assert code == 2
    assert "ACCREDIT_URL" in said


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url":"http://localhost:1"}', '{"url":1,"token":"x"}'])
def test_a_damaged_management_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "management.json").write_text(text)

    code, said = run_alone("agent", "list", ACCREDIT_DATA=str(tmp_path))

    assert code == 2
    assert "management.json" in said


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 302 Found\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"",
    ],
)
def test_what_is_not_accredit_is_told_and_no_redirect_is_followed(answer: bytes) -> None:
    with answering(answer) as url:
        code, said = run_alone("agent", "list", ACCREDIT_URL=url, ACCREDIT_TOKEN="mgt_x")

    assert code == 2
    assert said.startswith("Error: ")


def test_no_proxy_of_the_environment_gets_the_token(run: Accredit) -> None:
    result = run("agent", "list", env={"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"})

    assert result.exit_code == 0


def test_every_command_of_the_table_can_be_loaded_and_takes_json() -> None:
    def check(command: object, name: str) -> None:
        import click

        if isinstance(command, click.Group):
            context = click.Context(command)
            for inner in command.list_commands(context):
                check(command.get_command(context, inner), f"{name} {inner}")
            return
        assert isinstance(command, click.Command)
        assert command.help, name
        assert "--json" in {option for parameter in command.params for option in parameter.opts}, name

    assert isinstance(accredit, Commands)
    assert {"agent", "system", "token", "policy", "audit", "serve", "init"} <= set(COMMANDS)
    check(accredit, "accredit")
