"""Signing out for a client, and clients that hear of a session's end (OpenID Connect RP-Initiated and Back-Channel)."""

import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import select

from accredit.ids import new_id
from accredit.oauth.backchannel_logout import GIVE_UP_SECONDS, tell_clients
from accredit.oauth.logout import Logout, open_logout
from accredit.people.model import Session
from accredit.people.sessions import SESSION_SECONDS, Sessions
from accredit.storage.forget import forget
from accredit.storage.schema import outbox, session_clients
from tests.oauth.asking import Asking, Receiver, receiving, with_asking
from tests.oauth.authorizing import READ
from tests.oauth.endpoint import ISSUER
from tests.rooms import ADMINISTRATOR
from tests.server.running import free_port

BYE = "https://desk.example/bye"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


# --- RP-initiated ---


async def leave(one: Asking, method: str = "GET", **form: str) -> httpx2.Response:
    if method == "GET":
        return await one.endpoint.client.get("/oauth/logout", params=form)
    return await one.endpoint.client.post("/oauth/logout", data=form)


async def leaver(one: Asking, name: str = "leaver", **members: object) -> Asking:
    return await one.other(name, post_logout_redirect_uris=[BYE, f"{BYE}?from=accredit"], **members)


def destination_of(one: Asking, answer: httpx2.Response) -> str | None:
    """Where the console would send the browser, after asking."""
    assert answer.status_code == 303, answer.text
    location = urlsplit(answer.headers["location"])
    assert (location.scheme, location.netloc, location.path) == ("", "", "/console/sign-out")
    [sealed] = parse_qs(location.query)["after"]
    assert BYE not in sealed
    return logout_of(one).destination(sealed)


def logout_of(one: Asking) -> Logout:
    return open_logout(one.endpoint.oauth)


async def id_token_of(one: Asking, **form: str) -> str:
    asked = await one.device(scope=f"openid {READ}", **form)
    await one.allow_device(asked)
    token: str = (await one.poll_device(asked["device_code"])).json()["id_token"]
    return token


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_names_itself_leads_to_a_registered_address(tmp_path: Path, method: str) -> None:
    async def act(one: Asking) -> None:
        client = await leaver(one)
        given = {"client_id": client.client.client_id, "post_logout_redirect_uri": BYE}

        assert destination_of(one, await leave(one, method, **given)) == BYE
        assert destination_of(one, await leave(one, method, **given, state="a b&c")) == f"{BYE}?state=a+b%26c"
        given["post_logout_redirect_uri"] = f"{BYE}?from=accredit"
        with_query = destination_of(one, await leave(one, method, **given, state="s"))
        assert with_query == f"{BYE}?from=accredit&state=s"

    with_asking(tmp_path, act)


def test_an_id_token_names_the_client_even_when_it_is_old(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        client = await leaver(one)
        hint = await id_token_of(client)
        one.move(86_400 * 5)

        answer = await leave(one, id_token_hint=hint, post_logout_redirect_uri=BYE)

        assert destination_of(one, answer) == BYE

    with_asking(tmp_path, act)


def test_nothing_asked_for_is_the_page_alone(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        answer = await leave(one)

        assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-out")

    with_asking(tmp_path, act)


def test_the_request_itself_ends_nothing(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        client = await leaver(one)
        hint = await id_token_of(client)
        before = await one.event_types()

        await leave(one, id_token_hint=hint, post_logout_redirect_uri=BYE)

        assert await one.event_types() == before
        assert one.session.id in [each.id for each in await one.authorizing.sessions.list(one.person)]

    with_asking(tmp_path, act)


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("https://evil.example/bye", id="another host"),
        pytest.param("https://desk.example/bye/", id="a slash more"),
        pytest.param("https://desk.example/bye?x=1", id="a query"),
        pytest.param("https://desk.example/bye#x", id="a fragment"),
        pytest.param("https://desk.example/bye/../evil", id="dots"),
        pytest.param("https://desk.example:443/bye", id="a port"),
        pytest.param("https://desk.example@evil.example/bye", id="user information"),
        pytest.param("https://desk.example.evil.example/bye", id="a longer host"),
        pytest.param("HTTPS://desk.example/bye", id="capitals"),
        pytest.param("http://desk.example/bye", id="http"),
        pytest.param("//evil.example", id="no scheme"),
        pytest.param("javascript:alert(1)", id="script"),
        pytest.param("/console", id="a path"),
        pytest.param(" https://desk.example/bye", id="a space"),
        pytest.param("https://desk.example/bye\r\nx: y", id="a line end"),
    ],
)
def test_an_address_that_is_not_registered_is_refused_and_gone_to_by_nobody(tmp_path: Path, uri: str) -> None:
    """Open redirects (RFC 9700 §4.11)."""

    async def act(one: Asking) -> None:
        client = await leaver(one)

        for method in ("GET", "POST"):
            answer = await leave(one, method, client_id=client.client.client_id, post_logout_redirect_uri=uri)

            assert answer.status_code == 400
            assert "location" not in answer.headers
            assert answer.headers["content-type"].startswith("text/html")
            assert "evil" not in answer.text
            assert "script-src" not in answer.headers["content-security-policy"]

    with_asking(tmp_path, act)


def test_an_address_of_another_client_of_no_client_or_of_an_ended_one_is_refused(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        client, other = await leaver(one), await one.other("other")
        hint, others_hint = await id_token_of(client), await id_token_of(other)
        forms = [
            {},
            {"client_id": other.client.client_id},
            {"client_id": "agt_01JD0000000000000000000000"},
            {"client_id": "https://none.example/client"},
            {"id_token_hint": others_hint},
            {"id_token_hint": others_hint, "client_id": client.client.client_id},
            {"id_token_hint": hint[:-4]},
            {"id_token_hint": "a.b.c", "client_id": client.client.client_id},
        ]

        answers = [await leave(one, post_logout_redirect_uri=BYE, **form) for form in forms]
        await one.endpoint.rooms.agents.suspend("leaver", ADMINISTRATOR)
        answers.append(await leave(one, post_logout_redirect_uri=BYE, client_id=client.client.client_id))

        assert [answer.status_code for answer in answers] == [400] * len(answers)
        assert all("location" not in answer.headers for answer in answers)

    with_asking(tmp_path, act)


def test_an_access_token_is_no_hint(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        client = await leaver(one)
        asked = await client.device()
        await client.allow_device(asked)
        token = (await client.poll_device(asked["device_code"])).json()["access_token"]

        assert (await leave(one, id_token_hint=token)).status_code == 400

    with_asking(tmp_path, act)


@pytest.mark.parametrize("state", ["s" * 513, "a\r\nb", "\u202e"], ids=["too long", "line end", "turned round"])
def test_a_state_that_hides_or_swells_is_refused(tmp_path: Path, state: str) -> None:
    async def act(one: Asking) -> None:
        client = await leaver(one)
        given = {"client_id": client.client.client_id, "post_logout_redirect_uri": BYE}

        assert (await leave(one, **given, state=state)).status_code == 400
        assert destination_of(one, await leave(one, **given, state="s" * 512)) == f"{BYE}?state={'s' * 512}"

    with_asking(tmp_path, act)


def test_what_is_said_twice_is_refused(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        client = await leaver(one)
        query = f"client_id={client.client.client_id}&post_logout_redirect_uri={BYE}&post_logout_redirect_uri={BYE}"

        assert (await one.endpoint.client.get(f"/oauth/logout?{query}")).status_code == 400

    with_asking(tmp_path, act)


def test_a_destination_is_ours_unchanged_and_fresh_or_none(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        client = await leaver(one)
        answer = await leave(one, client_id=client.client.client_id, post_logout_redirect_uri=BYE)
        [sealed] = parse_qs(urlsplit(answer.headers["location"]).query)["after"]
        logout = logout_of(one)
        code = await one.authorizing.sealed()
        assert logout.destination(sealed) == BYE

        for text in ("", "x", BYE, sealed[:-2], sealed[:-1] + ("A" if sealed[-1] != "A" else "B"), code, "é"):
            assert logout.destination(text) is None
        one.move(600)
        assert logout.destination(sealed) is None

    with_asking(tmp_path, act)


# --- back-channel ---


def sessions_of(one: Asking) -> Sessions:
    """As the server is wired: clients hear of each end."""
    rooms = one.endpoint.rooms
    tell = functools.partial(tell_clients, one.endpoint.oauth.outbox)
    return Sessions(rooms.transactions, rooms.clock, new_id, on_end=(tell,))


async def told(one: Asking, receiver: Receiver, name: str = "told", **members: object) -> Asking:
    """A client that got an ID token of the person's session and wants to hear of its end."""
    client = await one.other(name, backchannel_logout_uri=f"{receiver.origin}/{name}", **members)
    await id_token_of(client)
    return client


async def claims_of(one: Asking, body: str, algorithm: str = "ES256") -> tuple[dict[str, object], dict[str, object]]:
    """Header and claims of a logout token, checked by an independent library against the published keys."""
    [token] = parse_qs(body, strict_parsing=True)["logout_token"]
    jwks = (await one.endpoint.client.get("/.well-known/jwks.json")).json()
    read = jwt.decode(token, KeySet.import_key_set(jwks), algorithms=[algorithm])
    return dict(read.header), dict(read.claims)


async def by_sign_out(sessions: Sessions, session: Session) -> None:
    await sessions.end(session)


async def by_the_account_page(sessions: Sessions, session: Session) -> None:
    await sessions.end_by_id(session.person, session.id)


async def by_ending_all_others(sessions: Sessions, session: Session) -> None:
    this, _ = await sessions.start(session.person, authentication="passkey")
    await sessions.end_others(this)


async def by_ending_all(sessions: Sessions, session: Session) -> None:
    await sessions.end_all(session.person)


@pytest.mark.parametrize("end", [by_sign_out, by_the_account_page, by_ending_all_others, by_ending_all])
def test_a_client_hears_of_a_sessions_end_however_it_ends(
    tmp_path: Path, end: Callable[[Sessions, Session], Awaitable[None]]
) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            client = await told(one, receiver)
            await one.endpoint.oauth.outbox.deliver()
            assert receiver.received == []

            await end(sessions_of(one), one.session)
            await one.endpoint.oauth.outbox.deliver()
            await one.endpoint.oauth.outbox.deliver()

            [(path, headers, body)] = receiver.received
            header, claims = await claims_of(one, body)
            now = int(one.endpoint.rooms.clock.now)
            assert (path, headers["content-type"]) == ("/told", "application/x-www-form-urlencoded")
            assert header.keys() == {"alg", "typ", "kid"}
            assert header["typ"] == "logout+jwt"
            jti = claims.pop("jti")
            assert isinstance(jti, str)
            assert claims == {
                "iss": ISSUER,
                "aud": client.client.client_id,
                "sub": one.person.id,
                "sid": one.session.id,
                "iat": now,
                "exp": now + 120,
                "events": {EVENT: {}},
            }

    with_asking(tmp_path, act, private_hosts=("localhost",))


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])
def test_a_logout_token_is_signed_as_the_clients_id_tokens_are(tmp_path: Path, algorithm: str) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            await told(one, receiver, id_token_signed_response_alg=algorithm)
            await sessions_of(one).end(one.session)
            await one.endpoint.oauth.outbox.deliver()

            header, _ = await claims_of(one, receiver.received[0][2], algorithm)
            assert header["alg"] == algorithm

    with_asking(tmp_path, act, private_hosts=("localhost",))


def test_each_client_of_the_session_hears_and_no_other(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            await told(one, receiver, "first")
            await told(one, receiver, "second")
            await one.other("never", backchannel_logout_uri=f"{receiver.origin}/never")
            silent = await one.other("silent")
            await id_token_of(silent)
            another = await one.authorizing.sign_in()
            mine, one.authorizing.session = one.session, another
            await told(one, receiver, "later")

            await sessions_of(one).end(mine)
            await one.endpoint.oauth.outbox.deliver()

            assert sorted(path for path, _, _ in receiver.received) == ["/first", "/second"]

    with_asking(tmp_path, act, private_hosts=("localhost",))


def test_a_client_of_the_authorization_code_hears_too(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            one.authorizing.desk = await one.authorizing.client("web", backchannel_logout_uri=f"{receiver.origin}/web")
            await one.authorizing.redeem(await one.authorizing.code(scope=f"openid {READ}"))

            await sessions_of(one).end(one.session)
            await one.endpoint.oauth.outbox.deliver()

            assert [path for path, _, _ in receiver.received] == ["/web"]

    with_asking(tmp_path, act, private_hosts=("localhost",))


@pytest.mark.parametrize("status", [400, 500, 302])
def test_a_logout_token_that_was_not_taken_is_sent_again_with_a_fresh_one(tmp_path: Path, status: int) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            receiver.statuses = [status, status]
            await told(one, receiver)
            await sessions_of(one).end(one.session)
            for wait in (0.0, 1.9, 0.1, 3.9, 0.1, 600.0):
                one.move(wait)
                await one.endpoint.oauth.outbox.deliver()

            assert len(receiver.received) == 3
            first, last = [
                (await claims_of(one, body))[1] for _, _, body in (receiver.received[0], receiver.received[2])
            ]
            assert first["jti"] != last["jti"]
            assert last["iat"] == first["iat"] + 6  # type: ignore[operator]

    with_asking(tmp_path, act, private_hosts=("localhost",))


def test_a_client_that_never_answers_is_given_up_after_an_hour(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            receiver.statuses = [500] * 100
            await told(one, receiver)
            await sessions_of(one).end(one.session)
            for _ in range(60):
                await one.endpoint.oauth.outbox.deliver()
                one.move(GIVE_UP_SECONDS / 50)

            tried = len(receiver.received)
            assert 10 < tried < 40
            assert await one.endpoint.rooms.transactions.read(lambda c: list(c.execute(select(outbox)))) == []

    with_asking(tmp_path, act, private_hosts=("localhost",))


def test_a_logout_token_goes_to_no_private_address_that_no_setting_names(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            await told(one, receiver)
            await sessions_of(one).end(one.session)
            await one.endpoint.oauth.outbox.deliver()

            assert receiver.received == []

    with_asking(tmp_path, act)


def test_an_end_that_happens_twice_is_told_once(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            await told(one, receiver)
            await sessions_of(one).end(one.session)
            await sessions_of(one).end(one.session)
            await one.endpoint.oauth.outbox.deliver()

            assert len(receiver.received) == 1

    with_asking(tmp_path, act, private_hosts=("localhost",))


def test_a_suspended_client_still_hears_of_the_end(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            await told(one, receiver)
            await one.endpoint.rooms.agents.suspend("told", ADMINISTRATOR)
            await sessions_of(one).end(one.session)
            await one.endpoint.oauth.outbox.deliver()

            assert len(receiver.received) == 1

    with_asking(tmp_path, act, private_hosts=("localhost",))


def test_who_was_told_of_a_session_is_forgotten_with_it(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        rooms = one.endpoint.rooms

        async def count() -> int:
            return len(await rooms.transactions.read(lambda c: list(c.execute(select(session_clients)))))

        await id_token_of(one)
        await forget(rooms.transactions, rooms.clock)
        assert await count() == 1
        one.move(SESSION_SECONDS)

        await forget(rooms.transactions, rooms.clock)

        assert await count() == 0

    with_asking(tmp_path, act)


def test_the_metadata_says_that_both_are_there(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        document = (await one.endpoint.client.get("/.well-known/openid-configuration")).json()

        assert document["end_session_endpoint"] == f"{ISSUER}/oauth/logout"
        assert document["backchannel_logout_supported"] is True
        assert document["backchannel_logout_session_supported"] is True
        assert document["userinfo_endpoint"] == f"{ISSUER}/oauth/userinfo"
        assert {"RS256", "ES256"} <= set(document["id_token_signing_alg_values_supported"])

    with_asking(tmp_path, act)
