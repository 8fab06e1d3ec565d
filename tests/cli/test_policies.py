"""`accredit policy …`."""

from pathlib import Path

from tests.api.test_policies import FORBID
from tests.cli.conftest import Accredit, write


def test_a_folder_of_policies_is_applied(run: Accredit, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "a.cedar", FORBID.format(id="first"))
    write(tmp_path / "deep" / "b.cedar", FORBID.format(id="second"))
    write(tmp_path / "notes.txt", "no policy")

    applied = run.json("policy", "apply", str(tmp_path))

    own = {one["id"]: one["file"] for one in applied["policies"] if one["file"]}
    assert own == {"first": "a.cedar", "second": "deep/b.cedar"}
    assert run.json("policy", "list")["digest"] == applied["digest"]


def test_people_see_what_is_in_force_and_where_it_stands(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "sunday.cedar", FORBID.format(id="no-sundays"))

    applied = run("policy", "apply", path)
    listed = run("policy", "list")

    assert "1 policies of 1 files" in applied.stdout
    assert "sunday.cedar:1" in listed.stdout
    assert "starter" in listed.stdout


def test_validating_changes_nothing(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "tried.cedar", FORBID.format(id="tried"))

    result = run("policy", "validate", path)

    assert result.exit_code == 0
    assert "tried" not in run("policy", "list", "--json").stdout


def test_a_broken_policy_is_refused_with_file_and_line(run: Accredit, tmp_path: Path) -> None:
    path = write(tmp_path / "broken.cedar", "\npermit (principal action, resource);\n")

    for act in ("validate", "apply"):
        result = run("policy", act, path)

        assert result.exit_code == 1
        assert "broken.cedar:2: " in result.stderr


def test_what_holds_no_policy_cannot_run(run: Accredit, tmp_path: Path) -> None:
    empty = run("policy", "apply", str(tmp_path))
    missing = run("policy", "apply", str(tmp_path / "nowhere"))
    nothing = run("policy", "apply")

    assert [one.exit_code for one in (empty, missing, nothing)] == [2, 2, 2]


def test_two_files_of_one_name_cannot_run(run: Accredit, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first = write(tmp_path / "one" / "same.cedar", FORBID.format(id="a"))
    second = write(tmp_path / "two" / "same.cedar", FORBID.format(id="b"))

    result = run("policy", "validate", first, second)

    assert result.exit_code == 2
    assert "same.cedar" in result.stderr
