"""Whether a person is asked: fresh sign-ins, prompts, and what was remembered (OpenID Connect Core §3.1.2.1)."""

from pathlib import Path

import pytest

from accredit.delegations.consent import Answered, Asked, Choice, SignInFirst
from tests.oauth.authorizing import EMAIL, READ, WRITE, Authorizing, answer_of, with_authorizing
from tests.oauth.endpoint import ISSUER


def test_without_a_session_the_person_signs_in_first(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        assert await one.consents.begin(await one.sealed(), None) == SignInFirst(again=False)

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    ("more", "age", "again"),
    [
        pytest.param({"prompt": "login"}, 0.0, False, id="login, signed in for it"),
        pytest.param({"prompt": "login"}, 1.0, True, id="login, signed in before"),
        pytest.param({"max_age": "60"}, 60.0, False, id="just young enough"),
        pytest.param({"max_age": "60"}, 61.0, True, id="a second too old"),
        pytest.param({"max_age": "0"}, 1.0, True, id="always anew"),
        pytest.param({"acr_values": "urn:example:strong"}, 1.0, True, id="another context class"),
        pytest.param({}, 40_000.0, False, id="nothing asked"),
    ],
)
def test_a_sign_in_is_fresh_enough_or_asked_for_again(
    tmp_path: Path, more: dict[str, str], age: float, again: bool
) -> None:
    async def act(one: Authorizing) -> None:
        one.endpoint.rooms.clock.move(age)
        sealed = await one.sealed(**more)

        outcome = await one.consents.begin(sealed, one.session)
        answered = await one.consents.approve(sealed, one.session, Choice(scopes=frozenset({READ}), seconds=3_600))

        assert (outcome == SignInFirst(again=True)) is again
        assert (answered == SignInFirst(again=True)) is again
        # A sign-in after the request is enough, and its answer can be given then.
        if again:
            fresh = await one.sign_in()
            assert isinstance(await one.consents.begin(sealed, fresh), Asked)

    with_authorizing(tmp_path, act)


def test_with_prompt_none_nobody_is_asked(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        one.endpoint.rooms.clock.move(1)
        sealed = await one.sealed(prompt="none")
        stale = await one.sealed(prompt="none", max_age="0")

        stranger = await one.consents.begin(sealed, None)
        unknown = await one.consents.begin(sealed, one.session)
        old = await one.consents.begin(stale, one.session)

        assert isinstance(stranger, Answered)
        assert isinstance(unknown, Answered)
        assert answer_of(stranger.url)["error"] == "login_required"
        assert answer_of(unknown.url)["error"] == "consent_required"
        assert isinstance(old, Answered)
        assert answer_of(old.url)["error"] == "login_required"

    with_authorizing(tmp_path, act)


def test_what_is_remembered_is_given_again_without_asking(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        await one.allow(remember=True, seconds=86_400)

        same = await one.begin(prompt="none")
        less = await one.begin(scope=READ)
        assert isinstance(less, Answered)
        tokens = await one.redeem(answer_of(less.url)["code"])
        asked = await one.begin(prompt="consent")
        another = await one.begin(login_hint="somebody@example.com")
        hinted = await one.begin(login_hint=EMAIL.upper())
        one.endpoint.rooms.clock.move(86_400)
        one.session = await one.sign_in()
        late = await one.begin()

        assert isinstance(same, Answered)
        assert answer_of(same.url).keys() == {"code", "state", "iss"}
        assert tokens.json()["scope"] == READ
        assert isinstance(asked, Asked)
        assert isinstance(another, Asked)
        assert isinstance(hinted, Answered)
        assert isinstance(late, Asked)

    with_authorizing(tmp_path, act)


def test_more_than_is_remembered_is_asked(tmp_path: Path) -> None:
    async def act(one: Authorizing) -> None:
        await one.allow(remember=True, scope=READ)

        assert isinstance(await one.begin(scope=f"{READ} {WRITE}"), Asked)
        assert isinstance(await one.begin(scope="openid", resource=ISSUER), Asked)
        assert isinstance(await one.begin(scope=READ), Answered)

    with_authorizing(tmp_path, act)


@pytest.mark.parametrize(
    ("redirect", "may"),
    [
        pytest.param("https://desk.example/back", True, id="https"),
        pytest.param("com.example.desk:/back", False, id="private-use scheme"),
        pytest.param("http://127.0.0.1:4711/back", False, id="loopback"),
    ],
)
def test_a_public_client_on_a_device_is_asked_about_each_time(tmp_path: Path, redirect: str, may: bool) -> None:
    """RFC 8252 §8.6: another program could take its place."""

    async def act(one: Authorizing) -> None:
        await one.client("other", redirect_uris=[redirect])
        one.desk = await one.endpoint.rooms.agents.named("other")
        await one.allow(redirect_uri=redirect, remember=True)

        again = await one.begin(redirect_uri=redirect)

        assert isinstance(again, Answered if may else Asked)
        if isinstance(again, Asked):
            assert not again.may_remember

    with_authorizing(tmp_path, act)
