"""The pages of people, and for whom an agent acts: for administrators alone, in light, in dark and on a phone."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from accredit.agents.client_metadata import parse_client_metadata
from accredit.agents.model import CredentialKind
from accredit.agents.new_agent import NewAgent
from accredit.audit.event import Actor
from accredit.console.pages.agent import _KINDS
from accredit.console.session import COOKIE
from accredit.people.model import Person
from tests.console.conftest import CheckAxe
from tests.console.server import ConsoleServer
from tests.console.test_account import fits, shot, start
from tests.console.test_pages import MODES
from tests.console.test_sign_in import get, sign_in
from tests.people.giving import ISSUER, a_delegation, a_passkey, a_person, known_elsewhere
from tests.rooms import ADMINISTRATOR, CRM

DOCUMENT = "https://assistant.example/client.json"
REDIRECT = "https://desk.example/back"


class Office:
    """An installation with three people; two let agents act for them."""

    def __init__(self, server: ConsoleServer) -> None:
        self.server = server
        self.ana, self.ben, self.eve = server.call(self._people)
        self.desk, self.stranger = server.call(self._agents)
        self.given = server.call(lambda: a_delegation(server.rooms, self.ana, "desk", seconds=90_000))
        server.call(lambda: a_delegation(server.rooms, self.ana, self.stranger))
        server.call(lambda: a_delegation(server.rooms, self.ben, "desk"))

    async def _people(self) -> tuple[Person, Person, Person]:
        rooms = self.server.rooms
        await rooms.systems.add(CRM, "crm.toml", ADMINISTRATOR)
        ana = await a_person(rooms, "ana.weber@halden.example", roles=("delegator",), mapped=("sales-lead",))
        await a_passkey(rooms, ana.id, "laptop")
        await a_passkey(rooms, ana.id, "phone")
        await known_elsewhere(rooms, ana.id, "8c1f0f5e-ana")
        ben = await a_person(rooms, "ben@halden.example", roles=("delegator",))
        eve = await a_person(rooms, "$(reboot)@halden.example")
        return ana, ben, eve

    async def _agents(self) -> tuple[str, str]:
        rooms = self.server.rooms
        metadata = parse_client_metadata({"redirect_uris": [REDIRECT], "client_name": "The desk"})
        desk = await rooms.agents.create(
            NewAgent(
                name="desk",
                owner="ana.weber@halden.example",
                roles=("ai-agent-operator",),
                systems=("crm",),
                client=metadata,
            ),
            ADMINISTRATOR,
        )
        await rooms.agents.add_client_secret("desk", ADMINISTRATOR)
        public = parse_client_metadata(
            {
                "redirect_uris": ["http://localhost/callback"],
                "token_endpoint_auth_method": "none",
                "client_name": "Assistant",
            }
        )
        actor = Actor(person=ADMINISTRATOR.person, authentication="passkey")
        stranger, _ = await rooms.transactions.change(
            lambda tx: rooms.agents.register_client(
                tx, DOCUMENT, public, "ana.weber@halden.example", ("ai-agent-readonly",), ("crm",), actor
            )
        )
        return desk.id, stranger.name


@pytest.fixture
def office(server: ConsoleServer) -> Office:
    return Office(server)


@pytest.fixture
def admin(office: Office, page: Page) -> Page:
    page.goto(office.server.link())
    page.wait_for_url("**/console")
    page.wait_for_load_state("networkidle")
    return page


def test_people_are_listed_with_roles_ways_in_and_delegations(office: Office, admin: Page) -> None:
    admin.get_by_role("link", name="People").click()

    row = admin.get_by_role("row", name="ana.weber@halden.example")
    for said in ("delegator", "sales-lead from a provider", "2 passkeys", ISSUER):
        expect(row).to_contain_text(said)
    expect(row.get_by_role("cell").last).to_have_text("2")
    expect(admin.get_by_role("row", name="ben@halden.example")).to_contain_text("a one-time link only")


def test_a_persons_page_shows_what_they_let_agents_do_and_how_to_end_it(office: Office, admin: Page) -> None:
    admin.goto(f"{office.server.origin}/console/people")
    admin.get_by_role("link", name="ana.weber@halden.example").click()

    row = admin.get_by_role("row", name="desk")
    for said in (office.given, "Customer relations", "Reads", "Search contacts"):
        expect(row).to_contain_text(said)
    expect(admin.get_by_text(f"accredit person delegations {office.ana.id} --end DELEGATION")).to_be_visible()
    expect(admin.get_by_role("region", name="How they sign in")).to_contain_text("8c1f0f5e-ana")
    row.get_by_role("link", name="desk").click()
    expect(admin.get_by_role("heading", level=1)).to_have_text("desk")


def test_an_address_that_is_a_command_is_quoted_where_it_stands_in_one(office: Office, admin: Page) -> None:
    admin.goto(f"{office.server.origin}/console/people/{office.eve.id}")

    expect(admin.get_by_text("accredit person link '$(reboot)@halden.example'", exact=True)).to_be_visible()
    expect(admin.get_by_text(f"accredit person roles {office.eve.id} --role delegator")).to_be_visible()


def test_an_agents_page_says_for_whom_it_acts_and_what_it_is_as_a_client(office: Office, admin: Page) -> None:
    admin.goto(f"{office.server.origin}/console/agents/{office.desk}")

    acts_for = admin.get_by_role("region", name="Who it acts for")
    for said in ("ana.weber@halden.example", "ben@halden.example", office.given, "2 now"):
        expect(acts_for).to_contain_text(said)
    client = admin.get_by_role("region", name="As a client")
    for said in ("Registered here", REDIRECT, "a client secret", "authorization_code"):
        expect(client).to_contain_text(said)
    acts_for.get_by_role("link", name="ana.weber@halden.example").click()
    expect(admin.get_by_role("heading", level=1)).to_have_text("ana.weber@halden.example")


def test_a_client_of_a_document_is_shown_as_not_verified_with_its_address(office: Office, admin: Page) -> None:
    agent = office.server.call(lambda: office.server.rooms.agents.named(office.stranger))
    admin.goto(f"{office.server.origin}/console/agents/{agent.id}")

    client = admin.get_by_role("region", name="As a client")

    for said in ("Not verified", DOCUMENT, "http://localhost/callback", "it is public"):
        expect(client).to_contain_text(said)
    expect(client).not_to_contain_text("Registered here")


def test_what_ended_is_shown_nowhere(office: Office, admin: Page) -> None:
    rooms = office.server.rooms
    office.server.call(lambda: rooms.delegations.end_for(office.ana.id, office.given, ADMINISTRATOR))

    for path in (f"people/{office.ana.id}", f"agents/{office.desk}"):
        admin.goto(f"{office.server.origin}/console/{path}")
        expect(admin.locator("main")).not_to_contain_text(office.given)


def test_roles_that_were_changed_are_told_of_in_words(office: Office, admin: Page) -> None:
    server = office.server
    administrator = server.call(server.rooms.people.administrator)
    actor = Actor(person=administrator.id, authentication="management_token")
    server.call(lambda: server.rooms.people.set_roles("ben@halden.example", ("auditor",), actor))
    server.record("token.issued")

    newest = server.call(lambda: server.log.latest(2))[-1].seq
    admin.goto(f"{server.origin}/console/audit/{newest}")

    expect(admin.get_by_role("heading", level=1)).to_have_text(
        "The roles of ben@halden.example were changed by Administrator"
    )
    expect(admin.locator("main")).to_contain_text("roles that are given here: auditor")


@pytest.mark.parametrize("role", [None, "delegator"], ids=["no role", "delegator"])
def test_nobody_but_an_administrator_sees_people(office: Office, role: str | None) -> None:
    server = office.server
    who = office.eve if role is None else office.ben
    cookie = f"{COOKIE}={start(server, who)}"

    for path in ("people", f"people/{office.ana.id}", f"people/{who.id}"):
        assert get(server, f"/console/{path}", Cookie=cookie).status == 403
    assert get(server, f"/console/people/{office.ana.id}").status == 303


def test_a_person_who_is_not_there_is_said_so(office: Office) -> None:
    cookie = f"{COOKIE}={sign_in(office.server)}"

    assert get(office.server, "/console/people/per_none", Cookie=cookie).status == 404
    assert get(office.server, "/console/people?after=zzz", Cookie=cookie).status == 200


def test_people_are_shown_fifty_a_page(server: ConsoleServer, page: Page) -> None:
    async def crowd() -> None:
        for number in range(60):
            await a_person(server.rooms, f"p{number:02}@example.com")

    server.call(crowd)
    page.goto(server.link())
    page.wait_for_url("**/console")
    page.goto(f"{server.origin}/console/people")

    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Next 50").click()
    expect(page.locator("tbody tr")).to_have_count(11)
    expect(page.get_by_role("link", name="p59@example.com")).to_be_visible()


@pytest.mark.parametrize("kind", CredentialKind)
def test_every_kind_of_credential_has_a_name(kind: CredentialKind) -> None:
    assert _KINDS[kind]


@pytest.mark.parametrize("mode", MODES)
def test_the_pages_bar_nobody_and_fit(
    office: Office, browser: Browser, listen: Callable[[Page], None], axe: CheckAxe, mode: str
) -> None:
    context = browser.new_context(reduced_motion="reduce", **MODES[mode])  # type: ignore[arg-type]
    page = context.new_page()
    listen(page)
    page.goto(office.server.link())
    page.wait_for_url("**/console")
    stranger = office.server.call(lambda: office.server.rooms.agents.named(office.stranger))

    for name, path in (
        ("people", "people"),
        ("person", f"people/{office.ana.id}"),
        ("person-new", f"people/{office.eve.id}"),
        ("agent-delegated", f"agents/{office.desk}"),
        ("agent-unverified", f"agents/{stranger.id}"),
    ):
        page.goto(f"{office.server.origin}/console/{path}")
        page.wait_for_load_state("networkidle")
        shot(page, f"{name}-{mode}", whole=True)
        axe(page)
        fits(page)
        expect(page.locator("h1")).to_have_count(1)
    context.close()
