"""What the console says of an event: one sentence, and a tag for its decision.

A sentence is pieces, not text, so that a template can set each name apart: names are chosen by strangers.
"""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from accredit.audit.event import AuditEvent

HIDDEN_SIGN = "␦"

_NAME_LIMIT = 80
# Control, zero-width and direction characters: they hide text or turn it round. verify.js has the same list.
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


class Piece(NamedTuple):
    """A part of a sentence: our own `text`, somebody's `name`, or `code`."""

    kind: Literal["text", "name", "code"]
    text: str


class Tag(NamedTuple):
    """A word in a colour, with a sign: `permit`, `refuse`, `step` or `plain`."""

    kind: Literal["permit", "refuse", "step", "plain"]
    text: str


def visible(text: str) -> str:
    """The text with each character that hides or turns text shown as ␦."""
    return _HIDDEN.sub(HIDDEN_SIGN, text)


def short(text: str) -> str:
    """A name for a line: visible, and cut where it is too long."""
    text = visible(text)
    return text if len(text) <= _NAME_LIMIT else text[: _NAME_LIMIT - 1] + "…"


def tag_of(event: AuditEvent) -> Tag:
    """The decision of an event, or else its outcome."""
    match event.decision:
        case "permit":
            return Tag("permit", "Permitted")
        case "deny":
            return Tag("refuse", "Refused")
        case "step_up":
            return Tag("step", "Needs a person")
    match event.outcome:
        case None:
            return Tag("plain", "Recorded")
        case "ok":
            return Tag("plain", "Done")
        case "refused":
            return Tag("refuse", "Refused")
        case other:
            return Tag("step", visible(other).replace("_", " ").capitalize())


def why(event: AuditEvent) -> str:
    """The reason of an event in one line; for a permit, which policy gave it."""
    if event.reason:
        return visible(event.reason)
    return ", ".join(visible(policy) for policy in event.policies)


def sentence(event: AuditEvent, people: Mapping[str, str]) -> tuple[Piece, ...]:
    """What happened, in one sentence; `people` gives the names of those whose ids the event holds."""
    if event.type == "person.roles_changed":
        return tuple(_roles_changed(event, people))
    return tuple(_pieces(event, _agent(event), _person(event, people)))


def _roles_changed(event: AuditEvent, people: Mapping[str, str]) -> list[Piece]:
    whose = event.resource or "somebody"
    whom = Piece("name", short(people.get(whose, whose)))
    return [_text("The roles of "), whom, _text(" were changed by "), _person(event, people)]


def _pieces(event: AuditEvent, agent: Piece, person: Piece) -> list[Piece]:
    noun, _, _ = event.type.partition(".")
    match noun:
        case "token":
            got = " got a token" if event.type == "token.issued" else " was refused a token"
            return [agent, _text(got), *_system(event, " for ")]
        case "call" if event.type == "call.finished":
            ended = visible(event.outcome or "unknown").replace("_", " ")
            return [_text("The call of "), agent, _text(" to "), _action(event), _text(f" ended: {ended}")]
        case "call":
            verb = {"permit": " was permitted ", "step_up": " needs a person for "}.get(event.decision or "")
            return [agent, _text(verb or " was refused "), _action(event), *_system(event, " on ")]
        case "session":
            return _session(event, person)
        case "person" if event.type == "person.signed_on":
            return [
                person,
                _text(" signed on at "),
                Piece("name", short((event.authentication or "").partition(":")[2])),
            ]
        case "delegation" if event.type == "delegation.requested":
            whom = _text(" asked a person to act for them") if event.person is None else _text(" asked to act for ")
            return [agent, whom, *([] if event.person is None else [person]), *_system(event, " on ")]
        case "sign_in_link":
            return [_text("A one-time sign-in link was made for "), person]
        case _:
            return _change(event, agent, person)


def _session(event: AuditEvent, person: Piece) -> list[Piece]:
    match event.type:
        case "session.started":
            return [person, _text(" signed in to the console")]
        case "session.ended":
            return [person, _text(" signed out of the console")]
        case _:
            return [_text("A sign-in to the console was refused")]


def _delegation(event: AuditEvent, agent: Piece, person: Piece) -> list[Piece]:
    match event.type:
        case "delegation.created":
            return [person, _text(" let "), agent, _text(" act for them"), *_system(event, " on ")]
        case "delegation.refused":
            return [person, _text(" did not let "), agent, _text(" act for them"), *_system(event, " on ")]
        case "delegation.ended":
            return [_text("What "), person, _text(" let "), agent, _text(" do ended")]
        case _:
            return [_text("The refresh tokens of "), agent, _text(" for "), person, _text(" were ended")]


def _change(event: AuditEvent, agent: Piece, person: Piece) -> list[Piece]:
    noun, _, verb = event.type.partition(".")
    if noun in ("delegation", "token_family"):
        return _delegation(event, agent, person)
    subject: list[Piece] = [_text(noun.replace("_", " ").capitalize())]
    if noun == "agent" and event.agent:
        subject = [agent]
    elif noun == "system" and event.system:
        subject = [Piece("name", short(event.system))]
    done = [_text(f" was {verb.replace('_', ' ')}" if verb else "")]
    if noun == "credential" and event.agent:
        done.extend([_text(" for "), agent])
    if event.person and noun != "person":
        done.extend([_text(" by "), person])
    return [*subject, *done]


def _agent(event: AuditEvent) -> Piece:
    if name := event.agent_name or event.agent:
        return Piece("name", short(name))
    return _text("An unknown client")


def _person(event: AuditEvent, people: Mapping[str, str]) -> Piece:
    if event.person is None:
        return _text("somebody")
    return Piece("name", short(people.get(event.person, event.person)))


def _action(event: AuditEvent) -> Piece:
    return Piece("code", short(event.action)) if event.action else _text("an unknown action")


def _system(event: AuditEvent, before: str) -> list[Piece]:
    return [_text(before), Piece("name", short(event.system))] if event.system else []


def _text(text: str) -> Piece:
    return Piece("text", text)
