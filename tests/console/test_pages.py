"""Every page: what it shows, that it bars nobody, and how it looks in light, in dark and on a phone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.console.conftest import CheckAxe
from tests.console.server import ConsoleServer
from tests.console.story import HOSTILE, Story

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
MODES: dict[str, dict[str, object]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 860}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 860}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}


@pytest.fixture(scope="module")
def state(browser: Browser, story: Story) -> object:
    """What a browser keeps once it is signed in."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(story.server.link())
    page.wait_for_url("**/console")
    kept = context.storage_state()
    context.close()
    return kept


@pytest.fixture
def context(browser: Browser, state: object, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    mode = request.node.callspec.params.get("mode", "light") if hasattr(request.node, "callspec") else "light"
    made = browser.new_context(reduced_motion="reduce", storage_state=state, **MODES[mode])  # type: ignore[arg-type]
    yield made
    made.close()


def pages(story: Story) -> dict[str, str]:
    return {
        "home": "",
        "agents": "/agents",
        "agent": f"/agents/{story.agents['lead-scout']}",
        "systems": "/systems",
        "system": "/systems/crm",
        "audit": "/audit",
        "event": f"/audit/{story.permitted}",
        "event-refused": f"/audit/{story.refused}",
        "checkpoint": "/checkpoint",
    }


NAMES = ["home", "agents", "agent", "systems", "system", "audit", "event", "event-refused", "checkpoint"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_whole_bars_nobody_and_fits(story: Story, page: Page, axe: CheckAxe, name: str, mode: str) -> None:
    answer = page.goto(f"{story.server.origin}/console{pages(story)[name]}")
    page.wait_for_load_state("networkidle")

    assert answer is not None
    assert answer.status == 200
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-{mode}.png", full_page=mode == "phone")
    expect(page.locator("h1")).to_have_count(1)
    axe(page)
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0


@pytest.mark.parametrize("mode", MODES)
def test_the_pages_before_signing_in_bar_nobody(
    browser: Browser, listen: Callable[[Page], None], story: Story, axe: CheckAxe, mode: str
) -> None:
    context = browser.new_context(reduced_motion="reduce", **MODES[mode])  # type: ignore[arg-type]
    page = context.new_page()
    listen(page)

    page.goto(f"{story.server.origin}/console/sign-in")

    expect(page.get_by_text("Signing in")).to_be_hidden()
    axe(page)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"sign-in-{mode}.png")
    context.close()


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_installation_shows_the_three_commands(
    browser: Browser, listen: Callable[[Page], None], server: ConsoleServer, axe: CheckAxe, mode: str
) -> None:
    context = browser.new_context(reduced_motion="reduce", **MODES[mode])  # type: ignore[arg-type]
    page = context.new_page()
    listen(page)

    page.goto(server.link())

    expect(page.get_by_role("heading", name="Three things to do")).to_be_visible()
    for command in ("accredit system add", "accredit agent create", "accredit agent credential add"):
        expect(page.get_by_text(command)).to_be_visible()
    axe(page)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"home-empty-{mode}.png", full_page=mode == "phone")
    context.close()


def test_home_says_how_things_stand_and_why_something_was_refused(story: Story, page: Page) -> None:
    page.goto(f"{story.server.origin}/console")

    expect(page.get_by_role("heading", level=1)).to_have_text("3 refusals in the last 24 hours")
    expect(page.get_by_text("4 agents and 2 systems. 7 calls decided")).to_be_visible()
    row = page.locator(f"#event-{story.refused}")
    expect(row).to_contain_text("crm.contacts.create")
    expect(row).to_contain_text("no policy permits crm.contacts.create; ai-agent-operator would")
    expect(row).to_contain_text("Refused")


def test_an_agent_shows_its_credentials_without_any_secret(story: Story, page: Page) -> None:
    page.goto(f"{story.server.origin}/console/agents/{story.agents['lead-scout']}")

    credentials = page.get_by_role("region", name="Credentials")
    expect(credentials).to_contain_text("Client secret")
    expect(credentials).to_contain_text("crd_")
    expect(page.get_by_role("region", name="What it may reach")).to_contain_text("Customer relations")
    expect(page.locator("main")).to_contain_text("ai-agent-operator")


def test_a_system_shows_effect_sensitivity_and_scope_of_each_operation(story: Story, page: Page) -> None:
    page.goto(f"{story.server.origin}/console/systems/mail")

    row = page.get_by_role("row", name="mail.messages.delete")
    for said in ("DELETE /messages/{id}", "delete", "restricted", "mail:messages.delete"):
        expect(row).to_contain_text(said)
    expect(page.get_by_text(f"{story.server.origin}/gateway/mail", exact=True)).to_be_visible()


def test_a_name_that_an_agent_chose_is_text_and_cannot_turn_the_line(story: Story, page: Page) -> None:
    page.goto(f"{story.server.origin}/console/agents")

    link = page.locator(f"a[href='/console/agents/{story.agents[HOSTILE]}']")

    expect(link.locator("bdi")).to_have_text("<img src=x onerror=alert(1)>␦gpj.exe")
    assert "\u202e" not in page.content()
    assert page.locator("main img").count() == 0
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("<img src=x onerror=alert(1)>␦gpj.exe")
    assert "\u202e" not in page.content()


@pytest.mark.parametrize("path", ["/agents/agt_none", "/systems/none", "/audit/999999", "/nowhere", "/audit/-1"])
def test_what_is_not_there_is_said_plainly(browser: Browser, state: object, story: Story, path: str) -> None:
    context = browser.new_context(storage_state=state)  # type: ignore[arg-type]
    page = context.new_page()

    answer = page.goto(f"{story.server.origin}/console{path}")

    assert answer is not None
    assert answer.status == (400 if path == "/audit/-1" else 404)
    expect(page.get_by_role("link", name="Go to Home")).to_be_visible()
    context.close()


def test_a_keyboard_reaches_the_page_first(story: Story, page: Page) -> None:
    page.goto(f"{story.server.origin}/console")

    page.keyboard.press("Tab")

    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()


@pytest.mark.parametrize("mode", ["phone"])
def test_on_a_phone_the_menu_opens(story: Story, page: Page, mode: str) -> None:
    page.goto(f"{story.server.origin}/console")
    expect(page.get_by_role("link", name="Systems")).to_be_hidden()

    page.get_by_role("button", name="Menu").click()
    page.screenshot(path=SCREENSHOTS / "menu-phone.png")
    page.get_by_role("link", name="Systems").click()

    expect(page.get_by_role("heading", name="Systems", level=1)).to_be_visible()
