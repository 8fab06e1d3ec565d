"""`accredit system …`."""

from pathlib import Path

from tests.api.server import manifest
from tests.cli.conftest import Accredit, write


def test_a_system_is_added_from_its_manifest(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "crm.toml", manifest("crm"))

    added = run.json("system", "add", path)

    assert added["name"] == "crm"
    assert added["tools"] is None
    assert added["tools_unknown_because"]


def test_people_are_told_the_resource_and_that_the_tools_are_not_known(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "mail.toml", manifest("mail"))

    result = run("system", "add", path)

    assert result.exit_code == 0
    assert "/gateway/mail/mcp" in result.stdout
    assert "does not answer" in result.stderr


def test_a_system_is_replaced_only_when_asked(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "again.toml", manifest("again"))
    run("system", "add", path)

    refused = run("system", "add", path)
    replaced = run.json("system", "add", path, "--replace")

    assert refused.exit_code == 1
    assert "--replace" in refused.stderr
    assert replaced["version"] == 2


def test_systems_are_listed_and_shown(run: Accredit, tmp_path: Path) -> None:
    run.system("shown", tmp_path)

    listed = run("system", "list").stdout
    shown = run("system", "show", "shown").stdout

    assert "System shown" in listed
    assert "shown.contacts.search" in shown
    assert run.json("system", "show", "shown")["manifest"] == manifest("shown")


def test_a_malformed_manifest_is_refused_with_its_file_and_line(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "bad.toml", manifest("bad").replace("sensitivity = 2", "sensitivity = 9"))

    result = run("system", "add", path)

    assert result.exit_code == 1
    assert "bad.toml:6" in result.stderr


def test_a_manifest_that_cannot_be_read_cannot_run(run: Accredit, tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "\xff"')

    missing = run("system", "add", str(tmp_path / "nowhere.toml"))
    latin = run("system", "add", str(tmp_path / "latin.toml"))

    assert missing.exit_code == 2
    assert latin.exit_code == 2
    assert "UTF-8" in latin.stderr


def test_a_title_cannot_command_the_terminal(run: Accredit, tmp_path: Path) -> None:
    title = r"\u001B[2J\u009Bevil\u202E"
    run("system", "add", write(tmp_path / "sly.toml", manifest("sly").replace("System sly", title)))

    shown = run("system", "show", "sly").stdout + run("system", "list").stdout

    assert "evil" in shown
    assert not {"\x1b", "\x9b", "\u202e"} & set(shown)
