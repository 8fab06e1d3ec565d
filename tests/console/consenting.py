"""An installation with a person who may delegate, a client of its own, and one from elsewhere with its own server."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from playwright.sync_api import Page

from accredit.agents.client_metadata import parse_client_metadata
from accredit.agents.new_agent import NewAgent
from accredit.audit.event import Actor
from accredit.console.session import csrf_of
from accredit.people.model import Person
from accredit.people.store import update_from_provider
from tests.console.server import ConsoleServer
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
WEB = "https://invoices.halden.example/back"
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
        origin = f"http://{self.headers['Host']}"
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


@contextmanager
def open_scene(server: ConsoleServer) -> Iterator[Scene]:
    """Set the scene on an empty console."""
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
        await rooms.transactions.change(lambda tx: update_from_provider(tx, person))
        metadata = parse_client_metadata(
            {"redirect_uris": [f"{origin}/back", WEB], "token_endpoint_auth_method": "none"}
        )
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


def lose_roles(scene: Scene) -> None:
    async def write() -> None:
        poor = replace(scene.person, mapped_roles=())
        await scene.server.rooms.transactions.change(lambda tx: update_from_provider(tx, poor))

    scene.server.call(write)


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
