"""Home keeps itself current, and the list of events is walked by its numbers."""

from playwright.sync_api import Page, expect

from tests.console.server import ConsoleServer


def decide(server: ConsoleServer, action: str) -> int:
    return server.record("call.decided", action=action, decision="deny", policies=("default-deny",))


def test_a_new_decision_appears_by_itself_and_the_focus_stays(server: ConsoleServer, page: Page) -> None:
    first = decide(server, "crm.contacts.create")
    page.goto(server.link())
    held = page.locator(f"#event-{first} a").first
    held.focus()

    second = decide(server, "crm.contacts.delete")

    expect(page.locator(f"#event-{second}")).to_contain_text("crm.contacts.delete", timeout=20_000)
    expect(held).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_have_text("2 refusals in the last 24 hours")
    expect(page.get_by_role("status")).to_have_text("1 new event")


def test_the_first_decision_takes_the_place_of_the_first_steps(server: ConsoleServer, page: Page) -> None:
    page.goto(server.link())
    expect(page.get_by_role("heading", name="Three things to do")).to_be_visible()

    seq = decide(server, "crm.contacts.create")

    expect(page.locator(f"#event-{seq}")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("heading", name="One refusal in the last 24 hours")).to_be_visible()
    expect(page.get_by_text("Add a system")).to_have_count(0)


def test_a_paused_page_stays_as_it_is_until_it_goes_on(server: ConsoleServer, page: Page) -> None:
    decide(server, "crm.contacts.create")
    page.goto(server.link())
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused at")).to_be_visible()
    seq = decide(server, "crm.contacts.delete")

    with page.expect_response("**/console"):
        page.get_by_role("button", name="Go on").click()

    expect(page.locator(f"#event-{seq}")).to_be_visible()


def test_a_page_whose_session_ended_says_how_to_sign_in(server: ConsoleServer, page: Page) -> None:
    page.goto(server.link())
    expect(page.get_by_role("heading", name="Three things to do")).to_be_visible()

    server.clock.move(12 * 60 * 60)

    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible(timeout=20_000)


def test_events_are_walked_to_the_oldest_and_back(server: ConsoleServer, page: Page) -> None:
    page.goto(server.link())
    for number in range(115):
        newest = decide(server, f"crm.step.{number}")
    page.goto(f"{server.origin}/console/audit")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    seen = [first_and_last(page)]

    for _ in range(2):
        page.get_by_role("link", name="Older").click()
        page.wait_for_load_state()
        seen.append(first_and_last(page))
    expect(page.get_by_role("link", name="Older")).to_have_count(0)
    page.get_by_role("link", name="Newer", exact=True).click()
    page.wait_for_load_state()

    assert seen == [(newest, newest - 49), (newest - 50, newest - 99), (newest - 100, 0)]
    assert first_and_last(page) == seen[1]
    page.get_by_role("link", name="Newer", exact=True).click()
    page.wait_for_load_state()
    assert first_and_last(page) == seen[0]


def first_and_last(page: Page) -> tuple[int, int]:
    """The numbers of the first and the last event on the page."""
    links = page.locator("tbody tr td:first-child a")
    texts = [links.first.inner_text(), links.last.inner_text()]
    return int(texts[0].replace(",", "")), int(texts[1].replace(",", ""))
