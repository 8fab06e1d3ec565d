"""`docs/standards.md` names tests that are there, and every specification of OAuth that the code cites."""

import re

from tests.server.running import ROOT

PAGE = (ROOT / "docs" / "standards.md").read_text()
SOURCES = ("oauth", "tokens", "delegations", "federation")
# What the code cites about its own means (HTTP, JSON, encodings), and what another page tells of.
ELSEWHERE = {
    "RFC 1123",
    "RFC 2045",
    "RFC 3339",
    "RFC 3986",
    "RFC 6962",
    "RFC 8259",
    "RFC 9110",
    "RFC 9111",
    "RFC 9112",
    "RFC 9162",
}


def cited() -> set[str]:
    """Every RFC and OAuth draft of the sources, by its number or its name."""
    text = "".join(
        file.read_text() for room in SOURCES for file in sorted((ROOT / "src" / "accredit" / room).rglob("*.py"))
    )
    return set(re.findall(r"RFC \d+|draft-ietf-[a-z]+(?:-[a-z0-9]+)*?(?=-\d\d\b|[^a-z0-9-])", text))


def test_every_test_that_it_names_is_there() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))

    assert len(named) > 50
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| spec", "| ---"))]

    assert len(rows) > 40
    assert [row for row in rows if "`tests/" not in row] == []
    assert [row for row in rows if row.count(" | ") != 3] == []


def test_every_specification_that_the_code_cites_has_a_row() -> None:
    specifications = cited()

    assert len(specifications) > 25
    assert sorted(one for one in specifications if one not in PAGE and one not in ELSEWHERE) == []


def test_it_does_not_claim_what_was_not_run() -> None:
    recipe = (ROOT / "conformance" / "README.md").read_text()

    assert "**This has not been run.**" in recipe
    assert "**Not run:** the OpenID Foundation's conformance suite" in PAGE
