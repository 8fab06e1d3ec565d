"""Requests from elsewhere: a device's code, what agents ask of a person, and signing out by a client's wish."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accredit.agents.client_metadata import parse_client_metadata
from accredit.agents.model import Agent
from accredit.agents.new_agent import NewAgent
from accredit.audit.event import Actor
from accredit.canonical import base64url
from accredit.console.code_limit import WINDOW_SECONDS, WRONG_CODES
from accredit.console.session import COOKIE, csrf_of
from accredit.console.words import sentence
from accredit.oauth.pending import CIBA_GRANT, DEVICE_GRANT
from accredit.oauth.pushed import PREFIX, PushedRequests
from accredit.people.model import Person
from accredit.people.store import update_from_provider
from tests.console.conftest import CheckAxe
from tests.console.server import ConsoleServer
from tests.console.test_account import fits, shot
from tests.console.test_pages import MODES
from tests.console.test_sign_in import get, post
from tests.rooms import ADMINISTRATOR, CRM

READ, WRITE = "crm:contacts.read", "crm:contacts.write"
MESSAGE = "Invoice 20931, 48,200 EUR"
HOSTILE = "Pay \u00ab<img src=x>\u00bb now"


@dataclass(slots=True, kw_only=True)
class Desk:
    """A server with an agent that asks people, and a person who may let it read and write."""

    server: ConsoleServer
    agent: Agent
    secret: str
    person: Person
    cookies: dict[str, str] = field(default_factory=dict)

    def send(self, path: str, **form: str) -> httpx2.Response:
        given = {"client_id": self.agent.id, "client_secret": self.secret, **form}
        return httpx2.post(f"{self.server.origin}{path}", data=given, timeout=10, trust_env=False)

    def device(self, **form: str) -> dict[str, Any]:
        answer = self.send("/oauth/device_authorization", **form)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, message: str = MESSAGE, email: str = "ben@example.com", **form: str) -> str:
        given = {"scope": f"openid {READ} {WRITE}", "login_hint": email, "resource": self.resource, **form}
        answer = self.send("/oauth/backchannel_authentication", binding_message=message, **given)
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["auth_req_id"]
        return found

    def poll_device(self, code: str) -> dict[str, Any]:
        found: dict[str, Any] = self.send("/oauth/token", grant_type=DEVICE_GRANT, device_code=code).json()
        return found

    def poll(self, auth_req_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.send("/oauth/token", grant_type=CIBA_GRANT, auth_req_id=auth_req_id).json()
        return found

    @property
    def resource(self) -> str:
        return f"{self.server.origin}/gateway/crm/mcp"

    def cookie(self, person: Person | None = None) -> str:
        """The value of the cookie of one session of a person."""
        person = person or self.person
        if person.id not in self.cookies:

            async def start() -> str:
                return (await self.server.sessions.start(person, authentication="passkey"))[1]

            self.cookies[person.id] = self.server.call(start)
        return self.cookies[person.id]

    def get(self, path: str, person: Person | None = None) -> tuple[int, str, dict[str, str]]:
        headers = {"Cookie": f"{COOKIE}={self.cookie(person)}"}
        answer = httpx2.get(f"{self.server.origin}{path}", headers=headers, timeout=10, trust_env=False)
        return answer.status_code, answer.text, dict(answer.headers)

    def post(self, path: str, form: str, person: Person | None = None) -> tuple[int, str, str]:
        cookie = self.cookie(person)
        answer, text = post(
            self.server,
            path,
            f"csrf={csrf_of(cookie)}&{form}",
            Cookie=f"{COOKIE}={cookie}",
            Sec_Fetch_Site="same-origin",
        )
        return answer.status, text, answer.getheader("Location", "")

    def enter(self, code: str, person: Person | None = None) -> tuple[int, str, str]:
        return self.post("/console/device", urlencode({"user_code": code}), person)

    def somebody(self, email: str, name: str) -> Person:
        return a_delegator(self.server, email, name)

    def event_types(self) -> list[str]:
        async def read() -> list[str]:
            return [one.event.type for one in await self.server.log.after(-1, 1_000)]  # type: ignore[union-attr]

        return self.server.call(read)


def a_delegator(server: ConsoleServer, email: str, name: str) -> Person:
    async def make() -> Person:
        rooms = server.rooms
        person, _ = await rooms.transactions.change(lambda tx: rooms.people.ensure(tx, email, name))
        changed = replace(person, mapped_roles=("delegator",))
        await rooms.transactions.change(lambda tx: update_from_provider(tx, changed))
        found = await rooms.people.get(person.id)
        assert found is not None
        return found

    return server.call(make)


@pytest.fixture
def desk(server: ConsoleServer) -> Iterator[Desk]:
    async def make() -> tuple[Agent, str]:
        await server.rooms.systems.add(CRM, "crm.toml", ADMINISTRATOR)
        new = NewAgent(
            name="invoice-clerk",
            owner="ana@example.com",
            roles=("ai-agent-operator",),
            systems=("crm",),
            client=parse_client_metadata(
                {
                    "grant_types": [DEVICE_GRANT, CIBA_GRANT, "refresh_token"],
                    "token_endpoint_auth_method": "client_secret_post",
                    "post_logout_redirect_uris": ["https://desk.example/bye", "com.example.desk:/bye"],
                }
            ),
        )
        agent = await server.rooms.agents.create(new, ADMINISTRATOR)
        _, secret = await server.rooms.agents.add_client_secret(agent.name, ADMINISTRATOR)
        return agent, secret.reveal()

    agent, secret = server.call(make)
    yield Desk(server=server, agent=agent, secret=secret, person=a_delegator(server, "ben@example.com", "Ben Okafor"))


@pytest.fixture
def signed_in(desk: Desk, page: Page) -> Page:
    put_in(desk, page)
    return page


def put_in(desk: Desk, page: Page) -> None:
    """Sign the person in, in this browser."""
    page.goto(
        f"{desk.server.origin}/console/sign-in#{desk.server.call(lambda: desk.server.sessions.new_link(desk.person))}"
    )
    page.wait_for_url("**/console/account")
    desk.cookies[desk.person.id] = page.context.cookies()[0].get("value", "")


# --- a device ---


def test_a_person_types_the_code_allows_and_the_device_gets_its_token(desk: Desk, signed_in: Page) -> None:
    page, asked = signed_in, desk.device(resource=desk.resource)
    assert desk.poll_device(asked["device_code"])["error"] == "authorization_pending"

    page.goto(asked["verification_uri"])
    page.get_by_role("textbox", name="Code").fill(asked["user_code"].lower().replace("-", " "))
    page.get_by_role("button", name="Continue").click()

    expect(page.get_by_role("heading", name="invoice-clerk wants to act for you on Customer relations")).to_be_visible()
    expect(page.get_by_text(asked["user_code"], exact=True)).to_be_visible()
    expect(page.get_by_text("Only go on if you started this yourself")).to_be_visible()
    page.get_by_label("Create contacts").uncheck()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading", name="Allowed")).to_be_visible()
    expect(page.get_by_text("You can go back to your device.")).to_be_visible()
    desk.server.clock.move(6)
    assert desk.poll_device(asked["device_code"])["scope"] == READ


def test_a_code_in_the_address_is_filled_in_and_never_sent_by_itself(desk: Desk, signed_in: Page) -> None:
    page, asked = signed_in, desk.device()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))

    page.goto(asked["verification_uri_complete"])
    page.wait_for_load_state("networkidle")

    expect(page.get_by_role("textbox", name="Code")).to_have_value(asked["user_code"])
    expect(page.get_by_role("heading", name="Connect a device")).to_be_visible()
    assert set(sent) == {"GET"}
    assert desk.poll_device(asked["device_code"])["error"] == "authorization_pending"


def test_who_is_not_signed_in_comes_back_to_the_code_after_it(desk: Desk) -> None:
    asked = desk.device()

    answer = get(desk.server, asked["verification_uri_complete"].removeprefix(desk.server.origin))

    back = quote(f"/console/device?user_code={asked['user_code']}", safe="/")
    assert answer.getheader("Location") == f"/console/sign-in?return={back}"


def test_a_device_is_told_that_the_person_said_no(desk: Desk, signed_in: Page) -> None:
    page, asked = signed_in, desk.device(resource=desk.resource)

    page.goto(asked["verification_uri_complete"])
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Refuse").click()

    expect(page.get_by_role("heading", name="Refused")).to_be_visible()
    assert desk.poll_device(asked["device_code"])["error"] == "access_denied"
    assert desk.event_types()[-2] == "delegation.refused"


def test_the_way_through_a_device_goes_by_keyboard_alone(desk: Desk, signed_in: Page) -> None:
    page, asked = signed_in, desk.device(resource=desk.resource)
    page.goto(asked["verification_uri"])
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "user_code":
            break
    page.keyboard.type(asked["user_code"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Allow")).to_be_visible()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Allow":
            break
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Allowed")).to_be_visible()


@pytest.mark.parametrize(
    "code", ["BCDF-GHJK", "", "BCDF", "<script>", "\u202eBCDF", "B" * 60], ids=lambda code: ascii(code)[:16]
)
def test_a_code_that_nobody_has_finds_nothing_and_is_not_echoed_as_markup(desk: Desk, code: str) -> None:
    status, text, location = desk.enter(code)

    assert (status, location) == (404, "")
    assert "No device waits with this code." in text
    assert "<script>" not in text.replace("<script type", "")
    assert "\u202e" not in text


def test_a_code_that_was_answered_or_is_too_old_reads_like_one_that_never_was(desk: Desk) -> None:
    answered, old = desk.device(), desk.device()
    _, _, location = desk.enter(answered["user_code"])
    desk.post(location, "answer=refuse")
    texts = [desk.enter(answered["user_code"])[1].replace(answered["user_code"], "")]
    desk.server.clock.move(599)
    assert desk.enter(old["user_code"])[0] == 303
    desk.server.clock.move(1)

    texts.append(desk.enter(old["user_code"])[1].replace(old["user_code"], ""))
    texts.append(desk.enter("XXXX-XXXX")[1].replace("XXXX-XXXX", ""))

    assert texts[0] == texts[1] == texts[2]


def test_after_ten_wrong_codes_no_code_is_looked_at_until_ten_minutes_are_over(desk: Desk) -> None:
    """RFC 8628 §5.1."""
    asked = desk.device()
    for _ in range(WRONG_CODES):
        assert desk.enter("XXXX-XXXX")[0] == 404

    right = desk.enter(asked["user_code"])
    # A fresh sign-in of the same person is no fresh start, and another person is not in the way.
    desk.cookies.clear()
    again = desk.enter(asked["user_code"])
    other = desk.enter(asked["user_code"], desk.somebody("cleo@example.com", "Cleo"))

    assert (right[0], again[0], other[0]) == (429, 429, 303)
    assert "Too many wrong codes" in right[1]
    assert asked["user_code"] not in right[1]
    desk.server.clock.move(WINDOW_SECONDS)
    fresh = desk.device()
    assert desk.enter(fresh["user_code"])[0] == 303


def test_right_codes_are_not_counted(desk: Desk) -> None:
    for _ in range(WRONG_CODES + 1):
        assert desk.enter(desk.device()["user_code"])[0] == 303


def test_of_two_people_who_have_a_devices_code_one_answers(desk: Desk) -> None:
    asked = desk.device(resource=desk.resource)
    cleo = desk.somebody("cleo@example.com", "Cleo")
    _, _, path = desk.enter(asked["user_code"])
    desk.enter(asked["user_code"], cleo)

    first = desk.post(path, f"answer=allow&seconds=3600&scope.{READ}=on", cleo)
    second = desk.post(path, f"answer=allow&seconds=3600&scope.{READ}=on")

    assert (first[0], second[0]) == (303, 404)
    desk.server.clock.move(6)
    assert "access_token" in desk.poll_device(asked["device_code"])


def test_a_person_without_a_right_is_told_so_and_can_only_refuse(desk: Desk, browser: Browser) -> None:
    async def nobody() -> Person:
        people = desk.server.rooms.people
        return (await desk.server.rooms.transactions.change(lambda tx: people.ensure(tx, "eve@example.com")))[0]

    eve = desk.server.call(nobody)
    asked = desk.device(resource=desk.resource, scope=READ)
    _, _, path = desk.enter(asked["user_code"], eve)

    status, text, _ = desk.get(path, eve)
    allowed = desk.post(path, f"answer=allow&seconds=3600&scope.{READ}=on", eve)

    assert status == 200
    assert "There is nothing that you could let it do" in text
    assert 'value="allow"' not in text
    assert allowed[0] == 400
    assert desk.post(path, "answer=refuse", eve)[0] == 303
    assert desk.poll_device(asked["device_code"])["error"] == "access_denied"


def test_a_client_of_a_metadata_document_is_never_shown_as_known_here(desk: Desk) -> None:
    url = "https://evil.example/client.json"

    async def make() -> Agent:
        rooms = desk.server.rooms
        metadata = parse_client_metadata(
            {"client_name": "Payroll", "grant_types": [DEVICE_GRANT], "token_endpoint_auth_method": "none"}
        )
        actor = Actor(person=desk.person.id, authentication="passkey")
        agent, _ = await rooms.transactions.change(
            lambda tx: rooms.agents.register_client(
                tx, url, metadata, "ben@example.com", ("ai-agent-operator",), ("crm",), actor
            )
        )
        return agent

    desk.server.call(make)
    form = {"client_id": url, "resource": desk.resource}
    answer = httpx2.post(f"{desk.server.origin}/oauth/device_authorization", data=form, timeout=10, trust_env=False)
    _, _, path = desk.enter(answer.json()["user_code"])

    _, text, _ = desk.get(path)

    assert "Not verified" in text
    assert "<bdi>evil.example</bdi>" in text
    assert "Registered here" not in text


# --- what agents ask of a person ---


def test_what_an_agent_asks_is_listed_shown_with_its_message_and_answered(desk: Desk, signed_in: Page) -> None:
    page, auth_req_id = signed_in, desk.ask()
    page.goto(f"{desk.server.origin}/console/account")

    page.get_by_role("link", name="Requests (1)").click()
    expect(page.get_by_text(f"“{MESSAGE}”")).to_be_visible()
    page.get_by_role("link", name="Look at what invoice-clerk asks").click()
    expect(page.get_by_text(f"“{MESSAGE}”")).to_be_visible()
    page.get_by_role("button", name="Allow").click()

    expect(page.get_by_role("heading", name="Allowed")).to_be_visible()
    expect(page.get_by_role("link", name="Requests", exact=True)).to_be_visible()
    assert {"access_token", "id_token", "refresh_token"} <= desk.poll(auth_req_id).keys()


def test_nobody_sees_or_answers_what_is_asked_of_somebody_else(desk: Desk) -> None:
    auth_req_id = desk.ask()
    cleo = desk.somebody("cleo@example.com", "Cleo")
    _, text, _ = desk.get("/console/requests")
    path = text.partition('href="/console/requests/')[2].partition('"')[0]
    path = f"/console/requests/{path}"
    assert desk.get(path)[0] == 200

    seen, shown = desk.get("/console/requests", cleo)[1], desk.get(path, cleo)
    allowed = desk.post(path, f"answer=allow&seconds=3600&scope.{READ}=on", cleo)
    refused = desk.post(path, "answer=refuse", cleo)

    assert MESSAGE not in seen
    assert "No agent asks anything of you now." in seen
    assert (shown[0], allowed[0], refused[0]) == (404, 404, 404)
    assert desk.poll(auth_req_id)["error"] == "authorization_pending"


def test_a_message_is_text_and_nothing_else(desk: Desk) -> None:
    desk.ask(HOSTILE)

    _, text, _ = desk.get("/console/requests")

    assert "<img" not in text
    assert "&lt;img src=x&gt;" in text


def test_a_suspended_agents_request_is_gone(desk: Desk) -> None:
    desk.ask()
    _, text, _ = desk.get("/console/requests")
    path = "/console/requests/" + text.partition('href="/console/requests/')[2].partition('"')[0]

    desk.server.call(lambda: desk.server.rooms.agents.suspend("invoice-clerk", ADMINISTRATOR))

    assert MESSAGE not in desk.get("/console/requests")[1]
    assert desk.get(path)[0] == 404
    assert desk.post(path, f"answer=allow&seconds=3600&scope.{READ}=on")[0] == 404


def test_details_are_shown_with_their_purpose_and_bound_what_is_offered(desk: Desk) -> None:
    details = [
        {
            "type": "accredit_action",
            "system": "crm",
            "actions": ["crm.contacts.create"],
            "purpose": "Add the new customer",
            "limits": {"count": 3},
        }
    ]
    auth_req_id = desk.ask(scope="openid", resource="", authorization_details=json.dumps(details))
    _, text, _ = desk.get("/console/requests")
    path = "/console/requests/" + text.partition('href="/console/requests/')[2].partition('"')[0]

    _, text, _ = desk.get(path)
    answered = desk.post(path, f"answer=allow&seconds=3600&scope.openid=on&scope.{WRITE}=on")

    assert "Add the new customer" in text
    assert "at most 3" in text
    assert READ not in text
    assert answered[0] == 303
    token = desk.poll(auth_req_id)
    assert token["scope"] == f"{WRITE} openid"
    assert token["authorization_details"] == details


@pytest.mark.parametrize(
    ("form", "status"),
    [
        pytest.param("", 400, id="no answer"),
        pytest.param("answer=maybe", 400, id="another answer"),
        pytest.param(f"answer=allow&seconds=1&scope.{READ}=on", 400, id="a time that was not offered"),
        pytest.param("answer=allow&seconds=3600&scope.crm:all=on", 400, id="a scope that was not offered"),
        pytest.param(f"answer=allow&scope.{READ}=on", 400, id="no time"),
        pytest.param("answer=allow&answer=refuse", 400, id="both answers"),
    ],
)
def test_a_form_that_the_page_did_not_offer_gives_nothing(desk: Desk, form: str, status: int) -> None:
    asked = desk.device(resource=desk.resource)
    _, _, path = desk.enter(asked["user_code"])

    assert desk.post(path, form)[0] == status
    assert desk.poll_device(asked["device_code"])["error"] == "authorization_pending"


@pytest.mark.parametrize("reference", ["x", "AAAA", "%2e%2e", "A" * 43, "done%2F", "é"])
def test_a_reference_that_is_none_is_not_found(desk: Desk, reference: str) -> None:
    assert desk.get(f"/console/requests/{reference}")[0] == 404


def test_a_pushed_request_of_the_browser_is_none_of_these(desk: Desk) -> None:
    """Both stand in one table, and a client knows the reference of its own."""

    async def push() -> str:
        pushed = PushedRequests(desk.server.rooms.transactions, desk.server.clock)
        return await pushed.push(desk.agent.id, {"system": "crm", "resource": desk.resource}, ())

    reference = desk.server.call(push).removeprefix(PREFIX)
    path = "/console/requests/" + base64url(hashlib.sha256(f"par\0{reference}".encode()).digest())

    assert desk.get(path)[0] == 404
    assert desk.post(path, f"answer=allow&seconds=3600&scope.{READ}=on")[0] == 404


@pytest.mark.parametrize("path", ["/console/device", "/console/requests/AAAA", "/console/sign-out"])
def test_each_form_is_refused_from_elsewhere_and_without_its_sessions_token(desk: Desk, path: str) -> None:
    cookie = desk.cookie()
    other = desk.cookie(desk.somebody("cleo@example.com", "Cleo"))
    before = desk.event_types()

    for token, site in ((csrf_of(cookie), "cross-site"), (csrf_of(other), "same-origin"), ("", "same-origin")):
        form = f"csrf={token}&user_code=BCDFGHJK&answer=allow"
        answer, _ = post(desk.server, path, form, Cookie=f"{COOKIE}={cookie}", Sec_Fetch_Site=site)
        assert answer.status == 403

    assert desk.event_types() == before
    assert desk.get("/console/account")[0] == 200


def test_the_pages_cannot_be_framed_and_are_not_kept(desk: Desk) -> None:
    _, _, path = desk.enter(desk.device()["user_code"])
    for page in ("/console/device", "/console/requests", path, "/console/requests/done?allowed", "/console/sign-out"):
        status, _, headers = desk.get(page)

        assert status == 200
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"


def test_a_request_and_its_answers_are_events_that_read_as_sentences(desk: Desk) -> None:
    desk.ask()
    desk.device()

    async def read() -> list[str]:
        entries = await desk.server.log.latest(2)
        names = {str(desk.person.id): "Ben"}
        return ["".join(piece.text for piece in sentence(one.event, names)) for one in entries]  # type: ignore[union-attr]

    assert desk.server.call(read) == [
        "invoice-clerk asked a person to act for them on crm",
        "invoice-clerk asked to act for Ben on crm",
    ]


# --- signing out for a client ---


def leave(desk: Desk, **query: str) -> str:
    """Where the browser is sent that a client sends to sign out."""
    given = {"client_id": desk.agent.id, **query}
    answer = get(desk.server, f"/oauth/logout?{urlencode(given)}")
    assert answer.status == 303
    return answer.getheader("Location", "")


def test_signing_out_for_a_client_is_asked_and_then_leads_there(
    desk: Desk, signed_in: Page, context: BrowserContext, axe: CheckAxe
) -> None:
    page = signed_in
    context.route("https://desk.example/**", lambda route: route.fulfill(body="<title>Bye</title>"))
    path = leave(desk, post_logout_redirect_uri="https://desk.example/bye", state="s-1")

    answer = page.goto(f"{desk.server.origin}{path}")

    assert answer is not None
    assert "form-action 'self' https://desk.example;" in answer.headers["content-security-policy"]
    expect(page.get_by_role("heading", name="Sign out of Accredit?")).to_be_visible()
    expect(page.get_by_text("desk.example")).to_be_visible()
    axe(page)
    shot(page, "sign-out-light")
    assert desk.get("/console/account")[0] == 200
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("https://desk.example/**")
    assert page.url == "https://desk.example/bye?state=s-1"
    assert desk.get("/console/account")[0] == 303
    assert desk.event_types()[-1] == "session.ended"


def test_who_is_signed_out_already_goes_on_at_once(desk: Desk) -> None:
    path = leave(desk, post_logout_redirect_uri="com.example.desk:/bye")

    assert get(desk.server, path).getheader("Location") == "com.example.desk:/bye"
    sealed = parse_qs(urlsplit(path).query)["after"][0]
    # The session ended while the page was open.
    posted, _ = post(
        desk.server,
        "/console/sign-out",
        f"csrf=x&after={sealed}",
        Cookie=f"{COOKIE}=gone",
        Sec_Fetch_Site="same-origin",
    )
    assert (posted.status, posted.getheader("Location")) == (303, "com.example.desk:/bye")


def test_a_policy_names_the_scheme_of_an_app_and_nothing_where_nobody_waits(desk: Desk) -> None:
    app = desk.get(leave(desk, post_logout_redirect_uri="com.example.desk:/bye"))
    plain = desk.get(leave(desk))

    assert "form-action 'self' com.example.desk:;" in app[2]["content-security-policy"]
    assert "form-action 'self';" in plain[2]["content-security-policy"]
    assert "Sign out of Accredit?" in plain[1]


@pytest.mark.parametrize(
    "after", ["https://evil.example", "//evil.example", "AAAA", "A" * 9_000, "é"], ids=lambda text: ascii(text)[:12]
)
def test_an_address_that_we_did_not_seal_is_never_gone_to(desk: Desk, after: str) -> None:
    shown = desk.get(f"/console/sign-out?after={quote(after)}")
    gone = get(desk.server, f"/console/sign-out?after={quote(after)}")
    answered = desk.post("/console/sign-out", f"after={quote(after)}")

    assert "form-action 'self';" in shown[2]["content-security-policy"]
    assert gone.getheader("Location") == "/console/sign-in?ended"
    assert answered[2] == "/console/sign-in?ended"


def test_a_sealed_address_is_good_for_ten_minutes(desk: Desk) -> None:
    path = leave(desk, post_logout_redirect_uri="https://desk.example/bye")
    desk.server.clock.move(600)

    assert get(desk.server, path).getheader("Location") == "/console/sign-in?ended"


def test_opening_the_page_signs_nobody_out(desk: Desk) -> None:
    desk.cookie()
    before = desk.event_types()

    desk.get("/console/sign-out")

    assert desk.event_types() == before
    assert desk.get("/console/account")[0] == 200


# --- how it looks ---


@pytest.mark.parametrize("mode", MODES)
def test_the_pages_bar_nobody_and_fit(
    desk: Desk, browser: Browser, listen: Callable[[Page], None], axe: CheckAxe, mode: str
) -> None:
    desk.ask()
    desk.ask(
        "A message of nearly two hundred characters that somebody wrote at length, since nobody had told them that a "
        "person reads it on a phone, between two trains, with one hand"
    )
    desk.ask("")
    asked = desk.device(resource=desk.resource)
    context = browser.new_context(reduced_motion="reduce", **MODES[mode])  # type: ignore[arg-type]
    page = context.new_page()
    listen(page)
    put_in(desk, page)
    reached = 0

    def look(name: str) -> None:
        nonlocal reached
        expect(page.locator("h1")).to_have_count(1)
        shot(page, f"{name}-{mode}", whole=mode == "phone")
        axe(page)
        fits(page)
        reached += 1

    page.goto(f"{desk.server.origin}/console/requests")
    look("requests")
    page.get_by_role("link", name="Look at what invoice-clerk asks").last.click()
    expect(page.get_by_role("button", name="Allow")).to_be_visible()
    look("request-ciba")
    page.goto(asked["verification_uri_complete"])
    look("device")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("button", name="Allow")).to_be_visible()
    look("request-device")
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading", name="Allowed")).to_be_visible()
    look("request-done")
    page.goto(f"{desk.server.origin}{leave(desk, post_logout_redirect_uri='https://desk.example/bye')}")
    look("sign-out")
    context.close()

    # An answer that is an error is noted by the browser; this page of it is meant to be seen.
    quiet = browser.new_context(reduced_motion="reduce", **MODES[mode])  # type: ignore[arg-type]
    page = quiet.new_page()
    put_in(desk, page)
    page.goto(f"{desk.server.origin}/console/device?user_code=BCDF-GHJK")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("No device waits with this code.")).to_be_visible()
    look("device-wrong")
    quiet.close()
    assert reached == 7
