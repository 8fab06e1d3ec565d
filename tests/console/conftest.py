"""A browser a module, a signed-in page a test. A console error, a page error or a broken policy fails the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.console.browser import launch
from tests.console.server import ConsoleServer
from tests.console.story import Story

_AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]

CheckAxe = Callable[[Page], None]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole session: while it is there an event loop runs in this thread, and others need their own."""
    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ConsoleServer]:
    """A console of an empty installation."""
    with ConsoleServer(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A console with agents, systems and events; a module shares it and only reads."""
    with ConsoleServer(tmp_path_factory.mktemp("story")) as running:
        yield Story(running)


@pytest.fixture
def listen() -> Iterator[Callable[[Page], None]]:
    """Hear what a page complains of; at the end nothing may have been heard."""
    heard: list[str] = []

    def to(page: Page) -> None:
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("console", lambda message: heard.append(message.text) if message.type in ("error", "warning") else None)

    yield to
    assert heard == []


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(reduced_motion="reduce")
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, listen: Callable[[Page], None]) -> Page:
    made = context.new_page()
    listen(made)
    return made


@pytest.fixture(scope="session")
def axe() -> CheckAxe:
    """Find what a page bars people from."""
    source = _AXE.read_text()

    def check(page: Page) -> None:
        page.evaluate(source)
        found = page.evaluate(f"axe.run(document, {{runOnly: {_RULES}}})")
        assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]] == []

    return check
