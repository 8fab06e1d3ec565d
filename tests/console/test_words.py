"""What is said of an event, of a name, of a day."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from accredit.audit.event import AuditEvent
from accredit.audit.reading import LoggedEvent, RemovedEvent
from accredit.clock import rfc3339
from accredit.console.figures import DAY_SECONDS, WINDOW, count
from accredit.console.rendering import Templates
from accredit.console.seal import seal_of
from accredit.console.view import Entry
from accredit.console.words import sentence, short, tag_of, visible
from accredit.ids import EventId

NOW = 1_800_000_000.0
TEMPLATES = Templates()
CONSOLE = Path(__file__).parents[2] / "src" / "accredit" / "console"


def an_event(kind: str, **members: object) -> AuditEvent:
    return AuditEvent(id=EventId("evt_1"), time=rfc3339(NOW), type=kind, **members)  # type: ignore[arg-type]


def logged(seq: int, kind: str, ago: float, **members: object) -> LoggedEvent:
    event = AuditEvent(id=EventId(f"evt_{seq}"), time=rfc3339(NOW - ago), type=kind, **members)  # type: ignore[arg-type]
    return LoggedEvent(seq, event, b"", b"")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (an_event("token.issued", agent_name="scout", system="crm"), "scout got a token for crm"),
        (an_event("token.refused"), "An unknown client was refused a token"),
        (
            an_event("call.decided", agent_name="scout", action="crm.x", system="crm", decision="permit"),
            "scout was permitted crm.x on crm",
        ),
        (an_event("call.decided", agent_name="scout", action="crm.x", decision="deny"), "scout was refused crm.x"),
        (
            an_event("call.decided", agent_name="scout", action="crm.x", decision="step_up"),
            "scout needs a person for crm.x",
        ),
        (
            an_event("call.finished", agent_name="scout", action="crm.x", outcome="upstream_down"),
            "The call of scout to crm.x ended: upstream down",
        ),
        (an_event("agent.suspended", agent="agt_1", agent_name="scout", person="per_1"), "scout was suspended by Ana"),
        (an_event("system.added", system="crm", person="per_1"), "crm was added by Ana"),
        (
            an_event("delegation.created", agent="agt_1", agent_name="scout", system="crm", person="per_1"),
            "Ana let scout act for them on crm",
        ),
        (an_event("person.roles_changed", person="per_1", resource="per_2"), "The roles of per_2 were changed by Ana"),
        (an_event("person.roles_changed", person="per_2", resource="per_1"), "The roles of Ana were changed by per_2"),
        (an_event("delegation.refused", agent_name="Desk", person="per_1"), "Ana did not let Desk act for them"),
        (an_event("delegation.ended", agent="agt_1", person="per_1"), "What Ana let agt_1 do ended"),
        (
            an_event("token_family.ended", agent="agt_1", agent_name="scout", person="per_1"),
            "The refresh tokens of scout for Ana were ended",
        ),
        (
            an_event("credential.added", agent="agt_1", agent_name="scout", person="per_2"),
            "Credential was added for scout by per_2",
        ),
        (an_event("session.started", person="per_1"), "Ana signed in to the console"),
        (an_event("person.signed_on", person="per_1", authentication="oidc:acme"), "Ana signed on at acme"),
        (an_event("session.refused"), "A sign-in to the console was refused"),
        (an_event("session.ended", person="per_1"), "Ana signed out of the console"),
        (an_event("sign_in_link.created", person="per_1"), "A one-time sign-in link was made for Ana"),
        (an_event("policy.applied", person="per_1"), "Policy was applied by Ana"),
        (an_event("something"), "Something"),
    ],
)
def test_an_event_is_told_in_a_sentence(event: AuditEvent, said: str) -> None:
    assert "".join(piece.text for piece in sentence(event, {"per_1": "Ana"})) == said


@pytest.mark.parametrize(
    ("members", "tag"),
    [
        ({"decision": "permit"}, ("permit", "Permitted")),
        ({"decision": "deny", "outcome": "ok"}, ("refuse", "Refused")),
        ({"decision": "step_up"}, ("step", "Needs a person")),
        ({"outcome": "ok"}, ("plain", "Done")),
        ({"outcome": "refused"}, ("refuse", "Refused")),
        ({"outcome": "upstream_down"}, ("step", "Upstream down")),
        ({}, ("plain", "Recorded")),
    ],
)
def test_a_decision_or_an_outcome_is_a_word_in_a_colour(members: dict[str, str], tag: tuple[str, str]) -> None:
    assert tag_of(an_event("x", **members)) == tag


@settings(deadline=None)
@given(st.text())
def test_no_character_that_hides_or_turns_text_is_ever_shown(text: str) -> None:
    shown = visible(text)

    assert len(shown) == len(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", shown)
    assert visible(shown) == shown


def test_a_long_name_is_cut() -> None:
    assert short("a" * 81) == "a" * 79 + "…"


def test_the_browser_hides_the_same_characters_as_the_server() -> None:
    script = (CONSOLE / "static" / "verify.js").read_text()
    in_script = re.search(r"string\.replace\(/\[(.*?)\]/g", script)
    assert in_script is not None
    hidden = re.compile(f"[{in_script[1]}]")

    assert [c for c in map(chr, range(0x11000)) if bool(hidden.match(c)) != (visible(c) != c)] == []


@settings(deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_a_seal_is_the_same_for_the_same_id_and_only_a_path(identity: str) -> None:
    seal = seal_of(identity)

    assert seal == seal_of(identity)
    assert re.fullmatch(r"M[0-9MLaz .-]+", seal.path)
    assert 0 <= seal.colour < 6


def test_two_agents_mostly_have_two_seals() -> None:
    seals = {seal_of(f"agt_{number}") for number in range(100)}

    assert len(seals) > 70


def test_the_figures_count_one_day() -> None:
    newest: list[Entry] = [
        logged(5, "call.decided", 1, decision="deny"),
        RemovedEvent(4, EventId("evt_4"), b""),
        logged(3, "call.decided", 60, decision="permit"),
        logged(2, "token.issued", 61, decision="permit"),
        logged(1, "token.refused", DAY_SECONDS - 1, decision="deny"),
        logged(0, "call.decided", DAY_SECONDS + 1, decision="deny"),
    ]

    figures = count(newest, NOW)

    assert figures.whole_day
    assert (figures.calls.number, figures.refused.number, figures.tokens.number) == (2, 2, 1)


def test_figures_of_a_busy_day_say_since_when_they_count() -> None:
    newest = [logged(WINDOW - number, "call.decided", number, decision="permit") for number in range(WINDOW)]

    figures = count(newest, NOW)

    assert not figures.whole_day
    assert figures.since == NOW - (WINDOW - 1)
    assert figures.calls.number == WINDOW


def test_no_template_switches_escaping_off() -> None:
    for template in (CONSOLE / "templates").iterdir():
        text = template.read_text()

        assert not re.search(r"\|\s*safe|autoescape|style=|\son[a-z]+=|<script(?! type=\"module\" src=)", text), (
            template
        )


def test_a_value_that_a_page_forgot_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        Templates().render("problem.html", {"asset": str})


@settings(deadline=None)
@given(st.text())
def test_whatever_is_said_is_escaped(text: str) -> None:
    class Said:
        explanation = text
        next_step = text
        event = None

    page = TEMPLATES.render("problem.html", {"asset": str, "error": Said})

    inside = page.split("<h1>")[1].split("</h1>")[0]
    assert "<" not in inside
    assert "&" not in inside.replace("&lt;", "").replace("&gt;", "").replace("&amp;", "").replace("&#34;", "").replace(
        "&#39;", ""
    )
