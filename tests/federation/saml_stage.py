"""A console and a SAML identity provider that it trusts."""

from dataclasses import replace
from typing import Any

import httpx2
from structlog.testing import capture_logs

from accredit.federation.providers import Registered
from tests.console.server import ConsoleServer
from tests.federation.browsing import Browser
from tests.federation.idp import ENTITY_ID, SSO_URL, IdentityProvider, Says, encode, read_request
from tests.federation.stage import COOKIE
from tests.rooms import ADMINISTRATOR

ATTEMPT = "__Host-accredit-saml"
ACS = "/console/sign-in/saml/acme"


def describe(certificate: str, more: str = "") -> str:
    return f'''
kind = "saml"
name = "acme"
title = "Acme"
entity_id = "{ENTITY_ID}"
sso_url = "{SSO_URL}"
certificates = ["""
{certificate}"""]
domains = ["example.com"]
authoritative_domains = ["example.com"]
{more}
[roles]
accredit-admins = ["administrator"]
'''


class SamlStage:
    """A console and an identity provider that it trusts."""

    def __init__(self, server: ConsoleServer) -> None:
        self.server = server
        self.acs = server.origin + ACS
        self.idp = IdentityProvider.make()
        self.connect()

    def connect(self, more: str = "") -> Registered:
        async def put() -> Registered:
            providers = self.server.sign_on.providers
            act = providers.replace if await providers.all() else providers.add
            return await act(describe(self.idp.certificate, more), "acme.toml", None, ADMINISTRATOR)

        return self.server.call(put)

    def begin(self, browser: Browser, back: str = "") -> tuple[Says, str]:
        """Begin in this browser; what an honest response would say, and the RelayState."""
        query = f"?return={back}" if back else ""
        answer = browser.get(f"{self.server.origin}/console/sign-in/with/acme{query}")
        request, relay = read_request(str(answer.headers["location"]))
        says = Says(request=request.get("ID"), acs=self.acs, audience=f"{self.acs}/metadata")
        return replace(says, assertion_id=f"_of-{says.request}"), relay

    def post(self, browser: Browser, response: Any, relay: str) -> httpx2.Response:
        """The provider's page posts the response; the browser says where it comes from."""
        form = {"SAMLResponse": encode(response), "RelayState": relay}
        return browser.post(self.acs, form, Origin="https://idp.example.com", Sec_Fetch_Site="cross-site")

    def refusal(self, browser: Browser, response: Any, relay: str) -> str:
        """Post what must be refused; why it was, as the server's log tells."""
        with capture_logs() as logs:
            answer = self.post(browser, response, relay)
        assert answer.status_code == 401
        assert "the-boss" not in answer.text
        assert not self.is_signed_in(browser)
        [detail] = [one["detail"] for one in logs if one["event"] == "sign-on refused"]
        return str(detail).removeprefix("SAML: ")

    def is_signed_in(self, browser: Browser) -> bool:
        return browser.cookie(self.server.origin, COOKIE) is not None
