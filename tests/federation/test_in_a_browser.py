"""Signing on in a real browser, under the pages' strict policy, by mouse and by keyboard."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.console.conftest import CheckAxe
from tests.federation.stage import ATTEMPT, COOKIE, Stage


@pytest.fixture(autouse=True)
def with_sign_out(stage: Stage) -> Iterator[None]:
    stage.connect(more="sign_out = true")
    yield
    stage.connect()


@pytest.fixture
def page(stage: Stage, context: BrowserContext) -> Iterator[Page]:
    """A page that must not complain of anything of ours; what it says of the provider's own pages is theirs."""
    heard: list[str] = []
    made = context.new_page()
    made.on("console", lambda one: heard.append(one.text) if _is_ours(stage, one.location["url"]) else None)
    yield made
    assert heard == []


def _is_ours(stage: Stage, url: str) -> bool:
    # A refused sign-on is answered with 401, which the browser remarks upon.
    return url.startswith(stage.origin) and "/sign-in/callback/" not in url


def test_somebody_signs_on_at_the_provider_and_out_again(stage: Stage, page: Page, axe: CheckAxe) -> None:
    page.goto(f"{stage.origin}/console/agents")
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
    axe(page)

    page.get_by_role("link", name="Sign in with Acme & Co").click()
    expect(page.get_by_role("heading", name="Acme")).to_be_visible()
    page.get_by_label("Name").fill("ana")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", name="Agents")).to_be_visible()
    assert page.url == f"{stage.origin}/console/agents"
    cookies = {one["name"]: one for one in page.context.cookies() if one["domain"] == "localhost"}
    assert cookies[COOKIE]["sameSite"] == "Lax"
    assert ATTEMPT not in cookies

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    axe(page)
    page.get_by_role("link", name="Sign out at Acme & Co too").click()
    expect(page).to_have_url(re.compile(re.escape(stage.provider.issuer)))


def test_an_address_leads_to_the_provider(stage: Stage, page: Page, axe: CheckAxe) -> None:
    page.goto(f"{stage.origin}/console/sign-in?return=/console/audit")

    page.get_by_label("Your e-mail address at work").fill("ana@example.com")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Sign in with Acme & Co")).to_be_visible()
    axe(page)
    page.get_by_role("link", name="Go to Acme & Co").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Name").fill("ana")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{stage.origin}/console/audit")


def test_an_address_that_is_nobodys_says_what_to_do(stage: Stage, page: Page, axe: CheckAxe) -> None:
    page.goto(f"{stage.origin}/console/sign-in")

    page.get_by_label("Your e-mail address at work").fill("ana@elsewhere.test")
    page.get_by_role("button", name="Find my sign-in page").click()

    expect(page.get_by_role("heading", name="No sign-in page is known for elsewhere.test")).to_be_visible()
    axe(page)
    page.get_by_role("link", name="Back to the sign-in page").click()
    expect(page).to_have_url(f"{stage.origin}/console/sign-in")


def test_a_refusal_says_what_to_do_next(stage: Stage, page: Page, axe: CheckAxe) -> None:
    page.goto(f"{stage.origin}/console/sign-in")
    page.get_by_role("link", name="Sign in with Acme & Co").click()
    page.get_by_label("Name").fill("out")
    page.get_by_role("button", name="Sign in").click()

    expect(
        page.get_by_role("heading", name="You signed in at the provider, but you have no account here")
    ).to_be_visible()
    axe(page)
    page.get_by_role("link", name="Go to the sign-in page").click()
    expect(page).to_have_url(f"{stage.origin}/console/sign-in")


def test_the_ways_in_fit_on_a_phone(stage: Stage, page: Page, axe: CheckAxe) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{stage.origin}/console/sign-in")

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    axe(page)
