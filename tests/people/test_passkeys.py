"""A passkey signs its person in, at our origin only, once a challenge; all else is refused (Web Authentication §7)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from sqlalchemy import insert

from accredit.errors import Conflict, InputRefused, NotFound
from accredit.ids import new_id
from accredit.keys.seal import Sealer
from accredit.people.ceremonies import CEREMONY_SECONDS, PasskeyRefused
from accredit.people.model import Session
from accredit.people.passkeys import NAME_LIMIT, PASSKEYS_A_PERSON, LastPasskey, Passkeys, TooManyPasskeys
from accredit.people.sessions import Sessions
from accredit.storage import schema
from tests.people.authenticator import ORIGIN, Authenticator
from tests.people.log import events
from tests.rooms import Rooms, with_rooms

Change = Callable[[Authenticator], Authenticator]


class Stage:
    """The rooms, with passkeys at an origin."""

    def __init__(self, rooms: Rooms, issuer: str = ORIGIN) -> None:
        self.rooms = rooms
        self.sessions = Sessions(rooms.transactions, rooms.clock, new_id)
        self.passkeys = Passkeys(
            rooms.transactions, self.sessions, rooms.clock, new_id, Sealer(bytes(range(32))), issuer
        )

    async def session(self, email: str = "ana@example.com") -> Session:
        """A session of this person, by a link."""
        person, _ = await self.rooms.transactions.change(lambda tx: self.rooms.people.ensure(tx, email))
        return (await self.sessions.start(person, authentication="sign_in_link"))[0]

    async def add(self, session: Session, authenticator: Authenticator, name: str = "Laptop") -> None:
        """Register this authenticator."""
        ceremony = await self.passkeys.begin_adding(session)
        await self.passkeys.add(session, authenticator.create(ceremony.options), ceremony.sealed, name)

    async def sign_in(self, authenticator: Authenticator) -> Session:
        """Sign in with this authenticator."""
        ceremony = self.passkeys.begin_sign_in()
        return (await self.passkeys.sign_in(authenticator.get(ceremony.options), ceremony.sealed))[0]

    async def last_refusal(self) -> str | None:
        """Why the last sign-in was refused, as the log has it."""
        refused = [one.event for one in await events(self.rooms) if one.event.type == "session.refused"]
        return refused[-1].reason if refused else None


def on_stage(folder: Path, act: Callable[[Stage], Awaitable[None]], issuer: str = ORIGIN) -> None:
    with_rooms(folder, lambda rooms: act(Stage(rooms, issuer)))


ALGORITHMS: dict[str, Callable[[], Authenticator]] = {
    "ES256": Authenticator,
    "EdDSA": lambda: Authenticator(key=ed25519.Ed25519PrivateKey.generate(), algorithm=-8),
    "RS256": lambda: Authenticator(key=rsa.generate_private_key(65537, 2048), algorithm=-257),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_passkey_signs_in_its_person_without_a_name_typed(tmp_path: Path, algorithm: str) -> None:
    async def act(stage: Stage) -> None:
        session, authenticator = await stage.session(), ALGORITHMS[algorithm]()
        await stage.add(session, authenticator)

        signed_in = await stage.sign_in(authenticator)

        assert signed_in.person == session.person
        assert signed_in.id != session.id
        assert (signed_in.authentication, signed_in.acr) == ("passkey", "phr")
        assert "mfa" in signed_in.amr
        [kept] = await stage.passkeys.list(session.person)
        assert (kept.name, kept.last_used_at) == ("Laptop", stage.rooms.clock.now)
        told = [one.event for one in await events(stage.rooms)]
        assert [event.type for event in told[-3:]] == ["passkey.added", "session.started", "passkey.used"]
        assert {event.person for event in told[-3:]} == {session.person.id}
        assert (told[-1].resource, told[-1].session) == (kept.id, signed_in.id)

    on_stage(tmp_path, act)


def test_the_browser_is_asked_for_a_verified_person_a_findable_key_and_no_attestation(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session, authenticator = await stage.session(), Authenticator()
        await stage.add(session, authenticator)

        adding = json.loads((await stage.passkeys.begin_adding(session)).options)
        signing_in = json.loads(stage.passkeys.begin_sign_in().options)

        assert adding["authenticatorSelection"]["userVerification"] == "required"
        assert adding["authenticatorSelection"]["residentKey"] == "required"
        assert adding["attestation"] == "none"
        assert [one["alg"] for one in adding["pubKeyCredParams"]] == [-8, -7, -257]
        assert len(adding["excludeCredentials"]) == 1
        assert (adding["rp"]["id"], signing_in["rpId"]) == ("localhost", "localhost")
        assert signing_in["userVerification"] == "required"
        assert signing_in["allowCredentials"] == []

    on_stage(tmp_path, act)


def test_the_rp_id_is_the_issuers_host_and_the_origin_its_whole_address(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session = await stage.session()
        authenticator = Authenticator(origin="https://accredit.example.com", rp_id="accredit.example.com")
        await stage.add(session, authenticator)

        assert (await stage.sign_in(authenticator)).person == session.person

    on_stage(tmp_path, act, "https://accredit.example.com")


UNTRUE: dict[str, Change] = {
    "another origin": lambda a: replace(a, origin="http://localhost:9999"),
    "the origin over https": lambda a: replace(a, origin="https://localhost:8400"),
    "an origin that begins with ours": lambda a: replace(a, origin=ORIGIN + ".evil.example"),
    "another relying party": lambda a: replace(a, rp_id="evil.example"),
    "a parent as relying party": lambda a: replace(a, rp_id="host"),
    "a person who was not verified": lambda a: replace(a, verifies=False),
    "a person who was not there": lambda a: replace(a, present=False),
    "a frame of another origin": lambda a: replace(a, client_data={"crossOrigin": True}),
    "a frame at the top of another": lambda a: replace(a, client_data={"topOrigin": "https://evil.example"}),
    "another challenge": lambda a: replace(a, client_data={"challenge": "AAAA"}),
    "the other ceremony": lambda a: replace(a, client_data={"type": "payment.get"}),
}


@pytest.mark.parametrize("untruth", UNTRUE)
def test_a_sign_in_from_elsewhere_is_refused_and_recorded(tmp_path: Path, untruth: str) -> None:
    async def act(stage: Stage) -> None:
        session, authenticator = await stage.session(), Authenticator()
        await stage.add(session, authenticator)

        with pytest.raises(PasskeyRefused) as refused:
            await stage.sign_in(UNTRUE[untruth](authenticator))

        assert await stage.last_refusal() == "the passkey's answer does not hold"
        assert refused.value.event is not None
        assert len(await stage.sessions.list(session.person)) == 1

    on_stage(tmp_path, act)


@pytest.mark.parametrize("untruth", UNTRUE)
def test_a_passkey_from_elsewhere_is_not_added(tmp_path: Path, untruth: str) -> None:
    async def act(stage: Stage) -> None:
        session = await stage.session()

        with pytest.raises(PasskeyRefused):
            await stage.add(session, UNTRUE[untruth](Authenticator()))

        assert await stage.passkeys.list(session.person) == ()

    on_stage(tmp_path, act)


FORGED: dict[str, Change] = {
    "another key": lambda a: replace(a, key=ec.generate_private_key(ec.SECP256R1())),
    "another person's handle": lambda a: replace(a, user_handle=b"per_other"),
    "no handle": lambda a: replace(a, user_handle=None),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_assertion_is_refused(tmp_path: Path, forgery: str) -> None:
    async def act(stage: Stage) -> None:
        session, authenticator = await stage.session(), Authenticator()
        await stage.add(session, authenticator)

        with pytest.raises(PasskeyRefused):
            await stage.sign_in(FORGED[forgery](authenticator))

        assert await stage.last_refusal() == "the passkey's answer does not hold"

    on_stage(tmp_path, act)


def test_a_handle_of_another_person_here_does_not_sign_them_in(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        ana, ben = await stage.session(), await stage.session("ben@example.com")
        authenticator = Authenticator()
        await stage.add(ana, authenticator)

        with pytest.raises(PasskeyRefused):
            await stage.sign_in(replace(authenticator, user_handle=ben.person.id.encode()))

        assert len(await stage.sessions.list(ben.person)) == 1

    on_stage(tmp_path, act)


def test_an_unknown_passkey_is_refused_in_the_same_words(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session, authenticator = await stage.session(), Authenticator()
        await stage.add(session, authenticator)
        with pytest.raises(PasskeyRefused) as forged:
            await stage.sign_in(replace(authenticator, origin="http://localhost:1"))

        with pytest.raises(PasskeyRefused) as unknown:
            await stage.sign_in(Authenticator(user_handle=session.person.id.encode()))

        assert unknown.value.explanation == forged.value.explanation
        assert await stage.last_refusal() == "there is no such passkey"

    on_stage(tmp_path, act)


REFUSED_KEYS: dict[str, Callable[[], Authenticator]] = {
    "ES384": lambda: Authenticator(key=ec.generate_private_key(ec.SECP384R1()), algorithm=-35),
    "RS1": lambda: Authenticator(key=rsa.generate_private_key(65537, 2048), algorithm=-65535),
    "PS256": lambda: Authenticator(key=rsa.generate_private_key(65537, 2048), algorithm=-37),
    "an unknown algorithm": lambda: Authenticator(algorithm=-999),
    "attestation of a platform": lambda: Authenticator(format="android-safetynet"),
    "attestation of a chip": lambda: Authenticator(format="tpm"),
    "packed without a signature": lambda: Authenticator(format="packed"),
    "an id that is too long": lambda: Authenticator(credential_id=b"a" * 1024),
}


@pytest.mark.parametrize("key", REFUSED_KEYS)
def test_a_key_of_a_kind_that_was_not_asked_for_is_not_added(tmp_path: Path, key: str) -> None:
    async def act(stage: Stage) -> None:
        session = await stage.session()

        with pytest.raises(PasskeyRefused):
            await stage.add(session, REFUSED_KEYS[key]())

        assert await stage.passkeys.list(session.person) == ()

    on_stage(tmp_path, act)


def test_an_id_other_than_the_authenticators_own_is_refused(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session = await stage.session()
        ceremony = await stage.passkeys.begin_adding(session)
        answer = json.loads(Authenticator().create(ceremony.options))
        answer["id"] = answer["rawId"] = "AAAA"

        with pytest.raises(PasskeyRefused):
            await stage.passkeys.add(session, json.dumps(answer), ceremony.sealed, "Laptop")

    on_stage(tmp_path, act)


MALFORMED = {
    "nothing": "",
    "no JSON": "{",
    "a list": "[]",
    "a number": "1",
    "nested": "[" * 100_000,
    "no members": "{}",
    "numbers for texts": '{"id": 1, "rawId": 1, "type": "public-key", "response": {}}',
    "rubbish inside": json.dumps(
        {
            "id": "AAAA",
            "rawId": "AAAA",
            "type": "public-key",
            "response": {
                "clientDataJSON": "e30",
                "attestationObject": "oA",
                "authenticatorData": "AA",
                "signature": "AA",
                "userHandle": "!",
            },
        }
    ),
    "too long": json.dumps({"id": "A" * 20_000}),
}


@pytest.mark.parametrize("answer", MALFORMED)
def test_a_malformed_answer_is_refused(tmp_path: Path, answer: str) -> None:
    async def act(stage: Stage) -> None:
        session = await stage.session()
        adding, signing_in = await stage.passkeys.begin_adding(session), stage.passkeys.begin_sign_in()

        with pytest.raises(PasskeyRefused):
            await stage.passkeys.add(session, MALFORMED[answer], adding.sealed, "Laptop")
        with pytest.raises(PasskeyRefused):
            await stage.passkeys.sign_in(MALFORMED[answer], signing_in.sealed)

    on_stage(tmp_path, act)


def test_a_challenge_signs_in_once_even_when_two_use_it_at_once(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session, authenticator = await stage.session(), Authenticator()
        await stage.add(session, authenticator)
        ceremony = stage.passkeys.begin_sign_in()
        answer = authenticator.get(ceremony.options)

        answers = await asyncio.gather(
            *[stage.passkeys.sign_in(answer, ceremony.sealed) for _ in range(6)], return_exceptions=True
        )

        assert sum(isinstance(one, tuple) for one in answers) == 1
        assert sum(isinstance(one, PasskeyRefused) for one in answers) == 5
        assert await stage.last_refusal() == "this challenge was used before"
        assert len(await stage.sessions.list(session.person)) == 2

    on_stage(tmp_path, act)


def test_a_challenge_that_was_used_is_refused_after_a_restart(tmp_path: Path) -> None:
    kept: list[str] = []

    async def before(stage: Stage) -> None:
        session, authenticator = await stage.session(), Authenticator()
        await stage.add(session, authenticator)
        ceremony = stage.passkeys.begin_sign_in()
        kept.extend((authenticator.get(ceremony.options), ceremony.sealed))
        await stage.passkeys.sign_in(*kept)

    async def after(stage: Stage) -> None:
        with pytest.raises(PasskeyRefused):
            await stage.passkeys.sign_in(*kept)

    on_stage(tmp_path, before)
    on_stage(tmp_path, after)


def test_a_challenge_adds_one_passkey(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session = await stage.session()
        ceremony = await stage.passkeys.begin_adding(session)
        await stage.passkeys.add(session, Authenticator().create(ceremony.options), ceremony.sealed, "One")

        with pytest.raises(PasskeyRefused):
            await stage.passkeys.add(session, Authenticator().create(ceremony.options), ceremony.sealed, "Two")

        assert [one.name for one in await stage.passkeys.list(session.person)] == ["One"]

    on_stage(tmp_path, act)


@pytest.mark.parametrize(("age", "works"), [(CEREMONY_SECONDS - 1, True), (CEREMONY_SECONDS, False)])
def test_a_challenge_is_good_for_five_minutes(tmp_path: Path, age: int, works: bool) -> None:
    async def act(stage: Stage) -> None:
        session, authenticator = await stage.session(), Authenticator()
        await stage.add(session, authenticator)
        ceremony = stage.passkeys.begin_sign_in()
        stage.rooms.clock.move(age)
        answer = authenticator.get(ceremony.options)

        if works:
            await stage.passkeys.sign_in(answer, ceremony.sealed)
        else:
            with pytest.raises(PasskeyRefused):
                await stage.passkeys.sign_in(answer, ceremony.sealed)

    on_stage(tmp_path, act)


def test_a_challenge_serves_neither_another_session_nor_the_other_ceremony(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        ana, ben = await stage.session(), await stage.session("ben@example.com")
        authenticator = Authenticator()
        await stage.add(ana, authenticator)
        adding, signing_in = await stage.passkeys.begin_adding(ana), stage.passkeys.begin_sign_in()
        new = Authenticator().create(adding.options)

        with pytest.raises(PasskeyRefused):
            await stage.passkeys.add(ben, new, adding.sealed, "Laptop")
        with pytest.raises(PasskeyRefused):
            await stage.passkeys.add(ana, new, signing_in.sealed, "Laptop")
        with pytest.raises(PasskeyRefused):
            await stage.passkeys.sign_in(authenticator.get(adding.options), adding.sealed)

        assert await stage.passkeys.list(ben.person) == ()

    on_stage(tmp_path, act)


@pytest.mark.parametrize(
    "sealed",
    [
        pytest.param("", id="none"),
        pytest.param("A", id="not base64url"),
        pytest.param("AQ", id="a version alone"),
        pytest.param("A" * 120, id="zeros"),
        pytest.param("AQ" + "A" * 118, id="a version and zeros"),
        pytest.param("A" * 100_000, id="far too long"),
        pytest.param("\N{SNOWMAN}", id="not ASCII"),
    ],
)
def test_a_challenge_that_we_did_not_seal_is_refused(tmp_path: Path, sealed: str) -> None:
    async def act(stage: Stage) -> None:
        session, authenticator = await stage.session(), Authenticator()
        await stage.add(session, authenticator)
        answer = authenticator.get(stage.passkeys.begin_sign_in().options)

        with pytest.raises(PasskeyRefused):
            await stage.passkeys.sign_in(answer, sealed)

    on_stage(tmp_path, act)


@pytest.mark.parametrize("count", [7, 3, 0], ids=["the same", "less", "none any more"])
def test_a_counter_that_went_back_is_refused_and_recorded(tmp_path: Path, count: int) -> None:
    async def act(stage: Stage) -> None:
        session, authenticator = await stage.session(), Authenticator(count=6)
        await stage.add(session, authenticator)
        await stage.sign_in(authenticator)
        assert authenticator.count == 7

        with pytest.raises(PasskeyRefused):
            await stage.sign_in(replace(authenticator, count=max(count - 1, 0)))

        assert "counter went back" in (await stage.last_refusal() or "")
        [kept] = await stage.passkeys.list(session.person)
        assert kept.sign_count == 7

    on_stage(tmp_path, act)


def test_a_passkey_that_does_not_count_works_for_ever(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session, authenticator = await stage.session(), Authenticator()
        await stage.add(session, authenticator)

        for _ in range(3):
            await stage.sign_in(authenticator)

        [kept] = await stage.passkeys.list(session.person)
        assert kept.sign_count == 0

    on_stage(tmp_path, act)


def test_a_passkey_that_is_known_here_is_not_added_to_another_person(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        ana, ben = await stage.session(), await stage.session("ben@example.com")
        authenticator = Authenticator()
        await stage.add(ana, authenticator)

        with pytest.raises(Conflict):
            await stage.add(ben, authenticator)

        assert await stage.passkeys.list(ben.person) == ()
        assert len(await stage.passkeys.list(ana.person)) == 1

    on_stage(tmp_path, act)


def test_a_person_has_at_most_ten_passkeys_even_when_two_are_begun_together(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session = await stage.session()
        for n in range(PASSKEYS_A_PERSON - 1):
            await stage.add(session, Authenticator(), f"Key {n}")
        last, one_more = [await stage.passkeys.begin_adding(session) for _ in range(2)]
        await stage.passkeys.add(session, Authenticator().create(last.options), last.sealed, "The last")

        with pytest.raises(TooManyPasskeys):
            await stage.passkeys.add(session, Authenticator().create(one_more.options), one_more.sealed, "Too many")
        with pytest.raises(TooManyPasskeys):
            await stage.passkeys.begin_adding(session)

        assert len(await stage.passkeys.list(session.person)) == PASSKEYS_A_PERSON

    on_stage(tmp_path, act)


def test_somebody_elses_passkey_is_neither_renamed_nor_removed(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        ana, ben = await stage.session(), await stage.session("ben@example.com")
        await stage.add(ana, Authenticator(), "Ana's")
        [hers] = await stage.passkeys.list(ana.person)

        with pytest.raises(NotFound) as renaming:
            await stage.passkeys.rename(ben, hers.id, "Mine")
        with pytest.raises(NotFound) as removing:
            await stage.passkeys.remove(ben, hers.id)
        with pytest.raises(NotFound) as unknown:
            await stage.passkeys.remove(ben, "AAAA")

        assert await stage.passkeys.list(ana.person) == (hers,)
        assert {one.value.explanation for one in (renaming, removing, unknown)} == {"you have no such passkey"}

    on_stage(tmp_path, act)


def test_a_removed_passkey_signs_nobody_in(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session, old, new = await stage.session(), Authenticator(), Authenticator()
        await stage.add(session, old, "Old")
        await stage.add(session, new, "New")
        [first] = [one for one in await stage.passkeys.list(session.person) if one.name == "Old"]

        await stage.passkeys.remove(session, first.id)

        with pytest.raises(PasskeyRefused):
            await stage.sign_in(old)
        assert (await stage.sign_in(new)).person == session.person
        [removed] = [one.event for one in await events(stage.rooms) if one.event.type == "passkey.removed"]
        assert (removed.person, removed.resource) == (session.person.id, first.id)

    on_stage(tmp_path, act)


def test_the_last_passkey_stays_as_long_as_it_is_the_only_way_in(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session = await stage.session()
        await stage.add(session, Authenticator())
        [only] = await stage.passkeys.list(session.person)

        with pytest.raises(LastPasskey):
            await stage.passkeys.remove(session, only.id)

        assert await stage.passkeys.list(session.person) == (only,)

    on_stage(tmp_path, act)


def test_the_last_passkey_of_an_administrator_goes_for_their_link_stays(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        administrator = await stage.rooms.people.administrator()
        session, _ = await stage.sessions.start(administrator, authentication="sign_in_link")
        await stage.add(session, Authenticator())
        [only] = await stage.passkeys.list(administrator)

        await stage.passkeys.remove(session, only.id)

        assert await stage.passkeys.list(administrator) == ()

    on_stage(tmp_path, act)


def test_the_last_passkey_of_somebody_whom_a_provider_knows_goes(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session = await stage.session()
        await stage.add(session, Authenticator())
        [only] = await stage.passkeys.list(session.person)
        row = {"issuer": "https://idp.example", "subject": "1", "person": session.person.id, "created_at": 0.0}
        await stage.rooms.transactions.change(lambda tx: tx.connection.execute(insert(schema.identities).values(row)))

        await stage.passkeys.remove(session, only.id)

        assert await stage.passkeys.list(session.person) == ()

    on_stage(tmp_path, act)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("   ", id="space"),
        pytest.param("a" * (NAME_LIMIT + 1), id="too long"),
        pytest.param("a\x00b", id="a control character"),
        pytest.param("a\u202eb", id="a turned direction"),
    ],
)
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: str) -> None:
    async def act(stage: Stage) -> None:
        session = await stage.session()
        await stage.add(session, Authenticator())
        [only] = await stage.passkeys.list(session.person)

        with pytest.raises(InputRefused):
            await stage.add(session, Authenticator(), name)
        with pytest.raises(InputRefused):
            await stage.passkeys.rename(session, only.id, name)

        assert await stage.passkeys.list(session.person) == (only,)

    on_stage(tmp_path, act)


def test_a_passkey_gets_another_name(tmp_path: Path) -> None:
    async def act(stage: Stage) -> None:
        session = await stage.session()
        await stage.add(session, Authenticator())
        [only] = await stage.passkeys.list(session.person)

        await stage.passkeys.rename(session, only.id, "  Blue   key ")

        assert [one.name for one in await stage.passkeys.list(session.person)] == ["Blue key"]

    on_stage(tmp_path, act)
