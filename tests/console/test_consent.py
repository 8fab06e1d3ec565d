"""The page of consent and the page of what was delegated: in a real browser, by keyboard, on a phone, under attack."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accredit.agents.client_metadata import parse_client_metadata
from accredit.agents.registry import NewAgent
from accredit.audit.event import Actor
from accredit.console.acts import time_of, title_of
from accredit.console.pages.consent import form_target
from accredit.console.session import COOKIE, csrf_of
from accredit.people.model import Person
from accredit.people.store import update_from_provider
from tests.console.conftest import CheckAxe
from tests.console.server import ConsoleServer
from tests.console.test_pages import MODES, SCREENSHOTS
from tests.console.test_sign_in import get, post
from tests.oauth.authorizing import CHALLENGE, VERIFIER

ERP = """
name = "erp"
title = "Orders and invoices"
kind = "erp"
protocol = "mcp"
upstream = "http://127.0.0.1:9000/mcp"
sensitivity = 2
data = ["financial"]

[[operations]]
action = "erp.invoices.search"
effect = "read"
tool = "search_invoices"
scope = "erp:invoices.read"

[[operations]]
action = "erp.orders.search"
effect = "read"
tool = "search_orders"
scope = "erp:invoices.read"

[[operations]]
action = "erp.payments.create"
effect = "write"
sensitivity = 3
tool = "create_payment"
scope = "erp:payments.write"

[[operations]]
action = "erp.invoices.delete"
effect = "delete"
sensitivity = 4
data = ["financial", "personal"]
tool = "delete_invoice"
scope = "erp:invoices.delete"
"""
DETAILS = json.dumps(
    [
        {
            "type": "accredit_action",
            "system": "erp",
            "actions": ["erp.payments.create"],
            "purpose": "Pay invoice 20931 of Nordlicht GmbH",
            "limits": {"amount": 48200},
        }
    ]
)


class _Client(http.server.BaseHTTPRequestHandler):
    """A client's own server: its metadata document, and the page that people come back to."""

    def do_GET(self) -> None:
        origin = f"http://127.0.0.1:{self.server.server_address[1]}"  # type: ignore[attr-defined]
        body, kind = b"<!doctype html><title>Back</title><h1>Back at the client</h1>", "text/html"
        if self.path == "/client.json":
            document = {
                "client_id": f"{origin}/client.json",
                "client_name": "Invoice Helper",
                "redirect_uris": [f"{origin}/back"],
                "token_endpoint_auth_method": "none",
            }
            body, kind = json.dumps(document).encode(), "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@dataclass(slots=True, kw_only=True)
class Scene:
    """An installation with a person who may delegate, two clients of its own, and one from elsewhere."""

    server: ConsoleServer
    client_origin: str
    person: Person
    clerk: str = ""
    cookie: str = ""

    def link(self) -> str:
        async def make() -> str:
            return await self.server.sessions.new_link(self.person)

        return f"{self.server.origin}/console/sign-in#{self.server.call(make)}"

    def request(self, **more: str | None) -> str:
        """The address of an authorization request."""
        given: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.clerk,
            "redirect_uri": f"{self.client_origin}/back",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            "state": "s-1",
            "resource": f"{self.server.origin}/gateway/erp/mcp",
            **more,
        }
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return f"{self.server.origin}/oauth/authorize?{query}"

    def sealed(self, **more: str | None) -> str:
        """The sealed request, as a browser would be given it."""
        answer = get(self.server, self.request(**more).removeprefix(self.server.origin))
        location = answer.getheader("Location", "")
        assert location.startswith("/console/consent?request="), location
        return location.partition("=")[2]

    def sign_in(self) -> str:
        """The cookie's value of a fresh session of the person."""

        async def redeem() -> str:
            return (await self.server.sessions.redeem(await self.server.sessions.new_link(self.person)))[1]

        return self.server.call(redeem)

    def delegations(self) -> int:
        async def count() -> int:
            return len(await self.server.rooms.delegations.of_person(self.person.id))

        return self.server.call(count)


@pytest.fixture
def scene(server: ConsoleServer) -> Iterator[Scene]:
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Client)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    origin = f"http://127.0.0.1:{listening.server_address[1]}"

    async def set_up() -> tuple[Person, str]:
        rooms = server.rooms
        actor = Actor(person=(await rooms.people.administrator()).id, authentication="management_token")
        await rooms.systems.add(ERP, "erp.toml", actor)
        person, _ = await rooms.transactions.change(
            lambda tx: rooms.people.ensure(tx, "ben@halden.example", "Ben Okafor")
        )
        person = replace(person, mapped_roles=("administrator",))
        await rooms.transactions.change(lambda tx: update_from_provider(tx.connection, person))
        metadata = parse_client_metadata({"redirect_uris": [f"{origin}/back"], "token_endpoint_auth_method": "none"})
        agent = await rooms.agents.create(
            NewAgent(
                name="invoice-matcher",
                owner="ana.weber@halden.example",
                roles=("ai-agent-admin",),
                systems=("erp",),
                client=metadata,
            ),
            actor,
        )
        return (await rooms.people.get(person.id)) or person, agent.id

    person, clerk = server.call(set_up)
    yield Scene(server=server, client_origin=origin, person=person, clerk=clerk)
    listening.shutdown()
    listening.server_close()
    thread.join()


def answer_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def signed_in(scene: Scene, page: Page) -> None:
    page.goto(scene.link())
    page.wait_for_url("**/console**")
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["registered", "unverified", "details", "nothing"])
def test_the_page_of_consent_is_whole_bars_nobody_and_fits(
    browser: Browser, listen: Callable[[Page], None], scene: Scene, axe: CheckAxe, kind: str, mode: str
) -> None:
    context = browser.new_context(reduced_motion="reduce", **MODES[mode])  # type: ignore[arg-type]
    page = context.new_page()
    listen(page)
    signed_in(scene, page)
    more: dict[str, str | None] = {
        "registered": {"scope": "openid offline_access erp:invoices.read erp:payments.write erp:invoices.delete"},
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


def lose_roles(scene: Scene) -> None:
    async def write() -> None:
        poor = replace(scene.person, mapped_roles=())
        await scene.server.rooms.transactions.change(lambda tx: update_from_provider(tx.connection, poor))

    scene.server.call(write)


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


def redeem(scene: Scene, code: str) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "client_id": scene.clerk,
        "code": code,
        "code_verifier": VERIFIER,
        "redirect_uri": f"{scene.client_origin}/back",
    }
    answer, text = post(scene.server, "/oauth/token", urlencode(form))
    assert answer.status == 200, text
    found: dict[str, Any] = json.loads(text)
    return found


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


def form(scene: Scene, sealed: str, cookie: str, **more: str | None) -> str:
    given: dict[str, str | None] = {
        "csrf": csrf_of(cookie),
        "request": sealed,
        "answer": "allow",
        "seconds": "3600",
        "scope.erp:invoices.read": "on",
        **more,
    }
    return urlencode({name: value for name, value in given.items() if value is not None})


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing said"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, id="another site"),
        pytest.param({"Sec_Fetch_Site": "same-site"}, id="a neighbour"),
        pytest.param({"Origin": "null"}, id="no origin"),
    ],
)
def test_4_7_a_yes_from_another_site_is_refused(scene: Scene, headers: dict[str, str]) -> None:
    cookie = scene.sign_in()

    answer, _ = post(
        scene.server,
        "/console/consent",
        form(scene, scene.sealed(), cookie),
        Cookie=f"{COOKIE}={cookie}",
        **headers,
    )

    assert answer.status == 403
    assert scene.delegations() == 0


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"csrf": None}, id="no token"),
        pytest.param({"csrf": "x"}, id="another token"),
        pytest.param({"request": None}, id="no request"),
        pytest.param({"request": "x" * 100}, id="another request"),
        pytest.param({"answer": None}, id="no answer"),
        pytest.param({"answer": "yes"}, id="another answer"),
        pytest.param({"seconds": "99999999"}, id="for ever"),
        pytest.param({"seconds": "-1"}, id="negative time"),
        pytest.param({"scope.erp:invoices.read": None}, id="nothing ticked"),
        pytest.param({"scope.erp:all": "on"}, id="more than was asked"),
    ],
)
def test_4_7_a_form_that_is_not_ours_does_nothing(scene: Scene, more: dict[str, str | None]) -> None:
    cookie = scene.sign_in()

    answer, _ = post(
        scene.server,
        "/console/consent",
        form(scene, scene.sealed(), cookie, **more),
        Cookie=f"{COOKIE}={cookie}",
        Sec_Fetch_Site="same-origin",
    )

    assert answer.status in (400, 403)
    assert scene.delegations() == 0


def test_4_1_a_redirect_uri_in_the_form_is_not_looked_at(scene: Scene) -> None:
    cookie = scene.sign_in()
    evil = {"redirect_uri": "https://evil.example/", "client_id": "agt_evil", "state": "evil"}

    answer, _ = post(
        scene.server,
        "/console/consent",
        form(scene, scene.sealed(), cookie, **evil),
        Cookie=f"{COOKIE}={cookie}",
        Sec_Fetch_Site="same-origin",
    )

    location = answer.getheader("Location", "")
    assert answer.status == 303
    assert location.startswith(f"{scene.client_origin}/back?code=")
    assert answer_of(location)["state"] == "s-1"


def test_4_16_the_page_cannot_be_framed_and_its_form_leads_only_to_the_client(scene: Scene) -> None:
    cookie = scene.sign_in()

    answer = get(scene.server, f"/console/consent?request={scene.sealed()}", Cookie=f"{COOKIE}={cookie}")

    policy = dict(part.split(" ", 1) for part in answer.getheader("Content-Security-Policy", "").split("; "))
    assert answer.status == 200
    assert policy["form-action"] == f"'self' {scene.client_origin}"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["default-src"] == "'none'"
    assert answer.getheader("X-Frame-Options") == "DENY"
    assert answer.getheader("Referrer-Policy") == "no-referrer"
    assert answer.getheader("Cache-Control") == "no-store"


def test_a_session_that_ended_while_the_page_was_open_signs_in_and_comes_back(scene: Scene) -> None:
    sealed = scene.sealed()

    answer, _ = post(scene.server, "/console/consent", form(scene, sealed, "gone"), Sec_Fetch_Site="same-origin")

    back = quote(f"/console/consent?request={sealed}", safe="/")
    assert answer.getheader("Location") == f"/console/sign-in?ended&return={back}"
    assert scene.delegations() == 0


def test_a_fresh_sign_in_that_is_asked_for_is_asked_for(scene: Scene) -> None:
    cookie = scene.sign_in()
    scene.server.clock.move(10)
    sealed = scene.sealed(prompt="login")

    shown = get(scene.server, f"/console/consent?request={sealed}", Cookie=f"{COOKIE}={cookie}")
    posted, text = post(
        scene.server,
        "/console/consent",
        form(scene, sealed, cookie),
        Cookie=f"{COOKIE}={cookie}",
        Sec_Fetch_Site="same-origin",
    )
    fresh = get(scene.server, f"/console/consent?request={sealed}", Cookie=f"{COOKIE}={scene.sign_in()}")

    assert shown.getheader("Location", "").startswith("/console/sign-in?again&return=/console/consent")
    assert (posted.status, "Sign in again" in text) == (403, True)
    assert fresh.status == 200
    assert scene.delegations() == 0


def test_with_prompt_none_the_client_is_told_at_once(scene: Scene) -> None:
    sealed = scene.sealed(prompt="none")

    stranger = get(scene.server, f"/console/consent?request={sealed}")
    known = get(scene.server, f"/console/consent?request={sealed}", Cookie=f"{COOKIE}={scene.sign_in()}")

    assert answer_of(stranger.getheader("Location", ""))["error"] == "login_required"
    assert answer_of(known.getheader("Location", ""))["error"] == "consent_required"


def test_only_ones_own_delegation_can_be_ended(scene: Scene) -> None:
    cookie = scene.sign_in()
    post(
        scene.server,
        "/console/consent",
        form(scene, scene.sealed(), cookie),
        Cookie=f"{COOKIE}={cookie}",
        Sec_Fetch_Site="same-origin",
    )

    async def prepare() -> tuple[str, str]:
        administrator = await scene.server.rooms.people.administrator()
        other = (await scene.server.sessions.redeem(await scene.server.sessions.new_link(administrator)))[1]
        [made] = await scene.server.rooms.delegations.of_person(scene.person.id)
        return other, made.id

    other, delegation = scene.server.call(prepare)

    answer, _ = post(
        scene.server,
        "/console/delegations/end",
        urlencode({"csrf": csrf_of(other), "delegation": delegation}),
        Cookie=f"{COOKIE}={other}",
        Sec_Fetch_Site="same-origin",
    )

    assert answer.status == 404
    assert scene.delegations() == 1


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


@pytest.mark.parametrize(
    ("redirect", "target"),
    [
        ("https://desk.example/back", "https://desk.example"),
        ("https://desk.example:8443/back?x=1", "https://desk.example:8443"),
        ("http://127.0.0.1:53123/back", "http://127.0.0.1:53123"),
        ("http://[::1]:53123/back", "http:"),
        ("com.example.desk:/back", "com.example.desk:"),
        ("https://desk.example;script-src%20*/back", "https:"),
    ],
)
def test_the_policy_names_the_origin_of_the_redirect_and_no_more(redirect: str, target: str) -> None:
    assert form_target(redirect) == target


@pytest.mark.parametrize(
    ("action", "title"),
    [
        ("crm.contacts.search", "Search contacts"),
        ("crm.search", "Search"),
        ("erp.finance.payments.create", "Create payments finance"),
        ("mail.draft_messages.bulk-delete", "Bulk delete draft messages"),
        ("search", "Search"),
    ],
)
def test_an_action_has_a_title(action: str, title: str) -> None:
    assert title_of(action) == title


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3_600, "1 hour"),
        (28_800, "8 hours"),
        (86_400, "1 day"),
        (2_592_000, "30 days"),
        (90, "90 seconds"),
        (60, "1 minute"),
    ],
)
def test_a_time_has_words(seconds: int, words: str) -> None:
    assert time_of(seconds) == words
