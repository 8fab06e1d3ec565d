"""A client that asks a person who is elsewhere, by a device's code or by CIBA; and a receiver of what we send."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import uvloop

from accredit.agents.model import Agent
from accredit.agents.new_agent import NewAgent
from accredit.delegations.consent import Asked, Choice, Waiting
from accredit.oauth.messages import message_handlers
from accredit.oauth.pending import CIBA_GRANT, DEVICE_GRANT
from accredit.oauth.pending_consent import PendingConsents, open_pending_consent
from accredit.people.model import Person, Session
from tests.oauth.authorizing import EMAIL, READ, WRITE, Authorizing, metadata, open_authorizing
from tests.oauth.endpoint import CRM_RESOURCE, Endpoint, open_endpoint
from tests.rooms import ADMINISTRATOR

T = TypeVar("T")
GRANTS = [DEVICE_GRANT, CIBA_GRANT, "refresh_token"]


@dataclass(slots=True, kw_only=True)
class Asking:
    """`client` has a secret and may use both grants; `person` and `session` are those of `authorizing`."""

    authorizing: Authorizing
    consents: PendingConsents
    client: Agent
    secret: str

    @property
    def endpoint(self) -> Endpoint:
        return self.authorizing.endpoint

    @property
    def session(self) -> Session:
        return self.authorizing.session

    @property
    def person(self) -> Person:
        return self.authorizing.person

    def move(self, seconds: float) -> None:
        self.endpoint.rooms.clock.move(seconds)

    async def send(self, path: str, form: dict[str, str], **headers: str) -> httpx2.Response:
        """POST as the client, with what is empty left out."""
        given = {"client_id": self.client.client_id, "client_secret": self.secret, **form}
        return await self.endpoint.client.post(
            path, data={name: value for name, value in given.items() if value}, headers=headers
        )

    async def device(self, **form: str) -> dict[str, Any]:
        answer = await self.send("/oauth/device_authorization", {"resource": CRM_RESOURCE, **form})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def poll_device(self, code: str, form: dict[str, str] | None = None, **headers: str) -> httpx2.Response:
        given = {"grant_type": DEVICE_GRANT, "device_code": code, **(form or {})}
        return await self.send("/oauth/token", given, **headers)

    async def ciba(self, **form: str) -> httpx2.Response:
        given = {"scope": f"openid {READ} {WRITE}", "login_hint": EMAIL, "resource": CRM_RESOURCE, **form}
        return await self.send("/oauth/backchannel_authentication", given)

    async def ask(self, **form: str) -> str:
        answer = await self.ciba(**form)
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["auth_req_id"]
        return found

    async def poll(self, auth_req_id: str, **form: str) -> httpx2.Response:
        return await self.send("/oauth/token", {"grant_type": CIBA_GRANT, "auth_req_id": auth_req_id, **form})

    async def reference(self, user_code: str) -> str:
        found = await self.consents.of_user_code(user_code)
        assert found is not None
        return found

    async def waiting(self) -> list[Waiting]:
        return await self.consents.waiting(self.session)

    async def allow(self, reference: str, *, scopes: tuple[str, ...] | None = None, seconds: int = 3_600) -> Asked:
        """Allow all that is offered, or just these scopes."""
        _, asked = await self.consents.show(reference, self.session)
        offered = tuple(one.scope for one in asked.scopes)
        choice = Choice(scopes=frozenset(offered if scopes is None else scopes), seconds=seconds)
        await self.consents.approve(reference, self.session, choice)
        return asked

    async def allow_device(self, asked: dict[str, Any]) -> None:
        await self.allow(await self.reference(asked["user_code"]))

    async def allow_newest(self) -> None:
        await self.allow((await self.waiting())[0].reference)

    async def other(self, name: str, **members: object) -> "Asking":
        """The same with another client, which has a secret unless it is public."""
        client, secret = await a_client(self.endpoint, name, **members)
        return Asking(authorizing=self.authorizing, consents=self.consents, client=client, secret=secret)

    async def event_types(self) -> list[str]:
        return [one.type for one in await self.endpoint.events()]

    async def delegations(self) -> int:
        return len(await self.endpoint.rooms.delegations.of_person(self.person.id))


async def a_client(endpoint: Endpoint, name: str, **members: object) -> tuple[Agent, str]:
    given: dict[str, object] = {
        "redirect_uris": [],
        "grant_types": GRANTS,
        "token_endpoint_auth_method": "client_secret_post",
        **members,
    }
    new = NewAgent(
        name=name,
        owner="ana@example.com",
        roles=("ai-agent-operator",),
        systems=("crm",),
        client=metadata(**given),
    )
    client = await endpoint.rooms.agents.create(new, ADMINISTRATOR)
    if given["token_endpoint_auth_method"] == "none":
        return client, ""
    _, secret = await endpoint.rooms.agents.add_client_secret(name, ADMINISTRATOR)
    return client, secret.reveal()


def with_asking(folder: Path, act: Callable[[Asking], Awaitable[T]], **settings: object) -> T:
    """Run one coroutine with everything open."""

    async def run() -> T:
        async with open_endpoint(folder, **settings) as endpoint:
            authorizing = await open_authorizing(endpoint)
            client, secret = await a_client(endpoint, "speaker")
            endpoint.oauth.outbox.handle(message_handlers(endpoint.oauth))
            consents = open_pending_consent(endpoint.oauth)
            return await act(Asking(authorizing=authorizing, consents=consents, client=client, secret=secret))

    return uvloop.run(run())


@dataclass(slots=True)
class Receiver:
    """A server of a client's: it keeps what it is sent, and answers with the statuses that it is given, 204 then."""

    origin: str = ""
    received: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
        self.received.append((first.split(" ")[1], headers, body))
        status = self.statuses.pop(0) if self.statuses else 204
        location = "location: http://localhost:1/\r\n" if 300 <= status < 400 else ""
        writer.write(f"HTTP/1.1 {status} x\r\n{location}content-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving(port: int) -> AsyncIterator[Receiver]:
    """Listen on a port of this machine."""
    receiver = Receiver(f"http://localhost:{port}")
    server = await asyncio.start_server(receiver.take, "localhost", port)
    try:
        yield receiver
    finally:
        server.close()
        await server.wait_closed()
