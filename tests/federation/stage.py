"""A console and a real provider beside it, and what a test asks of them."""

from accredit.audit.event import AuditEvent
from accredit.federation.providers import Registered
from accredit.people.model import Person, Session
from accredit.sensitive import Sensitive
from tests.console.server import ConsoleServer
from tests.federation.browsing import Browser
from tests.federation.peers import CLIENT_ID, CLIENT_SECRET, RealProvider
from tests.rooms import ADMINISTRATOR

COOKIE = "__Host-accredit"
ATTEMPT = "__Host-accredit-sign-on"


def describe(
    issuer: str, name: str = "acme", more: str = "", roles: str = 'accredit-admins = ["administrator"]'
) -> str:
    """The description of the real provider."""
    return f"""
kind = "oidc"
name = "{name}"
title = "Acme & Co"
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
domains = ["example.com"]
authoritative_domains = ["example.com"]
scopes = ["openid", "email", "profile", "groups"]
{more}
[roles]
{roles}
"""


class Stage:
    """The console's server, the provider, and a description of the one in the other."""

    def __init__(self, server: ConsoleServer, provider: RealProvider) -> None:
        self.server = server
        self.provider = provider
        self.origin = server.origin

    def connect(self, more: str = "", secret: str | None = CLIENT_SECRET, **changes: str) -> Registered:
        """Describe the provider anew."""
        text = describe(self.provider.issuer, more=more, **changes)
        sealed = None if secret is None else Sensitive(secret)

        async def put() -> Registered:
            providers = self.server.sign_on.providers
            there = any(one.configuration.name == "acme" for one in await providers.all())
            act = providers.replace if there else providers.add
            return await act(text, "acme.toml", sealed, ADMINISTRATOR)

        return self.server.call(put)

    def session(self, browser: Browser) -> Session:
        """The session of a browser that is signed in."""
        token = browser.cookie(self.origin, COOKIE)
        assert token is not None

        async def find() -> Session | None:
            return await self.server.sessions.find(token, active=False)

        found = self.server.call(find)
        assert found is not None
        return found

    def person(self, email: str) -> Person | None:
        """The person of this address."""

        async def find() -> Person | None:
            return await self.server.rooms.people.by_email(email)

        return self.server.call(find)

    def events(self) -> list[AuditEvent]:
        """Every event, the oldest first."""

        async def read() -> list[AuditEvent]:
            await self.server.sequencer.advance()
            return [one.event for one in await self.server.log.after(-1, 1_000)]  # type: ignore[union-attr]

        return self.server.call(read)

    def types(self) -> list[str]:
        """The types of all events."""
        return [one.type for one in self.events()]
