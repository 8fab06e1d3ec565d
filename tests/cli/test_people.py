"""`accredit person …`."""

import json
import os
import pty
import subprocess
import sys

import pytest

from accredit.people.model import Person
from tests.cli.conftest import Accredit
from tests.people.giving import ISSUER, a_delegation, a_passkey, a_person, known_elsewhere


def somebody(run: Accredit, email: str, mapped: tuple[str, ...] = ()) -> Person:
    return run.server.call(lambda: a_person(run.server.rooms, email, mapped=mapped))


def links(run: Accredit) -> int:
    events = [json.loads(line) for line in run("audit", "tail", "--json").stdout.splitlines()]
    return sum(event["type"] == "sign_in_link.created" for event in events)


def test_people_are_listed_and_shown_with_how_they_sign_in(run: Accredit) -> None:
    ana = somebody(run, "ana@example.com", ("sales",))
    run.server.call(lambda: a_passkey(run.server.rooms, ana.id, "one"))
    run.server.call(lambda: known_elsewhere(run.server.rooms, ana.id, "ana-7"))

    listed, shown = run("person", "list").stdout, run("person", "show", "ana@example.com").stdout

    assert "admin@localhost" in listed
    assert "a one-time link only" in listed
    assert "1 passkey, 1 provider identity" in listed
    assert "sales (from a provider's group)" in shown
    assert run.json("person", "show", ana.id)["email"] == "ana@example.com"
    assert ana.id in [one["id"] for one in run.json("person", "list")["people"]]


def test_roles_are_replaced_and_a_role_that_permits_nothing_is_told(run: Accredit) -> None:
    somebody(run, "ben@example.com", ("sales",))

    given = run("person", "roles", "ben@example.com", "--role", "delegator", "--role", "nothing-names-it")
    then = run.json("person", "roles", "ben@example.com", "--role", "delegator")
    none = run.json("person", "roles", "ben@example.com", "--none")

    assert "No policy in force names the role nothing-names-it" in given.stderr
    assert "names the role delegator" not in given.stderr
    assert (then["roles"], none["roles"]) == (["delegator", "sales"], ["sales"])


@pytest.mark.parametrize(
    "options", [(), ("--none", "--role", "delegator")], ids=["neither roles nor none", "both of them"]
)
def test_roles_are_never_taken_away_by_leaving_them_out(run: Accredit, options: tuple[str, ...]) -> None:
    somebody(run, "cid@example.com")
    run("person", "roles", "cid@example.com", "--role", "delegator")

    assert run("person", "roles", "cid@example.com", *options).exit_code == 2
    assert run.json("person", "show", "cid@example.com")["roles"] == ["delegator"]


def test_the_last_administrator_keeps_the_role_and_is_told_what_to_do(run: Accredit) -> None:
    refused = run("person", "roles", "admin@localhost", "--none")

    assert refused.exit_code == 1
    assert "the last administrator" in refused.stderr
    assert "somebody else first" in refused.stderr


def test_a_link_is_made_in_a_pipe_only_when_json_is_asked_for(run: Accredit) -> None:
    before = links(run)
    refused = run("person", "link", "dan@example.com")
    after = links(run)
    made = run.json("person", "link", "dan@example.com")

    assert refused.exit_code == 2
    assert "--json" in refused.stderr
    assert after == before
    session = run.server.call(lambda: run.server.sessions.redeem(made["url"].partition("#")[2]))[0]
    assert session.person.email == "dan@example.com"


def test_a_link_is_shown_on_a_terminal(run: Accredit) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "accredit", "person", "link", "eva@example.com"]
    with subprocess.Popen(
        command, env={"ACCREDIT_DATA": str(run.server.folder)}, stdout=theirs, stderr=subprocess.PIPE
    ) as process:
        os.close(theirs)
        said = process.communicate(timeout=60)[1].decode()
        shown = os.read(ours, 4_096).decode().strip()
    os.close(ours)

    assert process.returncode == 0
    session = run.server.call(lambda: run.server.sessions.redeem(shown.partition("#")[2]))[0]
    assert session.person.email == "eva@example.com"
    assert "once, within 15 minutes" in said
    assert shown.partition("#")[2] not in run("audit", "tail", "--json").stdout


def test_what_a_person_delegated_is_listed_and_one_of_it_ended(run: Accredit) -> None:
    fay = somebody(run, "fay@example.com")
    first, second = [run.server.call(lambda: a_delegation(run.server.rooms, fay, "scout")) for _ in range(2)]

    listed = run("person", "delegations", "fay@example.com").stdout
    ended = run.json("person", "delegations", "fay@example.com", "--end", first)
    again = run("person", "delegations", "fay@example.com", "--end", "dlg_none")

    assert first in listed
    assert second in listed
    assert "scout" in listed
    assert ended == {"id": first, "ended": True}
    assert [one["id"] for one in run.json("person", "delegations", "fay@example.com")["delegations"]] == [second]
    assert again.exit_code == 1


def test_an_agents_delegations_are_listed_and_one_of_them_ended(run: Accredit) -> None:
    gus = somebody(run, "gus@example.com")
    made = run.server.call(lambda: a_delegation(run.server.rooms, gus, "tidy"))

    listed = run("agent", "delegations", "tidy").stdout
    ended = run("agent", "delegations", "tidy", "--end", made)

    assert made in listed
    assert "gus@example.com" in listed
    assert ended.stdout == f"Ended {made}.\n"
    assert run.json("agent", "delegations", "tidy") == {"delegations": []}
    assert "for nobody" in run("agent", "delegations", "tidy").stderr


def test_an_identity_is_listed_and_unlinked(run: Accredit) -> None:
    hal = somebody(run, "hal@example.com")
    subject = "hal/7 &?#ü"
    run.server.call(lambda: known_elsewhere(run.server.rooms, hal.id, subject))
    options = ("person", "unlink", "hal@example.com", "--issuer", ISSUER, "--subject", subject)

    listed = run("person", "identities", "hal@example.com").stdout
    unlinked, again = run(*options), run(*options)

    assert subject in listed
    assert unlinked.exit_code == 0
    assert run.json("person", "identities", "hal@example.com") == {"identities": []}
    assert again.exit_code == 1


def test_an_address_that_is_odd_is_one_segment_of_a_path(run: Accredit) -> None:
    somebody(run, "a?b#c%2f@example.com")

    assert run.json("person", "show", "a?b#c%2f@example.com")["email"] == "a?b#c%2f@example.com"
    assert run("person", "show", "../agents").exit_code == 1
