"""A walk over everything that one process serves: whoever proves nothing gets nothing.

The table of what is open to strangers is complete: a new address is refused to them, or entered here with a reason.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.routing import BaseRoute, Mount, Route

from accredit.app import Accredit
from accredit.installation import prepare, write_management
from accredit.settings import load_settings

OPEN = {
    # Documents that everybody may read, and that name nobody.
    "GET /.well-known/oauth-authorization-server": 200,
    "GET /.well-known/openid-configuration": 200,
    "GET /.well-known/oauth-protected-resource": 200,
    "GET /.well-known/oauth-protected-resource/1": 404,
    "GET /.well-known/jwks.json": 200,
    "GET /api/openapi.json": 200,
    "GET /audit/checkpoint": 200,
    "GET /audit/key": 200,
    "GET /audit/tile/1": 404,
    "GET /healthz": 200,
    "GET /readyz": 200,
    "GET /console/static/1/1": 404,
    "GET /oauth/status/1": 404,
    # No address of ours.
    "GET /oauth/authorize/": 404,
    # Where a person begins: nothing is told, written or issued there before they have signed in.
    "GET /oauth/authorize": 400,
    "POST /oauth/authorize": 400,
    "GET /oauth/logout": 303,
    "POST /oauth/logout": 303,
    "GET /console/sign-in": 200,
    "GET /console/consent": 400,
    # To sign in is to prove oneself: which provider an address leads to, and a challenge, are told to everybody alike.
    "POST /console/sign-in/find": 200,
    "POST /console/sign-in/passkey/options": 200,
    # A provider that nobody has set up.
    "GET /console/sign-in/with/1": 404,
    "GET /console/sign-in/callback/1": 404,
    "POST /console/sign-in/saml/1": 404,
    "GET /console/sign-in/saml/1/metadata": 404,
    "GET /console/sign-in/leave/1": 404,
}
_VARIABLE = re.compile(r"\{\w+(?::\w+)?\}")
_QUIET = {"HEAD", "OPTIONS"}
_SLASH_MORE = "/oauth/authorize/"


def addresses(routes: list[BaseRoute], before: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of every route; one without methods is asked with each."""
    for route in routes:
        if isinstance(route, Mount):
            yield from addresses(list(route.routes), before + route.path)
        elif isinstance(route, Route):
            path = _VARIABLE.sub("1", before + route.path)
            for method in sorted((route.methods or {"GET", "POST", "PUT", "DELETE"}) - _QUIET):
                yield method, path


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, httpx2.Response]:
    """What a stranger is answered at every address of a process, opened as the server opens it."""
    folder: Path = tmp_path_factory.mktemp("walk")
    settings = load_settings({"ACCREDIT_DATA": str(folder / "data"), "ACCREDIT_TOKEN_STATUS": "on"}, folder)
    prepare(settings)
    return asyncio.run(walk(Accredit(settings, write_management(settings))))


async def walk(app: Accredit) -> dict[str, httpx2.Response]:
    started, stopping = asyncio.Event(), asyncio.Event()
    messages: asyncio.Queue[Any] = asyncio.Queue()

    async def receive() -> Any:
        if started.is_set():
            await stopping.wait()
            return {"type": "lifespan.shutdown"}
        started.set()
        return {"type": "lifespan.startup"}

    serving = asyncio.create_task(app({"type": "lifespan"}, receive, messages.put))
    assert (await messages.get())["type"] == "lifespan.startup.complete"
    try:
        return await _ask(app)
    finally:
        stopping.set()
        await serving


async def _ask(app: Accredit) -> dict[str, httpx2.Response]:
    pages = app._pages.routes  # type: ignore[attr-defined]  # Starlette's, whose routes are what is served
    found = [*addresses(pages), *((method, path) for path in app._hot for method in ("GET", "POST"))]
    transport = httpx2.ASGITransport(app=app)
    given, own = {}, {"origin": "http://localhost:8400", "sec-fetch-site": "same-origin"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8400", headers=own) as client:
        for method, path in found:
            # As from our own pages: that it came from elsewhere is not why it is refused.
            form = {
                "token": "t",
                "grant_type": "client_credentials",
                "scope": "openid",
                "login_hint": "admin@localhost",
            }
            given[f"{method} {path}"] = await client.request(method, path, data=form if method == "POST" else None)
        given[f"GET {_SLASH_MORE}"] = await client.get(_SLASH_MORE, headers={"host": "evil.example"})
    return given


def _is_refused(answer: httpx2.Response) -> bool:
    """401, no such method, or the way to sign in."""
    if answer.status_code in (401, 405):
        return True
    return answer.status_code == 303 and answer.headers["location"].startswith("/console/sign-in")


def test_the_walk_comes_to_every_part_of_the_server(answers: dict[str, httpx2.Response]) -> None:
    parts: dict[str, Callable[[str], bool]] = {
        "/api/v1/": lambda path: "/api/v1/agents" in path,
        "/api/v1/self": lambda path: "/api/v1/self/delegations" in path,
        "/oauth/": lambda path: "/oauth/introspect" in path,
        "/console/": lambda path: "/console/delegations" in path,
        "/audit/": lambda path: "/audit/tile" in path,
    }

    assert len(answers) > 100
    for name, is_there in parts.items():
        assert any(is_there(address) for address in answers), name


def test_only_what_is_listed_answers_a_stranger(answers: dict[str, httpx2.Response]) -> None:
    let_in = {address: answer.status_code for address, answer in answers.items() if not _is_refused(answer)}

    assert let_in == OPEN


def test_no_answer_to_a_stranger_holds_a_secret_or_sets_a_session(answers: dict[str, httpx2.Response]) -> None:
    for address, answer in answers.items():
        shown = "" if address == "GET /api/openapi.json" else answer.text
        assert not re.search(r"client_secret\"|access_token\"|eyJ[A-Za-z0-9_-]{20}|agt_|per_", shown), address
        cookie = answer.headers.get("set-cookie", "")
        assert "__Host-accredit=" not in cookie or "Max-Age=0" in cookie, address


def test_an_address_with_a_slash_more_leads_to_no_host_that_the_request_names(
    answers: dict[str, httpx2.Response],
) -> None:
    answer = answers[f"GET {_SLASH_MORE}"]

    assert (answer.status_code, answer.headers.get("location")) == (404, None)


def test_nothing_that_could_be_kept_is_answered_by_the_endpoints_of_clients(
    answers: dict[str, httpx2.Response],
) -> None:
    for address, answer in answers.items():
        if " /oauth/" in address and "/status/" not in address and answer.status_code not in (404, 405):
            assert answer.headers.get("cache-control") == "no-store", address
