"""One's own page: passkeys through a real browser and a virtual authenticator, and one's sessions."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, expect

from accredit.console.session import CEREMONY_COOKIE, COOKIE, RECENT_SECONDS, csrf_of
from accredit.people.model import Person
from tests.console.conftest import CheckAxe
from tests.console.server import ConsoleServer
from tests.console.test_pages import MODES, SCREENSHOTS
from tests.console.test_sign_in import event_types, get, post, sign_in

_KEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def a_person(server: ConsoleServer, email: str = "ana@example.com", roles: tuple[str, ...] = ()) -> Person:
    async def make() -> Person:
        people = server.rooms.people
        return (await server.rooms.transactions.change(lambda tx: people.ensure(tx, email, "Ana Reyes", roles)))[0]

    return server.call(make)


def start(server: ConsoleServer, person: Person, user_agent: str = "", authentication: str = "sign_in_link") -> str:
    """The cookie's value of a fresh session of this person."""

    async def begin() -> str:
        return (await server.sessions.start(person, authentication=authentication, user_agent=user_agent))[1]

    return server.call(begin)


def enter(page: Page, server: ConsoleServer, person: Person) -> None:
    """Sign this person in, in this browser, by a link, and open their own page."""
    page.goto(f"{server.origin}/console/sign-in#{server.call(lambda: server.sessions.new_link(person))}")
    page.wait_for_url(lambda url: "/sign-in" not in url)
    page.goto(f"{server.origin}/console/account")


def plug_in(page: Page, **other: object) -> tuple[CDPSession, str]:
    """Give the page's browser an authenticator."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    made = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": {**_KEY, **other}})
    return devtools, made["authenticatorId"]


@pytest.fixture
def own(server: ConsoleServer, page: Page) -> Page:
    """The account's page of Ana, who is no administrator."""
    enter(page, server, a_person(server))
    return page


def test_an_ordinary_person_comes_to_their_own_page_and_to_no_other(server: ConsoleServer, own: Page) -> None:
    own.goto(f"{server.origin}/console")

    assert own.url == f"{server.origin}/console/account"
    expect(own.get_by_role("heading", name="Your account")).to_be_visible()
    expect(own.get_by_role("link", name="What I have delegated")).to_have_attribute("href", "/console/delegations")
    expect(own.get_by_role("link", name="Audit")).to_have_count(0)

    cookie = f"{COOKIE}={own.context.cookies()[0]['value']}"
    for path in ("agents", "systems", "audit", "audit/0", "audit/0/proof.json", "checkpoint", "checkpoint/note.json"):
        assert get(server, f"/console/{path}", Cookie=cookie).status == 403


def test_a_passkey_is_added_and_signs_in_without_a_name(server: ConsoleServer, own: Page) -> None:
    devtools, authenticator = plug_in(own)

    own.get_by_label("Name", exact=True).fill("Ana's laptop")
    own.get_by_role("button", name="Add a passkey").click()

    expect(own.get_by_text("The passkey was added.")).to_be_visible()
    expect(own.get_by_role("list", name="Passkeys").get_by_text("Ana's laptop")).to_be_visible()
    [made] = devtools.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})["credentials"]
    assert (made["isResidentCredential"], made["rpId"]) == (True, "localhost")
    own.get_by_role("button", name="Sign out").first.click()
    expect(own.get_by_role("heading", name="You are signed out")).to_be_visible()

    own.get_by_role("button", name="Sign in with a passkey").click()

    expect(own.get_by_role("heading", name="Your account")).to_be_visible()
    expect(own.get_by_text("Signed in with a passkey just now.")).to_be_visible()
    assert event_types(server)[-2:] == ["session.started", "passkey.used"]
    assert CEREMONY_COOKIE not in {cookie["name"] for cookie in own.context.cookies()}


def test_signing_in_with_a_passkey_leads_back_to_the_page_that_asked(server: ConsoleServer, own: Page) -> None:
    plug_in(own)
    own.get_by_role("button", name="Add a passkey").click()
    expect(own.get_by_text("The passkey was added.")).to_be_visible()
    own.context.clear_cookies()
    own.goto(f"{server.origin}/console/account?added")
    assert own.url.endswith("/console/sign-in?return=/console/account%3Fadded")

    own.get_by_role("button", name="Sign in with a passkey").click()

    expect(own.get_by_role("heading", name="Your account")).to_be_visible()
    assert own.url == f"{server.origin}/console/account?added"


def test_a_passkey_is_renamed_and_removed(server: ConsoleServer, page: Page) -> None:
    enter(page, server, server.call(server.rooms.people.administrator))
    plug_in(page)
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("The passkey was added.")).to_be_visible()

    page.get_by_text("Change", exact=True).click()
    page.get_by_label("New name").fill("Blue key")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_role("list", name="Passkeys").get_by_text("Blue key")).to_be_visible()
    page.get_by_text("Change", exact=True).click()
    page.get_by_role("button", name="Remove").click()

    expect(page.get_by_text("The passkey was removed.")).to_be_visible()
    expect(page.get_by_role("list", name="Passkeys")).to_have_count(0)
    assert event_types(server)[-3:] == ["passkey.added", "passkey.renamed", "passkey.removed"]


def test_what_went_wrong_at_the_browser_is_said_and_can_be_tried_again(server: ConsoleServer, own: Page) -> None:
    devtools, authenticator = plug_in(own)
    own.get_by_role("button", name="Add a passkey").click()
    expect(own.get_by_text("The passkey was added.")).to_be_visible()

    own.get_by_role("button", name="Add a passkey").click()
    expect(own.get_by_text("This device has a passkey for you already.")).to_be_visible()
    devtools.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False})
    own.get_by_role("button", name="Sign out").first.click()
    own.get_by_role("button", name="Sign in with a passkey").click()
    expect(own.get_by_text("Nothing was chosen, or it took too long.")).to_be_visible()
    expect(own.get_by_role("button", name="Sign in with a passkey")).to_be_enabled()


def test_a_passkey_that_was_removed_here_is_refused_with_the_number_of_the_event(
    server: ConsoleServer, context: BrowserContext
) -> None:
    # No listener: the browser notes each answer that is an error, and this one is meant to be.
    page = context.new_page()
    enter(page, server, server.call(server.rooms.people.administrator))
    plug_in(page)
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_text("Change", exact=True).click()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Sign out").first.click()
    seen: list[int] = []
    page.on("response", lambda answer: seen.append(answer.status) if answer.url.endswith("/passkey") else None)

    page.get_by_role("button", name="Sign in with a passkey").click()

    expect(page.get_by_role("heading", name="This passkey does not sign you in")).to_be_visible()
    assert seen == [401]
    assert event_types(server)[-1] == "session.refused"


def test_a_sign_in_that_is_not_fresh_adds_and_removes_no_passkey(server: ConsoleServer, own: Page) -> None:
    [cookie] = [one["value"] for one in own.context.cookies()]
    server.clock.move(RECENT_SECONDS)
    form = f"csrf={csrf_of(cookie)}&passkey=AAAA&response=%7B%7D&name=x"

    for path in ("options", "add", "remove"):
        answer, text = post(
            server,
            f"/console/account/passkeys/{path}",
            form,
            Cookie=f"{COOKIE}={cookie}",
            Sec_Fetch_Site="same-origin",
        )
        assert answer.status == 403
        assert "/console/sign-in?again&amp;return=/console/account" in text
    own.reload()
    expect(own.get_by_role("button", name="Add a passkey")).to_have_count(0)
    own.get_by_role("link", name="Sign in again").click()
    expect(own.get_by_role("heading", name="Is it still you?")).to_be_visible()


def test_a_person_sees_their_sessions_and_ends_one_and_all_others(server: ConsoleServer, own: Page) -> None:
    ana = a_person(server)
    phone = start(server, ana, "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/605.1", "passkey")
    desk = start(server, ana, "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0", "oidc:entra")
    other = start(server, ana)
    own.reload()
    here = own.get_by_role("list", name="Where you are signed in")

    expect(here.get_by_role("listitem")).to_have_count(4)
    expect(here.get_by_role("listitem").first.get_by_text("This session")).to_be_visible()
    expect(here.get_by_text("Signed in with entra (OpenID Connect) just now.")).to_be_visible()
    own.get_by_role("button", name="End the session of Safari on iPhone").click()
    expect(own.get_by_text("The session was ended.")).to_be_visible()

    assert get(server, "/console/account", Cookie=f"{COOKIE}={phone}").status == 303
    assert get(server, "/console/account", Cookie=f"{COOKIE}={desk}").status == 200
    own.get_by_role("button", name="End all others").click()
    expect(own.get_by_text("All other sessions were ended.")).to_be_visible()
    assert [get(server, "/console/account", Cookie=f"{COOKIE}={one}").status for one in (desk, other)] == [303, 303]
    expect(here.get_by_role("listitem")).to_have_count(1)
    expect(own.get_by_role("button", name="End all others")).to_have_count(0)


POSTS = [
    "/console/sign-out",
    "/console/account/sessions/end",
    "/console/account/sessions/end-others",
    "/console/account/passkeys/options",
    "/console/account/passkeys/add",
    "/console/account/passkeys/rename",
    "/console/account/passkeys/remove",
]


@pytest.mark.parametrize("path", POSTS)
def test_each_form_is_refused_from_another_site_and_without_its_sessions_token(
    server: ConsoleServer, path: str
) -> None:
    ana = a_person(server)
    cookie, other = start(server, ana), start(server, ana)
    before = event_types(server)

    for token, site in ((csrf_of(cookie), "cross-site"), (csrf_of(other), "same-origin"), ("", "same-origin")):
        answer, _ = post(server, path, f"csrf={token}", Cookie=f"{COOKIE}={cookie}", Sec_Fetch_Site=site)
        assert answer.status == 403
        assert answer.getheader("Set-Cookie") is None

    assert event_types(server) == before
    assert get(server, "/console/account", Cookie=f"{COOKIE}={other}").status == 200


@pytest.mark.parametrize("path", ["/console/sign-in/passkey", "/console/sign-in/passkey/options"])
def test_signing_in_with_a_passkey_is_refused_from_another_site(server: ConsoleServer, path: str) -> None:
    answer, _ = post(server, path, "response=%7B%7D", Sec_Fetch_Site="cross-site")

    assert answer.status == 403
    assert answer.getheader("Set-Cookie") is None
    assert event_types(server) == []


def test_somebody_elses_session_cannot_be_ended(server: ConsoleServer) -> None:
    ana, ben = a_person(server), a_person(server, "ben@example.com")
    hers, his = start(server, ana), start(server, ben)

    async def of_ana() -> str:
        return (await server.sessions.list(ana))[0].id

    answer, _ = post(
        server,
        "/console/account/sessions/end",
        f"csrf={csrf_of(his)}&session={server.call(of_ana)}",
        Cookie=f"{COOKIE}={his}",
        Sec_Fetch_Site="same-origin",
    )

    assert answer.status == 404
    assert get(server, "/console/account", Cookie=f"{COOKIE}={hers}").status == 200


def test_the_challenge_is_in_a_strict_cookie_of_this_host_for_five_minutes(server: ConsoleServer) -> None:
    answer, text = post(server, "/console/sign-in/passkey/options", Sec_Fetch_Site="same-origin")

    name, _, rest = (answer.getheader("Set-Cookie") or "").partition("=")
    assert name == "__Host-accredit-ceremony"
    assert set(rest.lower().split("; ")[1:]) == {"httponly", "max-age=300", "path=/", "samesite=strict", "secure"}
    assert '"challenge"' in text
    assert event_types(server) == []


@pytest.mark.parametrize("live", [False, True], ids=["a made-up value", "a session of the one who planted it"])
def test_a_cookie_planted_before_the_sign_in_is_worth_nothing_after_it(server: ConsoleServer, live: bool) -> None:
    planted = start(server, a_person(server, "eve@example.com")) if live else "A" * 43
    token = server.link().partition("#")[2]

    answer, _ = post(
        server, "/console/sign-in", f"token={token}", Cookie=f"{COOKIE}={planted}", Sec_Fetch_Site="same-origin"
    )

    given = (answer.getheader("Set-Cookie") or "").partition(";")[0].partition("=")[2]
    assert given != planted
    assert get(server, "/console", Cookie=f"{COOKIE}={planted}").status == 303
    assert get(server, "/console", Cookie=f"{COOKIE}={given}").status == 200


def test_a_persons_menu_can_be_used_by_keyboard_alone(server: ConsoleServer, own: Page) -> None:
    reached = []
    for _ in range(20):
        own.keyboard.press("Tab")
        reached.append(own.evaluate("document.activeElement.textContent.trim() || document.activeElement.name"))

    for name in ("Account", "Delegations", "name", "Add a passkey", "Sign out", "What I have delegated"):
        assert name in reached


@pytest.mark.parametrize("mode", MODES)
def test_the_account_bars_nobody_and_fits(
    server: ConsoleServer, browser: Browser, listen: Callable[[Page], None], axe: CheckAxe, mode: str
) -> None:
    ana = a_person(server, roles=("delegator",))
    context = browser.new_context(reduced_motion="reduce", **MODES[mode])  # type: ignore[arg-type]
    for agent, how in (
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/605.1", "passkey"),
        ("Mozilla/5.0 (Windows NT 10.0) Edg/140.0", "oidc:entra"),
    ):
        start(server, ana, agent, how)
        server.clock.move(700)
    page = context.new_page()
    listen(page)
    plug_in(page)
    enter(page, server, ana)
    for name, transport in (("Work laptop", "internal"), ("Key on my keyring", "usb")):
        plug_in(page, transport=transport) if transport == "usb" else None
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("button", name="Add a passkey").click()
        expect(page.get_by_role("list", name="Passkeys").get_by_text(name)).to_be_visible()
    shot(page, f"account-{mode}", whole=mode == "phone")
    axe(page)
    fits(page)

    page.get_by_text("Change", exact=True).first.click()
    shot(page, f"account-change-{mode}", whole=mode == "phone")
    axe(page)
    fits(page)

    server.clock.move(RECENT_SECONDS)
    page.goto(f"{server.origin}/console/account")
    shot(page, f"account-not-recent-{mode}", whole=mode == "phone")
    axe(page)
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_role("heading", name="Is it still you?")).to_be_visible()
    shot(page, f"sign-in-again-{mode}")
    axe(page)
    context.close()


def shot(page: Page, name: str, *, whole: bool = False) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)


def fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example/console",
    "https:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/console\\@evil.example",
    "/console/\\evil.example",
    "/console//evil.example",
    "/console/..//evil.example",
    "/console/../oauth/authorize",
    "/console/./../x",
    "/console/%2e%2e/oauth/authorize",
    "/console/.%2E//evil.example",
    "/console/%2F/evil.example",
    "/console/%5cevil.example",
    "/console/%252e%252e/x",
    "/consolevil",
    "/console@evil.example",
    "/console/\t/evil.example",
    "/console/a\r\nSet-Cookie: x=1",
    "/console/a%0d%0aSet-Cookie:x=1",
    "/console/a?x=\r\n",
    "/console/\N{FULLWIDTH SOLIDUS}evil.example",
    "/console/#@evil.example",
    "/oauth/authorize",
    "%2F%2Fevil.example",
    "/console/sign-in?return=/console/sign-in",
    "/console/" + "a" * 9_000,
    " /console/account",
]


@pytest.mark.parametrize("back", ELSEWHERE, ids=lambda back: ascii(back)[:40])
def test_a_sign_in_never_leads_elsewhere(server: ConsoleServer, back: str) -> None:
    async def link() -> str:
        return await server.sessions.new_link(await server.rooms.people.administrator())

    answer, _ = post(
        server,
        "/console/sign-in",
        f"token={server.call(link)}&return={quote(back, safe='')}",
        Sec_Fetch_Site="same-origin",
    )
    shown = get(server, f"/console/sign-in?return={quote(back, safe='')}")

    assert (answer.status, answer.getheader("Location")) == (303, "/console")
    assert shown.status == 200


@pytest.mark.parametrize(
    "back", ["/console/account", "/console/device?user_code=AQ-_.x%2Fy&again", "/console/agents?after=a%20b"]
)
def test_a_page_that_needs_a_sign_in_is_come_back_to_with_its_query(server: ConsoleServer, back: str) -> None:
    async def link() -> str:
        return await server.sessions.new_link(await server.rooms.people.administrator())

    location = get(server, back).getheader("Location") or ""
    _, _, query = location.partition("?")
    answer, _ = post(server, "/console/sign-in", f"token={server.call(link)}&{query}", Sec_Fetch_Site="same-origin")

    assert location.startswith("/console/sign-in?return=/console/")
    assert answer.getheader("Location") == back


def test_a_post_without_a_session_is_not_come_back_to(server: ConsoleServer) -> None:
    answer, _ = post(server, "/console/account/sessions/end", "csrf=x", Sec_Fetch_Site="same-origin")

    assert (answer.status, answer.getheader("Location")) == (303, "/console/sign-in")


def test_an_administrator_signs_in_to_the_overview(server: ConsoleServer) -> None:
    assert get(server, "/console", Cookie=f"{COOKIE}={sign_in(server)}").status == 200
