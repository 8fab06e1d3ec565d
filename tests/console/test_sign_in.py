"""Signing in: a link works once, a page without a session shows how, and only our own pages may post."""

import http.client
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from accredit.console.session import COOKIE, csrf_of
from accredit.people.sessions import IDLE_SECONDS, LINK_SECONDS
from tests.console.conftest import CheckAxe
from tests.console.server import ConsoleServer

FORM = "application/x-www-form-urlencoded"


def post(server: ConsoleServer, path: str, body: str = "", **headers: str) -> tuple[http.client.HTTPResponse, str]:
    """Post a form as a program would, with just these headers."""
    connection = http.client.HTTPConnection(urlsplit(server.origin).netloc, timeout=10)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, {"Content-Type": FORM, **named})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def get(server: ConsoleServer, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(server.origin).netloc, timeout=10)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def sign_in(server: ConsoleServer) -> str:
    """The cookie's value of a fresh session."""

    async def redeem() -> str:
        link = await server.sessions.new_link(await server.rooms.people.administrator())
        return (await server.sessions.redeem(link))[1]

    return server.call(redeem)


def event_types(server: ConsoleServer) -> list[str]:
    """The types of all events, the oldest first."""

    async def read() -> list[str]:
        return [one.event.type for one in await server.log.after(-1, 100)]  # type: ignore[union-attr]

    return server.call(read)


def test_a_link_signs_in_once_and_leaves_no_token_in_the_address(
    server: ConsoleServer, page: Page, browser: Browser, listen: Callable[[Page], None]
) -> None:
    link = server.link()

    page.goto(link)
    expect(page.get_by_role("heading", name="Three things to do")).to_be_visible()

    assert page.url == f"{server.origin}/console"
    page.go_back()
    assert "#" not in page.url
    stranger = browser.new_context()
    second = stranger.new_page()
    second.goto(link)
    expect(second.get_by_role("heading", name="This link was used before")).to_be_visible()
    expect(second.get_by_text("accredit init --link")).to_be_visible()
    assert stranger.cookies() == []
    assert event_types(server)[-2:] == ["session.started", "session.refused"]
    stranger.close()


def test_a_link_is_too_old_after_a_quarter_of_an_hour(server: ConsoleServer, browser: Browser) -> None:
    link = server.link()
    server.clock.move(LINK_SECONDS)
    context = browser.new_context()

    page = context.new_page()
    page.goto(link)

    expect(page.get_by_role("heading", name="This link was used before")).to_be_visible()
    context.close()


def test_every_page_without_a_session_shows_how_to_sign_in(server: ConsoleServer, page: Page, axe: CheckAxe) -> None:
    for path in ("", "/agents", "/audit", "/audit/0/proof.json", "/nowhere"):
        page.goto(f"{server.origin}/console{path}")

        back = f"?return={quote(f'/console{path}', safe='/')}" if path else ""
        assert page.url == f"{server.origin}/console/sign-in{back}"
        expect(page.get_by_text("accredit init --link")).to_be_visible()
    axe(page)


def test_signing_out_ends_the_session_and_records_it(server: ConsoleServer, page: Page, axe: CheckAxe) -> None:
    page.goto(server.link())
    [cookie] = page.context.cookies()

    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    axe(page)
    assert page.context.cookies() == []
    assert get(server, "/console", Cookie=f"{COOKIE}={cookie['value']}").status == 303
    assert event_types(server)[-1] == "session.ended"


def test_the_cookie_is_for_this_host_only_and_out_of_reach_of_scripts(server: ConsoleServer, page: Page) -> None:
    page.goto(server.link())
    expect(page.get_by_role("heading", level=1)).to_be_visible()

    [cookie] = page.context.cookies()

    assert (cookie["name"], cookie["path"], cookie["sameSite"]) == ("__Host-accredit", "/", "Lax")
    assert cookie["secure"]
    assert cookie["httpOnly"]


def test_a_session_that_was_not_used_for_half_an_hour_has_ended(server: ConsoleServer) -> None:
    cookie = f"{COOKIE}={sign_in(server)}"
    server.clock.move(IDLE_SECONDS - 1)
    assert get(server, "/console", Cookie=cookie).status == 200

    server.clock.move(IDLE_SECONDS)

    assert get(server, "/console", Cookie=cookie).getheader("Location") == "/console/sign-in?ended"


def test_what_a_page_fetches_by_itself_keeps_no_session_alive(server: ConsoleServer) -> None:
    cookie = f"{COOKIE}={sign_in(server)}"
    server.clock.move(IDLE_SECONDS - 1)
    refresh = {"Cookie": cookie, "Accredit-Refresh": "1"}
    assert get(server, "/console", **refresh).status == 200

    server.clock.move(1)

    assert get(server, "/console", Cookie=cookie).status == 303


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing said"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, id="another site"),
        pytest.param({"Sec_Fetch_Site": "same-site"}, id="a neighbour"),
        pytest.param({"Origin": "http://localhost:1"}, id="another origin"),
        pytest.param({"Origin": "null"}, id="no origin"),
    ],
)
def test_a_form_from_elsewhere_is_refused_and_does_nothing(server: ConsoleServer, headers: dict[str, str]) -> None:
    cookie = sign_in(server)
    form = f"csrf={csrf_of(cookie)}"

    answer, text = post(server, "/console/sign-out", form, Cookie=f"{COOKIE}={cookie}", **headers)

    assert answer.status == 403
    assert "sent from another site, so nothing was done" in text
    assert get(server, "/console", Cookie=f"{COOKIE}={cookie}").status == 200


@pytest.mark.parametrize("token", ["", "x", "another"])
def test_a_form_without_the_token_of_its_session_is_refused(server: ConsoleServer, token: str) -> None:
    cookie = sign_in(server)
    given = csrf_of(sign_in(server)) if token == "another" else token

    answer, text = post(
        server, "/console/sign-out", f"csrf={given}", Cookie=f"{COOKIE}={cookie}", Sec_Fetch_Site="same-origin"
    )

    assert answer.status == 403
    assert "belongs to another session" in text
    assert get(server, "/console", Cookie=f"{COOKIE}={cookie}").status == 200


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        ("token=a&token=b", FORM),
        ("token=%ff", FORM),
        ("token", FORM),
        ("token=" + "a" * 40_000, FORM),
        ('{"token": "a"}', "application/json"),
    ],
)
def test_a_malformed_form_is_refused(server: ConsoleServer, body: str, type_: str) -> None:
    answer, _ = post(server, "/console/sign-in", body, Sec_Fetch_Site="same-origin", Content_Type=type_)

    assert answer.status == 400


def test_every_answer_carries_the_strict_headers(server: ConsoleServer) -> None:
    cookie = f"{COOKIE}={sign_in(server)}"

    for path in ("/console", "/console/agents", "/console/sign-in", "/console/nowhere", "/console/audit/0/proof.json"):
        answer = get(server, path, Cookie=cookie)

        policy = answer.getheader("Content-Security-Policy", "")
        assert policy.startswith("default-src 'none'; ")
        assert policy.endswith("require-trusted-types-for 'script'; trusted-types 'none'")
        assert "unsafe" not in policy
        assert answer.getheader("Cache-Control") == "no-store"
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert answer.getheader("Referrer-Policy") == "no-referrer"
        assert answer.getheader("Cross-Origin-Opener-Policy") == "same-origin"
        assert answer.getheader("X-Frame-Options") == "DENY"


def test_an_ip_address_leads_to_the_name_that_cookies_and_passkeys_belong_to(server: ConsoleServer) -> None:
    address = server.origin.removeprefix("http://").replace("localhost", "127.0.0.1")

    answer = get(server, "/console/sign-in?ended", Host=address)

    assert answer.status == 307
    assert answer.getheader("Location") == f"{server.origin}/console/sign-in?ended"


def test_somebody_who_is_no_administrator_is_shown_no_page_of_theirs(server: ConsoleServer) -> None:
    async def sign_in_as_owner() -> str:
        owner, _ = await server.rooms.transactions.change(lambda tx: server.rooms.people.ensure(tx, "ana@example.com"))
        return (await server.sessions.redeem(await server.sessions.new_link(owner)))[1]

    cookie = f"{COOKIE}={server.call(sign_in_as_owner)}"

    assert [get(server, path, Cookie=cookie).status for path in ("/console", "/console/audit")] == [303, 403]
    assert get(server, "/console", Cookie=cookie).getheader("Location") == "/console/account"


def test_a_new_sign_in_ends_the_session_before_it(server: ConsoleServer, page: Page) -> None:
    page.goto(server.link())
    expect(page.get_by_role("heading", name="Three things to do")).to_be_visible()
    [before] = page.context.cookies()

    page.goto(server.link())
    expect(page.get_by_role("heading", name="Three things to do")).to_be_visible()

    [after] = page.context.cookies()
    assert get(server, "/console", Cookie=f"{COOKIE}={before['value']}").status == 303
    assert get(server, "/console", Cookie=f"{COOKIE}={after['value']}").status == 200


def test_a_script_is_kept_for_ever_under_a_name_that_changes_with_it(server: ConsoleServer, page: Page) -> None:
    page.goto(f"{server.origin}/console/sign-in")
    path = page.locator("script").first.get_attribute("src") or ""

    answer = get(server, path)
    older = get(server, path.replace(path.split("/")[3], "0" * 16))

    assert (answer.status, answer.getheader("Content-Type")) == (200, "text/javascript; charset=utf-8")
    assert answer.getheader("Cache-Control") == "public, max-age=31536000, immutable"
    assert (older.status, older.getheader("Cache-Control")) == (404, "no-store")
