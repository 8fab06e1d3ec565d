"""The CRM's seed and its manifest."""

import asyncio
import tomllib
from pathlib import Path

from examples.crm.book import Book
from examples.crm.seed import contacts, deals, seed
from examples.crm.server import build
from tests.examples.conftest import ROOT


def test_the_seed_is_the_same_each_time_and_fills_only_an_empty_book(tmp_path: Path) -> None:
    book = Book(tmp_path / "crm.db")

    seed(book)
    book.delete_contact(1)
    seed(book)

    assert book.contacts() == contacts()[1:]
    assert len(contacts()) == 60
    assert len(deals()) == 40


def test_no_two_people_of_the_seed_share_a_name_and_each_deal_has_its_contact() -> None:
    people = contacts()

    assert len({person.name for person in people}) == len(people)
    assert {deal.contact_id for deal in deals()} <= {person.id for person in people}
    assert {deal.stage for deal in deals()} == {"lead", "qualified", "proposal", "won", "lost"}


def test_the_manifest_has_one_operation_for_each_tool(tmp_path: Path) -> None:
    manifest = tomllib.loads((ROOT / "examples/crm/crm.toml").read_text(encoding="utf-8"))
    server = build(Book(tmp_path / "crm.db"))

    tools = asyncio.run(server.list_tools())

    declared = [operation["tool"] for operation in manifest["operations"] if "tool" in operation]
    assert sorted(declared) == sorted(tool.name for tool in tools)


def test_the_manifest_calls_an_effect_what_the_tool_says_of_itself(tmp_path: Path) -> None:
    manifest = tomllib.loads((ROOT / "examples/crm/crm.toml").read_text(encoding="utf-8"))
    effects = {operation["tool"]: operation["effect"] for operation in manifest["operations"] if "tool" in operation}

    tools = asyncio.run(build(Book(tmp_path / "crm.db")).list_tools())

    reading = {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint}
    assert {name for name, effect in effects.items() if effect == "read"} == reading
