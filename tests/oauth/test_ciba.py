"""Client-Initiated Backchannel Authentication (OpenID CIBA Core 1.0): an agent asks a person, by poll and by ping."""

import json
from pathlib import Path

import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import ECKey
from sqlalchemy import select

from accredit.canonical import base64url
from accredit.delegations.consent import Choice
from accredit.errors import NotFound
from accredit.oauth.pending import CIBA_GRANT
from accredit.storage.schema import outbox, pending_authorizations
from accredit.storage.writer import Tx
from tests.oauth.asking import Asking, receiving, with_asking
from tests.oauth.authorizing import EMAIL, READ, WRITE
from tests.oauth.endpoint import CRM_RESOURCE, ISSUER
from tests.rooms import ADMINISTRATOR
from tests.server.running import free_port
from tests.statements import recorded_statements

TOKEN = "8d67dc78-7faa-4d41-aabd-67707b374255"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def test_an_agent_asks_the_person_says_yes_and_it_polls_its_tokens(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        answer = await one.ciba(binding_message="Invoice 20931")
        body = answer.json()
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert body.keys() == {"auth_req_id", "expires_in", "interval"}
        assert (body["expires_in"], body["interval"]) == (600, 5)
        assert (await one.poll(body["auth_req_id"])).json()["error"] == "authorization_pending"
        [waiting] = await one.waiting()
        assert (waiting.name, waiting.message) == ("speaker", "Invoice 20931")
        await one.allow(waiting.reference)
        one.move(5)

        tokens = await one.poll(body["auth_req_id"])

        given = tokens.json()
        assert tokens.status_code == 200
        assert given["scope"] == f"{READ} {WRITE} openid"
        caller = await one.endpoint.verifier.verify(given["access_token"], CRM_RESOURCE)
        assert (caller.subject, caller.agent.id) == (one.person.id, one.client.id)
        claims = one.endpoint.oauth.id_tokens.read(given["id_token"], audience=one.client.client_id)
        assert (claims.sub, claims.auth_time) == (one.person.id, int(one.session.auth_time))
        assert await one.waiting() == []

    with_asking(tmp_path, act)


def test_only_openid_asks_for_a_token_for_userinfo(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        auth_req_id = await one.ask(scope="openid email", resource="")
        await one.allow_newest()

        given = (await one.poll(auth_req_id)).json()

        userinfo = await one.endpoint.client.get(
            "/oauth/userinfo", headers={"Authorization": f"Bearer {given['access_token']}"}
        )
        assert given["scope"] == "openid email"
        assert userinfo.json() == {"sub": one.person.id, "email": EMAIL}

    with_asking(tmp_path, act)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        pytest.param({"scope": ""}, "invalid_scope", id="no scope"),
        pytest.param({"scope": READ}, "invalid_scope", id="without openid"),
        pytest.param({"login_hint": ""}, "invalid_request", id="no hint"),
        pytest.param({"id_token_hint": "x"}, "invalid_request", id="two hints"),
        pytest.param({"login_hint": "", "login_hint_token": "x"}, "invalid_request", id="a hint of a kind unknown"),
        pytest.param({"login_hint": "", "id_token_hint": "a.b.c"}, "invalid_request", id="an id token that is none"),
        pytest.param({"binding_message": "x" * 201}, "invalid_binding_message", id="a long message"),
        pytest.param({"binding_message": "two\nlines"}, "invalid_binding_message", id="a message of two lines"),
        pytest.param({"binding_message": "pay \u202e0001"}, "invalid_binding_message", id="a message turned round"),
        pytest.param({"requested_expiry": "0"}, "invalid_request", id="expiry of nothing"),
        pytest.param({"requested_expiry": "601"}, "invalid_request", id="a long expiry"),
        pytest.param({"requested_expiry": "-1"}, "invalid_request", id="a negative expiry"),
        pytest.param({"requested_expiry": "1e2"}, "invalid_request", id="an expiry in another form"),
        pytest.param({"requested_expiry": "9" * 5_000}, "invalid_request", id="an expiry of 5000 digits"),
        pytest.param({"requested_expiry": "\u0663"}, "invalid_request", id="an expiry in other digits"),
        pytest.param({"resource": "https://evil.example"}, "invalid_target", id="resource of somebody else"),
        pytest.param({"authorization_details": "{"}, "invalid_authorization_details", id="broken details"),
        pytest.param({"client_secret": "acs_wrong"}, "invalid_client", id="a wrong secret"),
    ],
)
def test_what_is_not_asked_rightly_is_refused_and_asks_nobody(tmp_path: Path, form: dict[str, str], error: str) -> None:
    """CIBA Core §13."""

    async def act(one: Asking) -> None:
        answer = await one.ciba(**form)

        assert (answer.status_code, answer.json()["error"]) == (401 if error == "invalid_client" else 400, error)
        assert await one.waiting() == []
        assert "delegation.requested" not in await one.event_types()

    with_asking(tmp_path, act)


def test_a_message_of_the_longest_length_is_taken(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        await one.ask(binding_message="ü" * 200)

        assert (await one.waiting())[0].message == "ü" * 200

    with_asking(tmp_path, act)


def test_a_client_that_did_not_register_for_it_and_a_public_one_may_not_ask(tmp_path: Path) -> None:
    """CIBA Core §7.1: the client authenticates."""

    async def act(one: Asking) -> None:
        without = await one.other("without", grant_types=["client_credentials"])
        public = await one.other("public", token_endpoint_auth_method="none")

        answers = [await without.ciba(), await public.ciba()]
        polled = await public.poll("A" * 43)

        assert [answer.json()["error"] for answer in answers] == ["unauthorized_client"] * 2
        assert polled.json()["error"] == "unauthorized_client"

    with_asking(tmp_path, act)


def test_a_person_who_is_not_there_looks_like_one_who_does_not_answer(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        known, unknown = await one.ciba(), await one.ciba(login_hint="nobody@example.com")
        first, second = known.json(), unknown.json()
        assert (known.status_code, unknown.status_code) == (200, 200)
        assert {**first, "auth_req_id": ""} == {**second, "auth_req_id": ""}
        assert len(first["auth_req_id"]) == len(second["auth_req_id"])
        answers = []
        for wait in (0, 1, 5, 600):
            one.move(wait)
            pair = [(await one.poll(each["auth_req_id"])).json() for each in (first, second)]
            for each in pair:
                each.pop("event", None)
            answers.append(pair)

        assert all(mine == theirs for mine, theirs in answers)
        errors = [mine["error"] for mine, _ in answers]
        assert errors == ["authorization_pending", "slow_down", "authorization_pending", "expired_token"]

    with_asking(tmp_path, act)


def test_a_person_who_is_not_there_costs_the_same_reads_and_writes(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        await one.ask()
        counts = []
        for email in (EMAIL, "nobody@example.com"):
            statements.clear()
            await one.ask(login_hint=email)
            counts.append([statement.split()[0] for statement in statements if "changes" not in statement])

        assert counts[0] == counts[1] != []

    with recorded_statements() as statements:
        with_asking(tmp_path, act)


def test_an_address_is_found_however_it_is_written(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        await one.ask(login_hint="  BEN@Example.com ")

        assert len(await one.waiting()) == 1

    with_asking(tmp_path, act)


def test_one_person_cannot_see_or_answer_what_is_asked_of_another(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        rooms = one.endpoint.rooms
        auth_req_id = await one.ask()
        [waiting] = await one.waiting()
        eve, _ = await rooms.transactions.change(
            lambda tx: rooms.people.ensure(tx, "eve@example.com", "Eve", ("administrator",))
        )
        hers, _ = await one.authorizing.sessions.start(eve, authentication="passkey")

        with pytest.raises(NotFound):
            await one.consents.show(waiting.reference, hers)
        with pytest.raises(NotFound):
            await one.consents.approve(waiting.reference, hers, Choice(scopes=frozenset({READ}), seconds=3_600))
        with pytest.raises(NotFound):
            await one.consents.refuse(waiting.reference, hers)

        assert await one.consents.waiting(hers) == []
        assert await one.consents.count(hers) == 0
        assert (await one.poll(auth_req_id)).json()["error"] == "authorization_pending"

    with_asking(tmp_path, act)


def test_a_request_for_nobody_is_answered_by_nobody(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        await one.ask(login_hint="nobody@example.com")
        [row] = await one.endpoint.rooms.transactions.read(
            lambda c: list(c.execute(select(pending_authorizations.c.key)).scalars())
        )
        with pytest.raises(NotFound):
            await one.allow(base64url(row))

    with_asking(tmp_path, act)


def test_an_id_token_of_the_person_names_them_even_when_it_is_old(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        auth_req_id = await one.ask()
        await one.allow_newest()
        id_token = (await one.poll(auth_req_id)).json()["id_token"]
        one.move(86_400 * 10)
        other = await one.other("other")

        of_another = await other.ciba(login_hint="", id_token_hint=id_token)
        own = await one.ciba(login_hint="", id_token_hint=id_token)

        assert of_another.json()["error"] == "invalid_request"
        assert own.status_code == 200
        assert len(await one.waiting()) == 1

    with_asking(tmp_path, act)


def test_an_access_token_is_no_hint(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        auth_req_id = await one.ask()
        await one.allow_newest()
        access_token = (await one.poll(auth_req_id)).json()["access_token"]

        assert (await one.ciba(login_hint="", id_token_hint=access_token)).json()["error"] == "invalid_request"

    with_asking(tmp_path, act)


def test_no_is_told_and_recorded(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        auth_req_id = await one.ask()
        [waiting] = await one.waiting()
        await one.consents.refuse(waiting.reference, one.session)

        answer = await one.poll(auth_req_id)

        assert (answer.status_code, answer.json()["error"]) == (400, "access_denied")
        assert (await one.event_types())[-2:] == ["delegation.refused", "token.refused"]
        with pytest.raises(NotFound):
            await one.allow(waiting.reference)

    with_asking(tmp_path, act)


def test_a_shorter_expiry_is_kept(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        answer = (await one.ciba(requested_expiry="30")).json()
        assert answer["expires_in"] == 30
        one.move(30)

        assert (await one.poll(answer["auth_req_id"])).json()["error"] == "expired_token"
        assert await one.waiting() == []

    with_asking(tmp_path, act)


def test_another_client_cannot_poll_and_a_second_use_ends_everything(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        other = await one.other("other")
        auth_req_id = await one.ask()
        await one.allow_newest()

        stolen = await other.poll(auth_req_id)
        first = await one.poll(auth_req_id)
        one.move(5)
        second = await one.poll(auth_req_id)

        assert stolen.json()["error"] == "invalid_grant"
        assert first.status_code == 200
        assert second.json()["error"] == "invalid_grant"
        assert await one.delegations() == 0

    with_asking(tmp_path, act)


def test_details_are_shown_and_carried(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        details = [
            {"type": "accredit_action", "system": "crm", "actions": ["crm.contacts.create"], "limits": {"count": 2}}
        ]
        auth_req_id = await one.ask(scope="openid", authorization_details=json.dumps(details))
        asked = await one.allow((await one.waiting())[0].reference)

        given = (await one.poll(auth_req_id)).json()

        assert [each.limits for each in asked.details] == [{"count": 2}]
        assert given["authorization_details"] == details
        assert given["scope"] == f"{WRITE} openid"

    with_asking(tmp_path, act)


def test_polling_is_no_event_and_yet_spends_the_assertion(tmp_path: Path) -> None:
    key = ECKey.generate_key("P-256", {"kid": "k1"})

    async def act(one: Asking) -> None:
        jwks = msgspec.json.encode({"keys": [key.as_dict(private=False)]}).decode()
        signer = await one.other("signer", token_endpoint_auth_method="private_key_jwt", jwks=json.loads(jwks))
        signer.secret = ""
        made = 0

        def assertion() -> dict[str, str]:
            nonlocal made
            made += 1
            now = one.endpoint.rooms.clock.seconds()
            claims = {
                "iss": signer.client.id,
                "sub": signer.client.id,
                "aud": ISSUER,
                "jti": f"j-{made}",
                "iat": now,
                "exp": now + 60,
            }
            text = jws.serialize_compact(
                {"alg": "ES256", "kid": "k1"}, msgspec.json.encode(claims), key, algorithms=["ES256"]
            )
            return {"client_assertion_type": ASSERTION, "client_assertion": text}

        asking = assertion()
        auth_req_id = await signer.ask(**asking)
        replayed = await signer.ciba(**asking)
        before = await one.event_types()
        polling = assertion()

        first = await signer.poll(auth_req_id, **polling)
        again = await signer.poll(auth_req_id, **polling)

        assert replayed.json()["error"] == "invalid_client"
        assert first.json()["error"] == "authorization_pending"
        assert again.json()["error"] == "invalid_client"
        assert await one.event_types() == [*before, "token.refused"]

    with_asking(tmp_path, act)


async def pinged(one: Asking, origin: str) -> Asking:
    return await one.other(
        "pinged",
        backchannel_token_delivery_mode="ping",
        backchannel_client_notification_endpoint=f"{origin}/ping",
    )


@pytest.mark.parametrize("says_yes", [True, False], ids=["yes", "no"])
def test_a_ping_tells_of_the_answer_with_the_clients_token_once_it_is_committed(tmp_path: Path, says_yes: bool) -> None:
    """CIBA Core §10.2."""

    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            client = await pinged(one, receiver.origin)
            auth_req_id = await client.ask(client_notification_token=TOKEN)
            [waiting] = await one.waiting()
            await one.endpoint.oauth.outbox.deliver()
            assert receiver.received == []

            if says_yes:
                await one.allow(waiting.reference)
            else:
                await one.consents.refuse(waiting.reference, one.session)
            assert receiver.received == []
            await one.endpoint.oauth.outbox.deliver()
            await one.endpoint.oauth.outbox.deliver()

            [(path, headers, body)] = receiver.received
            assert (path, headers["authorization"]) == ("/ping", f"Bearer {TOKEN}")
            assert headers["content-type"] == "application/json"
            assert json.loads(body) == {"auth_req_id": auth_req_id}
            polled = await client.poll(auth_req_id)
            assert polled.status_code == (200 if says_yes else 400)

    with_asking(tmp_path, act, private_hosts=("localhost",))


def test_an_answer_that_is_not_committed_pings_nobody(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            client = await pinged(one, receiver.origin)
            await client.ask(client_notification_token=TOKEN)
            [waiting] = await one.waiting()
            change = one.endpoint.rooms.transactions.change

            async def failing(run: object) -> object:
                def write(tx: Tx) -> None:
                    run(tx)  # type: ignore[operator]
                    raise RuntimeError("the machine stops here")

                return await change(write)

            one.endpoint.rooms.transactions.change = failing  # type: ignore[method-assign, assignment]
            with pytest.raises(RuntimeError):
                await one.allow(waiting.reference)
            one.endpoint.rooms.transactions.change = change  # type: ignore[method-assign]
            await one.endpoint.oauth.outbox.deliver()

            assert receiver.received == []
            assert await one.delegations() == 0
            assert len(await one.waiting()) == 1

    with_asking(tmp_path, act, private_hosts=("localhost",))


@pytest.mark.parametrize("status", [500, 503, 302])
def test_a_ping_that_failed_is_sent_again_and_no_redirect_is_followed(tmp_path: Path, status: int) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            receiver.statuses = [status]
            client = await pinged(one, receiver.origin)
            await client.ask(client_notification_token=TOKEN)
            await one.allow_newest()
            await one.endpoint.oauth.outbox.deliver()
            await one.endpoint.oauth.outbox.deliver()
            assert len(receiver.received) == 1
            one.move(2)

            await one.endpoint.oauth.outbox.deliver()

            assert len(receiver.received) == 2
            one.move(600)
            await one.endpoint.oauth.outbox.deliver()
            assert len(receiver.received) == 2

    with_asking(tmp_path, act, private_hosts=("localhost",))


def test_a_ping_goes_to_no_private_address_that_no_setting_names(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        async with receiving(free_port()) as receiver:
            client = await pinged(one, receiver.origin)
            auth_req_id = await client.ask(client_notification_token=TOKEN)
            await one.allow_newest()

            await one.endpoint.oauth.outbox.deliver()

            assert receiver.received == []
            # The client can still poll.
            assert (await client.poll(auth_req_id)).status_code == 200

    with_asking(tmp_path, act)


@pytest.mark.parametrize(
    "token", ["", "x" * 1_025, "two words", "line\nend", "ümlaut"], ids=["none", "long", "space", "line", "umlaut"]
)
def test_ping_mode_needs_a_token_that_fits_a_header(tmp_path: Path, token: str) -> None:
    async def act(one: Asking) -> None:
        client = await pinged(one, "https://client.example")

        answer = await client.ciba(client_notification_token=token)

        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")

    with_asking(tmp_path, act)


def test_the_database_holds_neither_the_token_nor_the_code_of_a_ping(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        client = await pinged(one, "https://client.example")
        auth_req_id = await client.ask(client_notification_token=TOKEN)
        rooms = one.endpoint.rooms

        async def everything() -> str:
            tables = (pending_authorizations, outbox)
            rows = await rooms.transactions.read(lambda c: [list(c.execute(select(table))) for table in tables])
            return repr(rows)

        waiting = await everything()
        await one.allow_newest()
        answered = await everything()

        assert "ciba_ping" in answered
        for text in (waiting, answered):
            assert TOKEN not in text
            assert auth_req_id not in text

    with_asking(tmp_path, act)


def test_a_poll_client_is_pinged_with_nothing_it_sends(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        await one.ask(client_notification_token=TOKEN)
        await one.allow_newest()

        assert await one.endpoint.rooms.transactions.read(lambda c: list(c.execute(select(outbox)))) == []

    with_asking(tmp_path, act)


def test_an_agent_that_was_suspended_meanwhile_asks_nothing(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        await one.ask()
        [waiting] = await one.waiting()
        await one.endpoint.rooms.agents.suspend("speaker", ADMINISTRATOR)

        assert await one.waiting() == []
        with pytest.raises(NotFound):
            await one.allow(waiting.reference)

    with_asking(tmp_path, act)


def test_a_list_is_short_however_much_an_agent_asks(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        for _ in range(52):
            await one.ask()

        assert len(await one.waiting()) == 50
        assert await one.consents.count(one.session) == 52

    with_asking(tmp_path, act)


def test_the_metadata_names_endpoint_modes_and_grant(tmp_path: Path) -> None:
    async def act(one: Asking) -> None:
        document = (await one.endpoint.client.get("/.well-known/openid-configuration")).json()

        assert document["backchannel_authentication_endpoint"] == f"{ISSUER}/oauth/backchannel_authentication"
        assert document["backchannel_token_delivery_modes_supported"] == ["poll", "ping"]
        assert document["backchannel_user_code_parameter_supported"] is False
        assert CIBA_GRANT in document["grant_types_supported"]

    with_asking(tmp_path, act)
