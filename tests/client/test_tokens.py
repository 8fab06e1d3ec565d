"""Getting, caching and renewing tokens, alone and in a crowd."""

import asyncio
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import pytest

from accredit.client import (
    AuthorizationCode,
    ClientSecret,
    CredentialRefused,
    Denied,
    FileStore,
    MemoryStore,
    Misconfigured,
    NewClient,
    OAuth,
    PublicClient,
    Unavailable,
)
from tests.client.servers import Agrees, Reply, Seen, World


def test_a_token_is_used_again(here: World, secret: ClientSecret, http: httpx2.Client) -> None:
    auth = OAuth(here.url, secret)

    for _ in range(3):
        assert http.get(here.url, auth=auth).json() == {"token": "token-1"}


def test_a_token_that_is_about_to_expire_is_renewed_first(
    here: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    here.expires_in = 0
    auth = OAuth(here.url, secret)

    http.get(here.url, auth=auth)
    http.get(here.url, auth=auth)

    assert [seen.authorization for seen in here.resource.at("/mcp")] == ["Bearer token-1", "Bearer token-2"]


def test_a_token_that_was_ended_is_replaced_once(here: World, secret: ClientSecret, http: httpx2.Client) -> None:
    auth = OAuth(here.url, secret)
    http.get(here.url, auth=auth)
    here.valid.clear()

    assert http.get(here.url, auth=auth).json() == {"token": "token-2"}


def test_a_resource_that_accepts_no_token_is_not_asked_for_ever(
    here: World, secret: ClientSecret, http: httpx2.Client
) -> None:
    here.resource.routes["/mcp"] = here.challenge(error="invalid_token")

    with pytest.raises(CredentialRefused) as caught:
        http.get(here.url, auth=OAuth(here.url, secret))

    assert caught.value.code == "invalid_token"
    assert len(here.resource.at("/mcp")) == 2


def test_an_answer_of_the_resource_is_left_alone(here: World, secret: ClientSecret, http: httpx2.Client) -> None:
    here.resource.routes["/mcp"] = Reply(403, {"title": "no"})

    assert http.get(here.url, auth=OAuth(here.url, secret)).status_code == 403


def test_the_body_is_sent_again_with_the_token(here: World, http: httpx2.Client) -> None:
    auth = OAuth(here.url, ClientSecret("agt_1", "hush", issuer=None))

    http.post(here.url, json={"call": 1}, auth=auth)

    assert [seen.body for seen in here.resource.at("/mcp")] == [b'{"call":1}', b'{"call":1}']


def slow(here: World, seconds: float) -> None:
    quick = here.give_token

    def give(seen: Seen) -> Reply:
        threading.Event().wait(seconds)
        return quick(seen)

    here.issuer.routes["/token"] = give


def test_threads_share_one_token_request(here: World, secret: ClientSecret, http: httpx2.Client) -> None:
    slow(here, 0.2)
    auth = OAuth(here.url, secret)

    threads = [threading.Thread(target=lambda: http.get(here.url, auth=auth)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(here.tokens_asked) == 1
    assert len(here.resource.at("/mcp")) == 8


def test_tasks_and_threads_share_one_refresh(here: World) -> None:
    slow(here, 0.2)
    here.refresh, here.expires_in = True, 0
    auth = OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(Agrees()))
    first = auth.get_token()
    here.expires_in = 300

    async def crowd() -> None:
        async with httpx2.AsyncClient(timeout=10, trust_env=False) as http, anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(lambda: http.get(here.url, auth=auth))
            for _ in range(3):
                tasks.start_soon(anyio.to_thread.run_sync, auth.get_token)

    asyncio.run(crowd())

    assert first.access_token == "token-1"
    assert [form["grant_type"] for form in here.tokens_asked] == ["authorization_code", "refresh_token"]
    assert {seen.authorization for seen in here.resource.at("/mcp")} == {"Bearer token-2"}


def test_waiting_for_a_token_can_be_cancelled(here: World, secret: ClientSecret) -> None:
    slow(here, 1.0)
    auth = OAuth(here.url, secret)

    async def impatient() -> None:
        with anyio.move_on_after(0.2):
            await auth.aget_token()
        assert (await auth.aget_token()).access_token

    asyncio.run(impatient())


@pytest.mark.parametrize(
    ("method", "supported"),
    [("basic", ["client_secret_post", "client_secret_basic"]), ("post", ["client_secret_post"]), ("basic", None)],
    ids=["basic", "post", "unsaid"],
)
def test_the_secret_is_sent_as_the_server_wants_it(here: World, method: str, supported: list[str] | None) -> None:
    here.metadata["token_endpoint_auth_methods_supported"] = supported

    OAuth(here.url, ClientSecret("agt:1", "hush é&=", issuer=here.issuer.url)).get_token()

    (seen,) = here.issuer.at("/token")
    if method == "basic":
        assert seen.basic == "agt%3A1:hush+%C3%A9%26%3D"
        assert "client_secret" not in seen.form
    else:
        assert (seen.form["client_id"], seen.form["client_secret"]) == ("agt:1", "hush é&=")
        assert seen.authorization is None


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Reply(200, {"access_token": "a\r\nx-evil: 1", "token_type": "Bearer"}), Unavailable),
        (Reply(200, {"access_token": "a b", "token_type": "Bearer"}), Unavailable),
        (Reply(200, {"access_token": "", "token_type": "Bearer"}), Unavailable),
        (Reply(200, {"access_token": "abc", "token_type": "mac"}), Denied),
        (Reply(200, {"access_token": "abc", "token_type": "DPoP"}), Denied),
        (Reply(200, {"access_token": "abc", "token_type": "Bearer", "expires_in": -1}), Unavailable),
        (Reply(200, {"access_token": "abc", "token_type": "Bearer", "expires_in": "soon"}), Unavailable),
        (Reply(200, {"token_type": "Bearer"}), Unavailable),
        (Reply(200, raw=b"\xff\xfe"), Unavailable),
        (Reply(302, {}), Denied),
        (Reply(400, {"error": "invalid_scope"}), Denied),
        (Reply(401, {"error": "invalid_client"}), CredentialRefused),
        (Reply(400, raw=b"[]"), Denied),
        (Reply(500, raw=b"<html>"), Unavailable),
        (Reply(429, {}), Unavailable),
        (Reply(503, {"error": "temporarily_unavailable"}), Unavailable),
    ],
    ids=[
        "ends-the-header",
        "space",
        "empty",
        "mac",
        "dpop-unasked",
        "negative-lifetime",
        "words-for-lifetime",
        "no-token",
        "not-utf-8",
        "redirect",
        "invalid-scope",
        "invalid-client",
        "list",
        "server-error",
        "too-many",
        "unavailable",
    ],
)
def test_answers_of_the_token_endpoint(here: World, secret: ClientSecret, answer: Reply, kind: type[Exception]) -> None:
    here.issuer.routes["/token"] = answer

    with pytest.raises(kind) as caught:
        OAuth(here.url, secret).get_token()

    assert type(caught.value) is kind


def test_a_refusal_says_what_to_do_next_and_names_its_event(here: World, secret: ClientSecret) -> None:
    body = {"error": "unauthorized_client", "error_description": "No.", "next_step": "Ask Ana.", "event": 17}
    here.issuer.routes["/token"] = Reply(400, body)

    with pytest.raises(Denied) as caught:
        OAuth(here.url, secret).get_token()

    error = caught.value
    assert (error.code, error.explanation, error.next_step, error.event) == (
        "unauthorized_client",
        "No.",
        "Ask Ana.",
        17,
    )
    assert str(error) == "No. (unauthorized_client) - Ask Ana. [event 17]"


def test_nothing_secret_is_shown(here: World, secret: ClientSecret) -> None:
    here.refresh = True
    auth = OAuth(here.url, secret)

    shown = repr((auth, auth.get_token(), secret, NewClient("n", initial_access_token="hush")))

    assert "token-1" not in shown
    assert "refresh-1" not in shown
    assert "hush" not in shown


def test_nothing_secret_is_logged(
    here: World, secret: ClientSecret, http: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    here.refresh = True
    with caplog.at_level("DEBUG"):
        http.get(here.url, auth=OAuth(here.url, secret))
        http.get(here.url, auth=OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(Agrees())))

    assert caplog.text
    assert not any(word in caplog.text for word in ("token-1", "token-2", "refresh-", "hush", "YWd0XzE6aHVzaA"))


def test_when_to_try_again_is_told(here: World, secret: ClientSecret) -> None:
    here.issuer.routes["/token"] = Reply(429, {"error": "slow_down"}, {"retry-after": "7"})

    with pytest.raises(Unavailable) as caught:
        OAuth(here.url, secret).get_token()

    assert caught.value.retry_after_seconds == 7


def test_a_refused_secret_is_not_in_the_error(here: World, secret: ClientSecret) -> None:
    here.issuer.routes["/token"] = Reply(401, {"error": "invalid_client"})

    with pytest.raises(CredentialRefused) as caught:
        OAuth(here.url, secret).get_token()

    assert "hush" not in repr(caught.value) + str(caught.value)


def test_a_refresh_token_rotates_and_an_old_one_goes_on(here: World) -> None:
    here.refresh, here.expires_in = True, 0
    person = Agrees()
    auth = OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(person))

    auth.get_token()
    auth.get_token()
    here.refresh = False
    auth.get_token()
    auth.get_token()

    sent = [form.get("refresh_token") for form in here.tokens_asked]
    assert sent == [None, "refresh-1", "refresh-2", "refresh-2"]
    assert len(person.asked) == 1


def test_a_refresh_token_that_is_over_makes_the_person_be_asked_again(here: World) -> None:
    here.refresh, here.expires_in = True, 0
    person = Agrees()
    auth = OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(person))
    auth.get_token()
    give = here.give_token

    def over(seen: Seen) -> Reply:
        return Reply(400, {"error": "invalid_grant"}) if "refresh_token" in seen.form else give(seen)

    here.issuer.routes["/token"] = over

    assert auth.get_token().access_token == "token-2"
    assert len(person.asked) == 2


def test_a_known_client_that_is_refused_does_not_make_the_person_be_asked_again(here: World) -> None:
    here.refresh, here.expires_in = True, 0
    person = Agrees()
    auth = OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(person))
    auth.get_token()
    here.issuer.routes["/token"] = Reply(401, {"error": "invalid_client"})

    with pytest.raises(CredentialRefused):
        auth.get_token()

    assert len(person.asked) == 1


def test_a_refresh_that_names_no_scope_keeps_what_was_granted(here: World) -> None:
    here.refresh, here.expires_in, here.granted = True, 0, "crm:read"
    auth = OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(Agrees()), scope="crm:read crm:write")
    auth.get_token()
    here.granted = None

    assert auth.get_token().scope == ("crm:read",)


def test_a_server_that_is_down_does_not_make_the_person_be_asked_again(here: World) -> None:
    here.refresh, here.expires_in = True, 0
    person = Agrees()
    auth = OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(person))
    auth.get_token()
    here.issuer.routes["/token"] = Reply(503, {})

    with pytest.raises(Unavailable):
        auth.get_token()

    assert len(person.asked) == 1


def test_a_stored_token_outlives_the_process(here: World, http: httpx2.Client, tmp_path: Path) -> None:
    here.refresh = True
    person = Agrees()
    path = tmp_path / "tokens"

    for _ in range(2):
        grant = AuthorizationCode(person)
        auth = OAuth(here.url, NewClient("Notes"), grant=grant, store=FileStore(path))
        assert http.get(here.url, auth=auth).json() == {"token": "token-1"}

    assert path.stat().st_mode & 0o777 == 0o600
    assert len(person.asked) == 1
    assert len(here.issuer.at("/register")) == 1


def test_a_stored_token_that_was_ended_is_refreshed_without_the_person(here: World, http: httpx2.Client) -> None:
    here.refresh = True
    person, store = Agrees(), MemoryStore()
    http.get(here.url, auth=OAuth(here.url, NewClient("Notes"), grant=AuthorizationCode(person), store=store))
    here.valid.clear()

    auth = OAuth(here.url, NewClient("Notes"), grant=AuthorizationCode(person), store=store)

    assert http.get(here.url, auth=auth).json() == {"token": "token-2"}
    assert len(person.asked) == 1


def test_what_needs_no_person_is_not_stored(here: World, secret: ClientSecret, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "tokens")

    OAuth(here.url, secret, store=store).get_token()

    assert not (tmp_path / "tokens").exists()


def test_a_forgotten_token_is_gone(here: World, http: httpx2.Client) -> None:
    person, store = Agrees(), MemoryStore()
    auth = OAuth(here.url, NewClient("Notes"), grant=AuthorizationCode(person), store=store)
    http.get(here.url, auth=auth)

    auth.forget()

    assert http.get(here.url, auth=auth).json() == {"token": "token-2"}


def test_a_file_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes")

    with pytest.raises(Misconfigured):
        FileStore(path).save("key", "value")

    assert path.read_text() == "my notes"


def test_a_server_that_does_not_answer_is_told_apart(secret: ClientSecret, here: World) -> None:
    here.issuer.close()
    try:
        with pytest.raises(Unavailable):
            OAuth(here.url, secret).get_token()
    finally:
        here.issuer = type(here.issuer)()
