"""The proof panel: it checks in the reader's browser, and says so when one byte is not what was logged."""

import base64
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Page, Route, expect

from accredit.audit.checkpoint import ED25519, VerifierKey, parse_vkey
from tests.console.story import Story

Given = dict[str, str]


@pytest.fixture
def signed_in(story: Story, page: Page) -> Page:
    page.goto(story.server.link())
    page.wait_for_url("**/console")
    return page


def tamper(page: Page, pattern: str, change: Callable[[Given], None]) -> None:
    """Let the server's JSON arrive changed."""

    def handle(route: Route) -> None:
        answer = route.fetch()
        given = answer.json()
        change(given)
        route.fulfill(response=answer, body=json.dumps(given))

    page.route(pattern, handle)


def flip(text: str, place: int) -> str:
    """Base64 with one bit of one byte turned over."""
    raw = bytearray(base64.b64decode(text))
    raw[place] ^= 1
    return base64.b64encode(raw).decode()


def change_body(given: Given) -> None:
    given["body"] = flip(given["body"], 20)


def change_nonce(given: Given) -> None:
    given["nonce"] = flip(given["nonce"], 0)


def change_path(given: Given) -> None:
    lines = given["proof"].split("\n")
    lines[2] = flip(lines[2], 31)
    given["proof"] = "\n".join(lines)


def drop_a_hash(given: Given) -> None:
    lines = given["proof"].split("\n")
    del lines[2]
    given["proof"] = "\n".join(lines)


def change_index(given: Given) -> None:
    given["proof"] = given["proof"].replace("index ", "index 1", 1)


def change_root(given: Given) -> None:
    head, note = given["proof"].split("\n\n", 1)
    lines = note.split("\n")
    lines[2] = flip(lines[2], 0)
    given["proof"] = head + "\n\n" + "\n".join(lines)


def change_key(given: Given) -> None:
    name = parse_vkey(given["vkey"]).name
    given["vkey"] = VerifierKey(name, ED25519, Ed25519PrivateKey.generate().public_key().public_bytes_raw()).text()


def test_every_event_is_proved_in_the_browser(story: Story, signed_in: Page) -> None:
    for seq in range(story.refused + 1):
        signed_in.goto(f"{story.server.origin}/console/audit/{seq}")

        panel = signed_in.get_by_role("region", name="Proof")
        expect(panel.locator("[data-verdict]")).to_have_text("Proved in this browser.")
        expect(panel.locator("li.ok")).to_have_count(3)
        expect(panel).to_contain_text(f"Event {seq} is in it")
        expect(panel).to_contain_text("All 23 members are what this page shows")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_body, "the event is not in this tree"),
        (change_nonce, "the event is not in this tree"),
        (change_path, "the event is not in this tree"),
        (drop_a_hash, "the proof is too short"),
        (change_index, "the proof is of another event"),
        (change_root, "the checkpoint's signature is wrong"),
        (change_key, "the checkpoint has no signature by the log's key"),
    ],
)
def test_one_changed_byte_is_not_proved(
    story: Story, signed_in: Page, change: Callable[[Given], None], reason: str
) -> None:
    tamper(signed_in, "**/proof.json", change)

    signed_in.goto(f"{story.server.origin}/console/audit/{story.permitted}")

    panel = signed_in.get_by_role("region", name="Proof")
    expect(panel.locator("[data-verdict]")).to_have_text("Not proved.")
    expect(panel.locator("li.bad")).to_contain_text(f"Not proved: {reason}. Do not rely on this page")


@pytest.mark.parametrize(
    ("shown", "lie"), [(">ai-agent-readonly</code>", ">ai-agent-admin</code>"), (">permit</code>", ">deny</code>")]
)
def test_a_page_that_shows_another_text_than_the_event_is_not_proved(
    story: Story, signed_in: Page, shown: str, lie: str
) -> None:
    def handle(route: Route) -> None:
        answer = route.fetch()
        assert shown in answer.text()
        route.fulfill(response=answer, body=answer.text().replace(shown, lie))

    signed_in.route(f"**/console/audit/{story.permitted}", handle)

    signed_in.goto(f"{story.server.origin}/console/audit/{story.permitted}")

    expect(signed_in.locator("[data-verdict]")).to_have_text("Not proved.")
    expect(signed_in.locator("li.bad")).to_contain_text("this page shows another")


def test_another_key_than_this_browser_saw_before_is_shouted_at(story: Story, signed_in: Page) -> None:
    signed_in.goto(f"{story.server.origin}/console/audit/{story.permitted}")
    expect(signed_in.locator("[data-verdict]")).to_have_text("Proved in this browser.")
    signed_in.evaluate(
        """() => {
          const name = Object.keys(localStorage).find(key => key.startsWith("accredit-log "));
          const known = JSON.parse(localStorage.getItem(name));
          localStorage.setItem(name, JSON.stringify({ ...known, vkey: "another" }));
        }"""
    )

    signed_in.reload()

    expect(signed_in.locator("[data-verdict]")).to_have_text("Not proved.")
    expect(signed_in.locator("li.bad")).to_contain_text("not the one that this browser saw before")


def test_the_checkpoint_is_checked_in_the_browser(story: Story, signed_in: Page) -> None:
    signed_in.goto(f"{story.server.origin}/console/checkpoint")

    expect(signed_in.locator("[data-verdict]")).to_have_text("The signature holds.")
    expect(signed_in.get_by_role("region", name="Signatures")).to_contain_text("ML-DSA-44")


def test_a_changed_checkpoint_is_not_proved(story: Story, signed_in: Page) -> None:
    def grow(given: Given) -> None:
        origin, size, rest = given["checkpoint"].split("\n", 2)
        given["checkpoint"] = f"{origin}\n{int(size) + 1}\n{rest}"

    tamper(signed_in, "**/note.json", grow)

    signed_in.goto(f"{story.server.origin}/console/checkpoint")

    expect(signed_in.locator("li.bad")).to_contain_text("the checkpoint's signature is wrong")
