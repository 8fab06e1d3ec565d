"""A request for which there is nothing to give says which of the two lacks a right, and what to do."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.console.consenting import Scene, lose_roles, open_scene, signed_in
from tests.console.server import ConsoleServer
from tests.rooms import ADMINISTRATOR


@pytest.fixture
def scene(server: ConsoleServer) -> Iterator[Scene]:
    with open_scene(server) as opened:
        yield opened


def give(scene: Scene, role: str) -> None:
    people = scene.server.rooms.people
    scene.server.call(lambda: people.set_roles(scene.person.id, (role,), ADMINISTRATOR))


def test_a_person_without_a_role_is_told_to_ask_for_one(scene: Scene, page: Page) -> None:
    lose_roles(scene)
    signed_in(scene, page)

    page.goto(scene.request())

    nothing = page.get_by_role("region", name="There is nothing that you could let it do")
    expect(nothing).to_contain_text("You may do nothing on Orders and invoices yourself")
    expect(nothing).to_contain_text("with delegator you can let agents read and write")
    expect(page.get_by_role("button", name="Allow")).to_have_count(0)


def test_a_person_with_other_rights_is_told_that_none_is_shared(scene: Scene, page: Page) -> None:
    lose_roles(scene)
    give(scene, "delegator")
    signed_in(scene, page)

    page.goto(scene.request(scope="erp:invoices.delete"))

    nothing = page.get_by_role("region", name="There is nothing that you could let it do")
    expect(nothing).to_contain_text("You have rights on Orders and invoices, but none that this agent has too")
    expect(nothing).not_to_contain_text("delegator")


def test_with_the_role_the_same_request_can_be_allowed(scene: Scene, page: Page) -> None:
    lose_roles(scene)
    signed_in(scene, page)
    page.goto(scene.request())
    expect(page.get_by_role("button", name="Allow")).to_have_count(0)

    give(scene, "delegator")
    page.reload()

    expect(page.get_by_role("button", name="Allow")).to_be_visible()
    expect(page.get_by_role("group", name="What it could do")).not_to_contain_text("Delete invoices")
