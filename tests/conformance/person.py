"""A person with a browser that has no screen: signs in by a link, opens pages, and sends the forms that stand there.

Every request is a real one, with the session's cookie; what a form posts is read from the page that was answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx2

from tests.server.running import Running

COOKIE = "__Host-accredit"
_REDIRECTS = 10


@dataclass(slots=True)
class Form:
    """A form as a browser would send it: the fields that are filled, and the buttons by their values."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Page:
    """A page that was answered with 200, or whatever else was the end of the way."""

    url: str
    status: int
    text: str
    forms: list[Form]

    @property
    def path(self) -> str:
        """The path of the page."""
        return urlsplit(self.url).path

    def form(self, action: str) -> Form:
        """The one form that goes to a path."""
        found = [one for one in self.forms if one.action.partition("?")[0] == action]
        assert found, f"{self.url} ({self.status}) has no form that goes to {action}: {self.text}"
        return found[0]


class _Reader(HTMLParser):
    """Forms with their inputs, selects and buttons."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
            return
        if not self.forms:
            return
        form, name = self.forms[-1], given.get("name", "")
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select and (self._select not in form.fields or "selected" in given):
            form.fields[self._select] = given.get("value", "")
        elif tag == "button" and name:
            form.buttons[given.get("value", "")] = name
        elif tag == "input" and name and "disabled" not in given:
            if given.get("type") in ("checkbox", "radio"):
                if "checked" in given:
                    form.fields[name] = given.get("value", "on")
            else:
                form.fields[name] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""


class Person:
    """Somebody who is signed in at a server."""

    def __init__(self, server: Running, cookie: str) -> None:
        self._server = server
        self._cookie = cookie

    def open(self, url: str) -> Page:
        """Open a page of the server, following redirects that stay there; one that leads away is the page."""
        return self._follow("GET", urljoin(self._server.issuer, url), None)

    def send(self, form: Form, answer: str = "", **changed: str | None) -> Page:
        """Press the button of this value. `changed`: fields with other values; None takes one away."""
        fields = {**form.fields, **{name: value for name, value in changed.items() if value is not None}}
        sent = {name: value for name, value in fields.items() if changed.get(name, "") is not None}
        if answer:
            sent[form.buttons[answer]] = answer
        return self._follow("POST", urljoin(self._server.issuer, form.action), sent)

    def allow(self, authorization_url: str, *, without: tuple[str, ...] = (), **changed: str | None) -> str:
        """Agree to what a client asks for, but for the scopes `without`; the URL that the browser is sent to."""
        page = self.open(authorization_url)
        if not page.url.startswith(self._server.issuer):
            return page.url
        unticked = {f"scope.{scope}": None for scope in without}
        return self.send(page.form("/console/consent"), "allow", **{**unticked, **changed}).url

    def refuse(self, authorization_url: str) -> str:
        """Say no; the URL that the browser is sent to."""
        return self.send(self.open(authorization_url).form("/console/consent"), "refuse").url

    def _follow(self, method: str, url: str, form: Mapping[str, str] | None) -> Page:
        for _ in range(_REDIRECTS):
            answer = self._ask(method, url, form)
            if not answer.is_redirect:
                reader = _Reader()
                reader.feed(answer.text)
                return Page(url, answer.status_code, answer.text, reader.forms)
            url, method, form = urljoin(url, answer.headers["location"]), "GET", None
            if not url.startswith(f"{self._server.issuer}/"):
                return Page(url, answer.status_code, "", [])
        raise AssertionError(f"redirected without end, to {url}")

    def _ask(self, method: str, url: str, form: Mapping[str, str] | None) -> httpx2.Response:
        headers = {"cookie": f"{COOKIE}={self._cookie}"}
        if form is not None:
            headers |= {"origin": self._server.issuer, "sec-fetch-site": "same-origin"}
        return httpx2.request(method, url, data=form, headers=headers, timeout=30, trust_env=False)


def sign_in(server: Running, email: str | None = None) -> Person:
    """By a one-time link: the administrator, or the person of this address."""
    link: str = server.api("POST", "/api/v1/sign-in-links", {} if email is None else {"email": email})["url"]
    page, _, token = link.partition("#")
    answer = httpx2.post(
        page,
        data={"token": token},
        headers={"origin": server.issuer, "sec-fetch-site": "same-origin"},
        timeout=30,
        trust_env=False,
    )
    assert answer.status_code == 303, answer.text
    name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
    assert name == COOKIE
    return Person(server, value)
