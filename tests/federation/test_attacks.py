"""What an attacker tries at the way back from a provider (RFC 9700 §4.4, §4.7, §4.11; OpenID Connect Core §16)."""

from urllib.parse import quote, urlencode

import pytest

from accredit.canonical import base64url
from accredit.federation.sign_on import ATTEMPT_SECONDS
from tests.federation.browsing import Browser, query_of
from tests.federation.stage import ATTEMPT, COOKIE, Stage, describe
from tests.rooms import ADMINISTRATOR

OTHER = """
kind = "oidc"
name = "other"
title = "Other"
issuer = "https://other.example.net"
client_id = "accredit"
client_authentication = "none"
"""


def callback(stage: Stage, parameters: dict[str, str], name: str = "acme") -> str:
    return f"{stage.origin}/console/sign-in/callback/{name}?{urlencode(parameters)}"


def test_rfc9700_4_7_a_callback_in_a_browser_that_did_not_begin_signs_nobody_in(stage: Stage, surfer: Browser) -> None:
    # Login CSRF: the attacker's own code, opened in the victim's browser, would make the victim act as the attacker.
    attacker = Browser()
    url = attacker.to_the_callback(stage.origin, "ben")
    events = len(stage.events())

    answer = surfer.get(url)

    assert answer.status_code == 401
    assert "did not begin a sign-on" in answer.text
    assert surfer.cookie(stage.origin, COOKIE) is None
    assert len(stage.events()) == events
    attacker.close()


def test_rfc9700_4_7_an_answer_to_another_attempt_signs_nobody_in(stage: Stage, surfer: Browser) -> None:
    attacker = Browser()
    url = attacker.to_the_callback(stage.origin, "ben")
    surfer.get(f"{stage.origin}/console/sign-in/with/acme")

    answer = surfer.get(url)

    assert answer.status_code == 401
    assert surfer.cookie(stage.origin, COOKIE) is None
    attacker.close()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"state": ""}, id="no state"),
        pytest.param({"state": "x" * 43}, id="another state"),
        pytest.param({"state": "ä"}, id="a state that is not ASCII"),
    ],
)
def test_rfc9700_4_7_the_state_is_compared(stage: Stage, surfer: Browser, change: dict[str, str]) -> None:
    parameters = query_of(surfer.to_the_callback(stage.origin, "ben"))

    answer = surfer.get(callback(stage, {**parameters, **change}))

    assert answer.status_code == 401
    assert surfer.cookie(stage.origin, COOKIE) is None


@pytest.mark.parametrize(
    "iss", [None, "", "https://evil.example.com", "ISSUER/"], ids=["none", "empty", "evil", "slash"]
)
@pytest.mark.parametrize("error", [False, True], ids=["code", "error"])
def test_rfc9700_4_4_the_issuer_of_an_answer_is_compared(
    stage: Stage, surfer: Browser, iss: str | None, error: bool
) -> None:
    parameters = query_of(surfer.to_the_callback(stage.origin, "ben"))
    assert parameters.pop("iss") == stage.provider.issuer
    if iss:
        parameters["iss"] = iss.replace("ISSUER", stage.provider.issuer)
    if error:
        parameters["error"] = parameters.pop("code")

    answer = surfer.get(callback(stage, parameters))

    # RFC 9207 §2.4: before the error is looked at, or shown.
    assert answer.status_code == 401
    assert "does not prove who you are" in answer.text


def test_rfc9700_4_4_an_answer_at_another_providers_address_signs_nobody_in(stage: Stage, surfer: Browser) -> None:
    async def add() -> object:
        return await stage.server.sign_on.providers.add(OTHER, "other", None, ADMINISTRATOR)

    stage.server.call(add)
    parameters = query_of(surfer.to_the_callback(stage.origin, "ben"))

    answer = surfer.get(callback(stage, parameters, "other"))

    assert answer.status_code == 401
    assert surfer.cookie(stage.origin, COOKIE) is None


def test_a_code_is_changed_once_and_an_answer_taken_once(stage: Stage, surfer: Browser) -> None:
    url = surfer.to_the_callback(stage.origin, "ben")
    kept = surfer.cookie(stage.origin, ATTEMPT)
    thief = Browser()
    thief.get(f"{stage.origin}/console/sign-in")
    assert surfer.get(url).status_code == 303

    thief.jar[stage.origin.removeprefix("http://")] = {ATTEMPT: str(kept)}
    again = thief.get(url)

    assert again.status_code == 401
    assert thief.cookie(stage.origin, COOKIE) is None
    thief.close()


def test_an_attempt_ends_after_ten_minutes(stage: Stage, surfer: Browser) -> None:
    url = surfer.to_the_callback(stage.origin, "ben")
    stage.server.clock.move(ATTEMPT_SECONDS)
    try:
        answer = surfer.get(url)
    finally:
        stage.server.clock.move(-ATTEMPT_SECONDS)

    assert answer.status_code == 401
    assert "too late" in answer.text


@pytest.mark.parametrize(
    "sealed",
    ["", "x", "ä", base64url(bytes(200)), "A" * 5_000, "flip"],
    ids=["empty", "short", "not ASCII", "of zeros", "long", "changed"],
)
def test_an_attempt_that_we_did_not_seal_is_none(stage: Stage, surfer: Browser, sealed: str) -> None:
    url = surfer.to_the_callback(stage.origin, "ben")
    own = surfer.cookie(stage.origin, ATTEMPT) or ""
    if sealed == "flip":
        sealed = own[:-8] + ("A" if own[-8] != "A" else "B") + own[-7:]
    surfer.jar[stage.origin.removeprefix("http://")] = {ATTEMPT: quote(sealed)}

    assert surfer.get(url).status_code == 401


def test_the_attempts_cookie_is_out_of_reach_and_says_nothing(stage: Stage, surfer: Browser) -> None:
    answer = surfer.get(f"{stage.origin}/console/sign-in/with/acme?return=/console/audit")

    [cookie] = answer.headers.get_list("set-cookie")
    asked = query_of(str(answer.headers["location"]))
    assert cookie.startswith(f"{ATTEMPT}=")
    for part in ("HttpOnly", "Secure", "Path=/", "SameSite=lax", "Max-Age=600"):
        assert part in cookie
    assert "Domain" not in cookie
    assert not any(asked[name] in cookie for name in ("state", "nonce", "code_challenge"))
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_session_fixation_a_planted_cookie_is_worth_nothing_after_the_sign_on(stage: Stage, surfer: Browser) -> None:
    attacker = Browser()
    attacker.sign_on(stage.origin, "ben")
    planted = str(attacker.cookie(stage.origin, COOKIE))
    surfer.jar[stage.origin.removeprefix("http://")] = {COOKIE: planted}

    surfer.sign_on(stage.origin, "ana")

    assert surfer.cookie(stage.origin, COOKIE) not in (None, planted)
    assert stage.session(surfer).person.email == "ana@example.com"
    # The session that stood in this browser before has ended.
    assert attacker.get(f"{stage.origin}/console/account").status_code == 303
    attacker.close()


RETURNS = [
    "//evil.example.com",
    "/\\evil.example.com",
    "\\\\evil.example.com",
    "https://evil.example.com",
    "https:evil.example.com",
    "javascript:alert(1)",
    "/console/../../evil",
    "/console/%2e%2e/evil",
    "/console/..%2fevil",
    "/console//evil.example.com",
    "/console/%5cevil",
    "/console@evil.example.com",
    "/consoleevil",
    "/oauth/authorize",
    "/console/a\r\nSet-Cookie: x=y",
    "/console/%0d%0aSet-Cookie:x",
    "/\t/evil.example.com",
    " //evil.example.com",
    "%2f%2fevil.example.com",
    "/console/sign-in/with/acme",
]


@pytest.mark.parametrize("back", RETURNS)
def test_rfc9700_4_11_the_way_back_leads_to_no_other_place(stage: Stage, surfer: Browser, back: str) -> None:
    answer = surfer.sign_on(stage.origin, "ben", back=quote(back, safe=""))

    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    assert "set-cookie: x" not in str(answer.headers).lower()


def test_a_way_back_that_fits_into_no_cookie_is_refused_before_anybody_signs_in(stage: Stage, surfer: Browser) -> None:
    long = "/console/consent?request=" + "a" * 2_300
    assert surfer.sign_on(stage.origin, "ben", back=quote(long, safe="")).headers["location"] == long

    too_long = surfer.get(f"{stage.origin}/console/sign-in/with/acme?return={quote(long + 'a' * 200, safe='')}")

    assert too_long.status_code == 400


@pytest.mark.parametrize("place", ["image", "iframe", "script", "object"])
def test_another_sites_page_cannot_begin_a_sign_in_inside_itself(stage: Stage, surfer: Browser, place: str) -> None:
    answer = surfer.get(f"{stage.origin}/console/sign-in/with/acme", Sec_Fetch_Dest=place, Sec_Fetch_Site="cross-site")

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "query",
    ["", "code=a&code=b", "state=%ff", "code", "&".join(f"a{n}=1" for n in range(100)), "state=a%00"],
    ids=["empty", "doubled", "not UTF-8", "no value", "too many", "NUL"],
)
def test_a_malformed_answer_is_refused(stage: Stage, surfer: Browser, query: str) -> None:
    surfer.get(f"{stage.origin}/console/sign-in/with/acme")

    answer = surfer.get(f"{stage.origin}/console/sign-in/callback/acme?{query}")

    assert answer.status_code in (400, 401)
    assert surfer.cookie(stage.origin, COOKIE) is None


@pytest.mark.parametrize(
    "path", ["with/nobody", "callback/nobody", "leave/nobody", "saml/nobody/metadata", "with/%2e%2e"]
)
def test_a_provider_that_is_not_there_is_no_page(stage: Stage, surfer: Browser, path: str) -> None:
    assert surfer.get(f"{stage.origin}/console/sign-in/{path}").status_code in (303, 404)


def test_what_the_provider_says_of_an_error_is_not_shown(stage: Stage, surfer: Browser) -> None:
    parameters = query_of(surfer.to_the_callback(stage.origin, "ben"))
    del parameters["code"]
    said = {"error": "access_denied", "error_description": "<b>call 555-1234</b>"}

    answer = surfer.get(callback(stage, {**parameters, **said}))

    assert answer.status_code == 401
    assert "555-1234" not in answer.text


def test_a_form_of_another_site_finds_no_provider(stage: Stage, surfer: Browser) -> None:
    form = {"email": "ana@example.com"}

    answer = surfer.post(f"{stage.origin}/console/sign-in/find", form, Sec_Fetch_Site="cross-site")

    assert answer.status_code == 403


def test_a_removed_provider_signs_nobody_on(stage: Stage, surfer: Browser) -> None:
    url = surfer.to_the_callback(stage.origin, "ben")

    async def remove() -> None:
        await stage.server.sign_on.providers.remove("acme", ADMINISTRATOR)

    stage.server.call(remove)
    answer = surfer.get(url)
    stage.connect()

    assert answer.status_code == 404
    assert surfer.cookie(stage.origin, COOKIE) is None
    assert describe(stage.provider.issuer)
