"""The forms of the page of consent, as a program sends them: what is refused, what is not looked at, where it leads."""

from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest

from accredit.console.acts import time_of, title_of
from accredit.console.pages.consent import form_target
from accredit.console.session import COOKIE, csrf_of
from tests.console.consenting import WEB, Scene, answer_of, form, open_scene
from tests.console.server import ConsoleServer
from tests.console.test_sign_in import get, post


@pytest.fixture
def scene(server: ConsoleServer) -> Iterator[Scene]:
    with open_scene(server) as opened:
        yield opened


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


def test_what_is_remembered_is_not_asked_again(scene: Scene) -> None:
    cookie = scene.sign_in()
    cookies = f"{COOKIE}={cookie}"
    more = {"scope": "erp:invoices.read", "redirect_uri": WEB}
    first = get(scene.server, f"/console/consent?request={scene.sealed(**more)}", Cookie=cookies)
    answer, _ = post(
        scene.server,
        "/console/consent",
        form(scene, scene.sealed(**more), cookie, remember="on"),
        Cookie=cookies,
        Sec_Fetch_Site="same-origin",
    )

    again = get(scene.server, f"/console/consent?request={scene.sealed(**more)}", Cookie=cookies)
    asked = get(scene.server, f"/console/consent?request={scene.sealed(**more, prompt='consent')}", Cookie=cookies)

    assert (first.status, answer.status, again.status, asked.status) == (200, 303, 303, 200)
    assert answer_of(again.getheader("Location", "")).keys() == {"code", "state", "iss"}
    assert scene.delegations() == 1


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
