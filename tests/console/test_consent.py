"""The page of consent and the page of what was delegated, in a real browser: by keyboard, in the dark, on a phone."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.console.conftest import CheckAxe
from tests.console.consenting import DETAILS, WEB, Scene, answer_of, lose_roles, open_scene, redeem, signed_in
from tests.console.server import ConsoleServer
from tests.console.test_pages import MODES, SCREENSHOTS


@pytest.fixture
def scene(server: ConsoleServer) -> Iterator[Scene]:
    with open_scene(server) as opened:
        yield opened


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["registered", "unverified", "details", "nothing"])
def test_the_page_of_consent_is_whole_bars_nobody_and_fits(
    browser: Browser, listen: Callable[[Page], None], scene: Scene, axe: CheckAxe, kind: str, mode: str
) -> None:
    context = browser.new_context(reduced_motion="reduce", **MODES[mode])  # type: ignore[arg-type]
    page = context.new_page()
    listen(page)
    signed_in(scene, page)
    more: dict[str, str] = {
        "registered": {
            "scope": "openid offline_access erp:invoices.read erp:payments.write erp:invoices.delete",
            "redirect_uri": WEB,
        },
        "unverified": {"client_id": f"{scene.client_origin}/client.json"},
        "details": {"authorization_details": DETAILS, "login_hint": "ana.weber@halden.example"},
        "nothing": {},
    }[kind]
    if kind == "nothing":
        lose_roles(scene)
        signed_in(scene, page)

    page.goto(scene.request(**more))

    expect(page.get_by_role("heading", level=1)).to_contain_text("wants to act for you on Orders and invoices")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"consent-{kind}-{mode}.png", full_page=mode == "phone")
    axe(page)
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0
    context.close()


def test_a_person_signs_in_allows_and_comes_back_to_the_client(scene: Scene, page: Page) -> None:
    page.goto(scene.request())
    assert urlsplit(page.url).path == "/console/sign-in"
    back = answer_of(page.url)["return"]
    page.goto(scene.link())
    page.wait_for_url("**/console**")
    page.goto(scene.server.origin + back)

    page.get_by_label("Create payments").uncheck()
    page.get_by_label("Delete invoices").uncheck()
    page.get_by_role("combobox", name="For how long").select_option("1 day")
    page.get_by_role("button", name="Allow").click()

    expect(page.get_by_role("heading", name="Back at the client")).to_be_visible()
    answer = answer_of(page.url)
    assert (answer["state"], answer["iss"]) == ("s-1", scene.server.origin)
    tokens = redeem(scene, answer["code"])
    assert tokens["scope"] == "erp:invoices.read"
    assert tokens["expires_in"] == 300
    assert scene.delegations() == 1


def test_by_keyboard_the_first_answer_is_no(scene: Scene, page: Page) -> None:
    signed_in(scene, page)
    page.goto(scene.request())

    page.get_by_role("combobox", name="For how long").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Delegations")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Refuse")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Back at the client")).to_be_visible()
    assert answer_of(page.url)["error"] == "access_denied"
    assert scene.delegations() == 0


def test_an_unverified_client_is_named_by_its_address_and_not_by_its_word(scene: Scene, page: Page) -> None:
    signed_in(scene, page)

    page.goto(scene.request(client_id=f"{scene.client_origin}/client.json"))

    expect(page.get_by_text("Not verified")).to_be_visible()
    expect(page.locator(".host")).to_have_text(scene.client_origin.removeprefix("http://"))
    expect(page.get_by_text("Registered here")).to_have_count(0)


def test_it_is_said_in_words_what_an_agent_could_do(scene: Scene, page: Page) -> None:
    signed_in(scene, page)

    page.goto(scene.request())

    rows = page.locator(".ticks li")
    expect(rows).to_have_text(
        [
            "Search invoices, Search ordersFinancial dataReads",
            "Create paymentsFinancial data, restricted informationChanges",
            "Delete invoicesFinancial data, personal data, critical informationDeletes",
        ],
        use_inner_text=False,
    )
    assert "erp:" not in page.locator("main").inner_text()


def test_purpose_and_limits_of_the_details_are_shown(scene: Scene, page: Page) -> None:
    signed_in(scene, page)

    page.goto(scene.request(authorization_details=DETAILS))

    panel = page.get_by_role("region", name="It asks for just this")
    expect(panel).to_contain_text("Pay invoice 20931 of Nordlicht GmbH")
    expect(panel).to_contain_text("at most 48,200")
    expect(page.locator(".ticks li")).to_have_count(1)


@pytest.mark.parametrize("mode", MODES)
def test_what_was_delegated_is_shown_and_taken_back(
    browser: Browser, listen: Callable[[Page], None], scene: Scene, axe: CheckAxe, mode: str
) -> None:
    context = browser.new_context(reduced_motion="reduce", **MODES[mode])  # type: ignore[arg-type]
    page = context.new_page()
    listen(page)
    signed_in(scene, page)
    for more in ({}, {"client_id": f"{scene.client_origin}/client.json"}, {"authorization_details": DETAILS}):
        page.goto(scene.request(**more))
        page.get_by_role("button", name="Allow").click()
        expect(page.get_by_role("heading", name="Back at the client")).to_be_visible()
        if "client_id" not in more:
            redeem(scene, answer_of(page.url)["code"])
    scene.server.clock.move(7_300)
    scene.server.call(scene.server.sequencer.advance)
    signed_in(scene, page)

    page.goto(f"{scene.server.origin}/console/delegations")

    expect(page.get_by_role("heading", name="What you have delegated")).to_be_visible()
    expect(page.locator("main article")).to_have_count(3)
    expect(page.get_by_role("heading", name="Invoice Helper")).to_be_visible()
    expect(page.get_by_text(f"Not verified: the application at {scene.client_origin}/client.json")).to_be_visible()
    expect(page.get_by_text("Last used 2 hours ago")).to_have_count(2)
    expect(page.get_by_text("Not used lately")).to_have_count(1)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"delegations-{mode}.png", full_page=mode == "phone")
    axe(page)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    page.get_by_role("button", name="End what").first.click()
    expect(page.get_by_text("Every token that came of it is refused from now on.")).to_be_visible()
    assert scene.delegations() == 2
    context.close()


def test_nothing_delegated_is_said_plainly(scene: Scene, page: Page, axe: CheckAxe) -> None:
    signed_in(scene, page)

    page.goto(f"{scene.server.origin}/console/delegations")

    expect(page.get_by_text("You let no agent act for you.")).to_be_visible()
    axe(page)


def test_the_page_of_an_error_looks_like_ours(context: BrowserContext, scene: Scene, axe: CheckAxe) -> None:
    for mode in ("light", "phone"):
        page = context.new_page()
        viewport: Any = MODES[mode]["viewport"]
        page.set_viewport_size(viewport)

        page.goto(scene.request(redirect_uri="https://evil.example/"))

        expect(page.get_by_role("heading", level=1)).to_contain_text("The redirect_uri is not one")
        page.screenshot(path=SCREENSHOTS / f"authorize-error-{mode}.png")
        # axe is a script, and the page's policy lets none in: what it would find is looked for in the picture.
        assert page.evaluate("getComputedStyle(document.querySelector('header')).backgroundColor") == "rgb(20, 35, 61)"
