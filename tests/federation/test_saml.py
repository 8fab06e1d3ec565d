"""SAML: a signed response signs on, once, in the browser that asked; one that is late or for others does not."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from lxml import etree

from accredit.federation.connectors import CONNECTORS
from accredit.federation.errors import ExtraMissing
from tests.console.server import ConsoleServer
from tests.federation.browsing import Browser
from tests.federation.idp import NAMES, SSO_URL, IdentityProvider, Says, read_request
from tests.federation.saml_stage import ATTEMPT, SamlStage
from tests.federation.stage import COOKIE


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamlStage]:
    with ConsoleServer(tmp_path_factory.mktemp("saml")) as server:
        yield SamlStage(server)


def test_a_signed_response_signs_on(stage: SamlStage, surfer: Browser) -> None:
    says, relay = stage.begin(surfer, back="/console/audit")

    answer = stage.post(surfer, stage.idp.signed(says), relay)

    assert (answer.status_code, answer.headers["location"]) == (303, "/console/audit")
    token = surfer.cookie(stage.server.origin, COOKIE) or ""
    session = stage.server.call(lambda: stage.server.sessions.find(token))
    assert session is not None
    assert (session.person.email, session.person.roles) == ("ana@example.com", ("administrator",))
    assert (session.authentication, session.acr) == ("saml:acme", says.context)
    assert abs(session.created_at - session.auth_time) < 60


def test_a_response_that_is_signed_as_a_whole_too_signs_on(stage: SamlStage, surfer: Browser) -> None:
    says, relay = stage.begin(surfer)

    answer = stage.post(surfer, stage.idp.sign(stage.idp.signed(says)), relay)

    assert answer.status_code == 303


def test_the_request_says_who_asks_and_where_the_answer_goes(stage: SamlStage, surfer: Browser) -> None:
    stage.connect('force_authn = true\nauthn_contexts = ["urn:example:phr"]')
    answer = surfer.get(f"{stage.server.origin}/console/sign-in/with/acme")
    stage.connect()

    location = str(answer.headers["location"])
    request, relay = read_request(location)

    assert location.startswith(SSO_URL + "?SAMLRequest=")
    assert request.get("AssertionConsumerServiceURL") == stage.acs
    assert request.find("a:Issuer", NAMES).text == f"{stage.acs}/metadata"
    assert request.get("ForceAuthn") == "true"
    assert request.find(".//a:AuthnContextClassRef", NAMES).text == "urn:example:phr"
    assert len(relay) == 43


@pytest.mark.parametrize(("ago", "taken"), [(5, True), (299, True), (400, False)])
def test_somebody_who_must_prove_anew_who_they_are_must_have_done_so(
    stage: SamlStage, surfer: Browser, ago: int, taken: bool
) -> None:
    answer = surfer.get(f"{stage.server.origin}/console/sign-in/with/acme?again")
    request, relay = read_request(str(answer.headers["location"]))
    assert request.get("ForceAuthn") == "true"
    audience = f"{stage.acs}/metadata"
    says = Says(request=request.get("ID"), acs=stage.acs, audience=audience, assertion_id=f"_{ago}", authenticated=-ago)

    response = stage.idp.signed(says)

    if taken:
        assert stage.post(surfer, response, relay).status_code == 303
    else:
        assert "not anew" in stage.refusal(surfer, response, relay)


def test_the_attempts_cookie_comes_back_with_a_post_from_another_site(stage: SamlStage, surfer: Browser) -> None:
    answer = surfer.get(f"{stage.server.origin}/console/sign-in/with/acme")

    [cookie] = answer.headers.get_list("set-cookie")
    assert cookie.startswith(f"{ATTEMPT}=")
    for part in ("HttpOnly", "Secure", "Path=/", "SameSite=none", "Max-Age=600"):
        assert part in cookie


def test_our_description_names_the_address_and_wants_signed_assertions(stage: SamlStage, surfer: Browser) -> None:
    answer = surfer.get(f"{stage.acs}/metadata")

    document = etree.fromstring(answer.content)
    assert answer.headers["content-type"].startswith("application/samlmetadata+xml")
    assert document.get("entityID") == f"{stage.acs}/metadata"
    assert document.get("validUntil") is None
    [service] = document.iter("{*}AssertionConsumerService")
    assert (service.get("Location"), service.get("Binding")) == (
        stage.acs,
        "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST",
    )
    [descriptor] = document.iter("{*}SPSSODescriptor")
    assert descriptor.get("WantAssertionsSigned") == "true"


Lie = Callable[[Says], Says]

LIES: dict[str, Lie] = {
    "for another audience": lambda says: replace(says, audience="https://other.example.com/metadata"),
    "for no audience": lambda says: replace(says, audience=None),
    "sent to another recipient": lambda says: replace(says, recipient="https://other.example.com/acs"),
    "a recipient that contains ours": lambda says: replace(says, recipient=f"https://evil.example.com/?{says.acs}"),
    "to another destination": lambda says: replace(says, destination="https://other.example.com/acs"),
    "a destination that begins as ours": lambda says: replace(says, destination=f"{says.acs}-evil"),
    "of another issuer": lambda says: replace(says, issuer="https://evil.example.com/saml"),
    "expired": lambda says: replace(says, begins=-2_000, ends=-1_000),
    "not valid yet": lambda says: replace(says, begins=1_000, ends=2_000),
    "whose confirmation expired": lambda says: replace(says, confirmed_until=-10),
    "whose confirmation has no end": lambda says: replace(says, confirmed_until=None),
    "to another request": lambda says: replace(says, request="ONELOGIN_other"),
    "to another request inside": lambda says: replace(says, confirmed_request="ONELOGIN_other"),
    "unsolicited": lambda says: replace(says, request=None, confirmed_request=None),
    "unsolicited inside": lambda says: replace(says, confirmed_request=None),
    "that does not say it was solicited": lambda says: replace(says, request=None, confirmed_request=says.request),
    "confirmed by holder of key": lambda says: replace(says, method="urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"),
    "with a name that does not last": lambda says: replace(
        says, name_format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
    ),
    "with no name": lambda says: replace(says, subject=""),
    "that says no": lambda says: replace(says, status="urn:oasis:names:tc:SAML:2.0:status:Responder"),
}


WHY_LIES = {
    "for another audience": "is not a valid audience",
    "for no audience": "Audience",
    "sent to another recipient": "SubjectConfirmation was not found",
    "a recipient that contains ours": "InResponseTo or Recipient of the assertion",
    "to another destination": "instead of https://other.example.com/acs",
    "a destination that begins as ours": "Destination",
    "of another issuer": "Invalid issuer",
    "expired": "expired",
    "not valid yet": "not yet valid",
    "whose confirmation expired": "SubjectConfirmation was not found",
    "whose confirmation has no end": "NotOnOrAfter or NotBefore of the confirmation",
    "to another request": "does not match the ID",
    "to another request inside": "SubjectConfirmation was not found",
    "unsolicited": "InResponseTo or Recipient of the assertion",
    "unsolicited inside": "InResponseTo or Recipient of the assertion",
    "that does not say it was solicited": "InResponseTo of the response",
    "confirmed by holder of key": "SubjectConfirmation was not found",
    "with a name that does not last": "a NameID that does not last",
    "with no name": "empty NameID",
    "that says no": "was Responder",
}


@pytest.mark.parametrize("name", LIES)
def test_a_response_that_is_signed_and_not_for_this_signs_nobody_in(
    stage: SamlStage, surfer: Browser, name: str
) -> None:
    says, relay = stage.begin(surfer)

    why = stage.refusal(surfer, stage.idp.signed(LIES[name](says)), relay)

    assert WHY_LIES[name] in why


def test_a_response_is_taken_once(stage: SamlStage, surfer: Browser) -> None:
    says, relay = stage.begin(surfer)
    kept = dict(surfer.jar[stage.server.origin.removeprefix("http://")])
    response = stage.idp.signed(says)
    first = stage.post(surfer, response, relay)
    # The thief has the response and the browser's cookie of the attempt.
    thief = Browser()
    thief.jar[stage.server.origin.removeprefix("http://")] = kept

    second = stage.post(thief, response, relay)

    assert (first.status_code, second.status_code) == (303, 401)
    assert "used before" in second.text
    assert not stage.is_signed_in(thief)
    thief.close()


def test_an_assertion_is_taken_once_whatever_attempt_it_comes_to(stage: SamlStage, surfer: Browser) -> None:
    from sqlalchemy import func, select

    from accredit.storage.schema import used_once

    def kept() -> int:
        async def read() -> int:
            query = select(func.count()).select_from(used_once)
            return await stage.server.rooms.transactions.read(lambda c: int(c.execute(query).scalar_one()))

        return stage.server.call(read)

    before = kept()
    says, relay = stage.begin(surfer)
    stage.post(surfer, stage.idp.signed(replace(says, assertion_id="_twice")), relay)
    says, relay = stage.begin(surfer)

    again = stage.post(surfer, stage.idp.signed(replace(says, assertion_id="_twice")), relay)

    assert again.status_code == 401
    # The attempt and the assertion of the first; of the second nothing stays, since it was refused whole.
    assert kept() == before + 2


@pytest.mark.parametrize("whose", ["nobody's", "another browser's", "another attempt's"])
def test_a_response_counts_only_in_the_browser_that_asked(stage: SamlStage, surfer: Browser, whose: str) -> None:
    # Login CSRF: somebody posts a response of their own in a victim's browser.
    attacker = Browser()
    says, relay = stage.begin(attacker)
    if whose != "nobody's":
        stage.begin(surfer)
    if whose == "another attempt's":
        _, relay = stage.begin(surfer)

    answer = stage.post(surfer, stage.idp.signed(says), relay)

    assert answer.status_code == 401
    assert not stage.is_signed_in(surfer)
    attacker.close()


def test_a_changed_certificate_takes_effect_at_once(stage: SamlStage, surfer: Browser) -> None:
    says, relay = stage.begin(surfer)
    old = stage.idp
    stage.idp = IdentityProvider.make()
    stage.connect()

    answer = stage.post(surfer, old.signed(says), relay)

    assert answer.status_code == 401


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, stage: SamlStage) -> None:
    import sys

    one = stage.connect()
    monkeypatch.setitem(sys.modules, "accredit.federation.connectors.saml", None)

    with pytest.raises(ExtraMissing) as error:
        CONNECTORS["saml"](one.configuration, None, None)  # type: ignore[arg-type]  # it does not come that far

    assert "accredit[saml]" in error.value.next_step
