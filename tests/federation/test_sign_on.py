"""People sign on at a real, strict OpenID provider (npm `oidc-provider`), by every way in which we prove ourselves."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from joserfc.jwk import ECKey, RSAKey

from accredit.federation import id_token
from accredit.federation.connector import Attempt
from accredit.federation.connectors import oidc
from accredit.federation.errors import SignOnRefused
from accredit.federation.sign_on import SignedOn, Started
from tests.console.server import ConsoleServer
from tests.federation.browsing import Browser, query_of
from tests.federation.peers import CLIENT_SECRET, RealProvider
from tests.federation.stage import ATTEMPT, Stage


@pytest.fixture(autouse=True)
def as_described(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test finds the provider as it was described at first."""
    yield
    if "stage" in request.fixturenames:
        request.getfixturevalue("stage").connect()


def test_somebody_who_was_never_here_signs_on_and_is_who_the_provider_says(stage: Stage, surfer: Browser) -> None:
    answer = surfer.sign_on(stage.origin, "ana", back="/console/agents?after=x")

    session = stage.session(surfer)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/agents?after=x")
    assert (session.person.email, session.person.name) == ("ana@example.com", "Ana Abel")
    assert session.person.roles == session.person.mapped_roles == ("administrator",)
    assert (session.authentication, session.amr) == ("oidc:acme", ("pwd", "otp"))
    assert abs(session.auth_time - session.created_at) < 120
    assert surfer.get(f"{stage.origin}/console/agents").status_code == 200
    assert stage.types()[-4:] == ["person.created", "identity.linked", "person.signed_on", "session.started"]
    assert {one.authentication for one in stage.events()[-4:]} == {"oidc:acme"}


def test_the_same_subject_is_the_same_person_in_another_browser(stage: Stage, surfer: Browser) -> None:
    surfer.sign_on(stage.origin, "ben")
    another = Browser()

    another.sign_on(stage.origin, "ben")

    assert stage.session(surfer).person.id == stage.session(another).person.id
    assert stage.session(surfer).id != stage.session(another).id
    assert stage.types().count("person.created") <= 2
    another.close()


def test_roles_of_groups_take_the_place_of_the_last_ones_and_leave_our_own(stage: Stage, surfer: Browser) -> None:
    surfer.sign_on(stage.origin, "ana")
    assert stage.session(surfer).person.roles == ("administrator",)

    stage.connect(roles='everybody = ["delegator"]')
    surfer.sign_on(stage.origin, "ana")

    assert stage.session(surfer).person.roles == ("delegator",)
    signed_on = [one for one in stage.events() if one.type == "person.signed_on"][-1]
    assert signed_on.reason == "roles that groups give: delegator"


def test_a_role_that_a_group_gives_opens_the_console_and_its_end_closes_it(stage: Stage, surfer: Browser) -> None:
    surfer.sign_on(stage.origin, "ana")
    agents = f"{stage.origin}/console/agents"
    assert surfer.get(agents).status_code == 200

    stage.connect(roles='nobody = ["administrator"]')
    another = Browser()
    another.sign_on(stage.origin, "ana")

    # The older session too: what somebody may do is not kept in it.
    assert [surfer.get(agents).status_code, another.get(agents).status_code] == [403, 403]
    another.close()


def test_an_address_that_the_provider_did_not_verify_is_nobody_here(stage: Stage, surfer: Browser) -> None:
    surfer.sign_on(stage.origin, "ana")
    thief = Browser()

    answer = thief.sign_on(stage.origin, "eve")

    assert answer.status_code == 401
    assert "you have no account here" in answer.text
    assert thief.cookie(stage.origin, "__Host-accredit") is None
    last = stage.events()[-1]
    assert "does not prove an e-mail address" in (last.reason or "")
    assert (last.type, last.outcome, last.resource) == ("session.refused", "refused", f"{stage.provider.issuer} eve")
    thief.close()


def test_a_verified_address_of_a_domain_that_is_not_the_providers_makes_nobody(stage: Stage, surfer: Browser) -> None:
    answer = surfer.sign_on(stage.origin, "out")

    assert answer.status_code == 401
    assert stage.person("out@elsewhere.test") is None


def test_what_is_asked_of_the_provider_is_what_the_description_says(stage: Stage, surfer: Browser) -> None:
    stage.connect(more='acr_values = ["phr"]\nrequire_acr = true\nmax_age_seconds = 0\nprompt = "login"')

    asked = query_of(str(surfer.get(f"{stage.origin}/console/sign-in/with/acme").headers["location"]))

    assert asked["code_challenge_method"] == "S256"
    assert (asked["acr_values"], asked["max_age"], asked["prompt"]) == ("phr", "0", "login")
    assert asked["redirect_uri"] == f"{stage.origin}/console/sign-in/callback/acme"
    assert {len(asked[name]) for name in ("state", "nonce", "code_challenge")} == {43}
    surfer.sign_on(stage.origin, "ana")
    assert stage.session(surfer).acr == "phr"


def test_a_provider_that_remembers_somebody_is_made_to_ask_anew_where_that_is_needed(
    stage: Stage, surfer: Browser
) -> None:
    def shown(query: str) -> str:
        return surfer.follow(surfer.get(f"{stage.origin}/console/sign-in/with/acme{query}"), stage.origin).text

    surfer.sign_on(stage.origin, "ana")
    page = surfer.get(f"{stage.origin}/console/sign-in?again&return=/console/audit").text

    assert 'href="/console/sign-in/with/acme?again&amp;return=%2Fconsole%2Faudit"' in page
    assert '<input type="hidden" name="again" value="1">' in page
    assert "<form" not in shown("")
    assert "<form" in shown("?again")


@pytest.mark.parametrize(("fresh", "known"), [(False, False), (True, True)])
def test_a_provider_that_does_not_say_when_is_not_believed_to_have_asked_now(
    stage: Stage, surfer: Browser, fresh: bool, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = id_token.check_id_token

    async def silent(*arguments: Any) -> id_token.IdToken:
        return msgspec.structs.replace(await said(*arguments), auth_time=None)

    monkeypatch.setattr(oidc, "check_id_token", silent)

    surfer.sign_on(stage.origin, "ana", name="acme?again&" if fresh else "acme")

    session = stage.session(surfer)
    assert (session.auth_time > 0) is known
    assert not known or abs(session.auth_time - session.created_at) < 60


def test_the_provider_would_refuse_a_wrong_verifier(stage: Stage, surfer: Browser) -> None:
    callback = query_of(surfer.to_the_callback(stage.origin, "ana"))
    sealed = surfer.cookie(stage.origin, ATTEMPT)
    assert sealed is not None

    async def finish_with_another_verifier() -> SignedOn:
        sign_on = stage.server.sign_on
        attempt = sign_on._open("acme", sealed, callback["state"])
        other = Attempt(**{**{f: getattr(attempt, f) for f in attempt.__struct_fields__}, "verifier": "x" * 43})
        return await sign_on._finish(await sign_on.providers.connector("acme"), other, callback)

    with pytest.raises(SignOnRefused) as error:
        stage.server.call(finish_with_another_verifier)

    assert "invalid_grant" in error.value.detail


def test_refusing_at_the_provider_signs_nobody_in(stage: Stage, surfer: Browser) -> None:
    answer = surfer.sign_on(stage.origin, "nobody")

    assert answer.status_code == 401
    assert "The provider did not sign you in" in answer.text
    assert stage.types()[-1] == "session.refused"


def test_claims_of_userinfo_are_asked_for_where_the_id_token_has_none(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        ConsoleServer(tmp_path_factory.mktemp("userinfo")) as server,
        RealProvider(server.origin, claims_in_id_token=False) as provider,
    ):
        stage, surfer = Stage(server, provider), Browser()
        stage.connect()
        without = surfer.sign_on(stage.origin, "ana")
        stage.connect(more="userinfo = true")

        surfer.sign_on(stage.origin, "ana")

        assert without.status_code == 401
        assert stage.session(surfer).person.roles == ("administrator",)
        surfer.close()


_EC = ECKey.generate_key("P-256", {"kid": "ours"})
_RSA = RSAKey.generate_key(2_048, {"kid": "ours too"})
_SECRETS = {
    "none": None,
    "client_secret_post": CLIENT_SECRET,
    "private_key_jwt with an EC key as a JWK": json.dumps(_EC.as_dict(private=True)),
    "private_key_jwt with an RSA key in PEM": _RSA.as_pem(private=True).decode(),
}


@pytest.mark.parametrize("way", _SECRETS)
@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "Ed25519"])
def test_we_prove_ourselves_as_the_provider_wants_it(
    tmp_path_factory: pytest.TempPathFactory, way: str, algorithm: str
) -> None:
    method = way.partition(" ")[0]
    client: dict[str, Any] = {"token_endpoint_auth_method": method, "id_token_signed_response_alg": algorithm}
    if method == "private_key_jwt":
        keys = [_EC.as_dict(private=False), {**_RSA.as_dict(private=False), "kid": "unnamed"}]
        client |= {"jwks": {"keys": keys}, "client_secret": None}
        client["token_endpoint_auth_signing_alg"] = "ES256" if "EC" in way else "RS256"
    if method == "none":
        client["client_secret"] = None
    with (
        ConsoleServer(tmp_path_factory.mktemp("clients")) as server,
        RealProvider(server.origin, **client) as provider,
    ):
        stage, surfer = Stage(server, provider), Browser()
        more = f'client_authentication = "{method}"\nalgorithms = ["{algorithm}"]'
        stage.connect(more=more, secret=_SECRETS[way])

        surfer.sign_on(stage.origin, "ben")

        assert stage.session(surfer).person.email == "ben@example.com"
        surfer.close()


def test_an_id_token_of_an_algorithm_that_is_not_allowed_signs_nobody_in(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        ConsoleServer(tmp_path_factory.mktemp("algorithms")) as server,
        RealProvider(server.origin, id_token_signed_response_alg="RS256") as provider,
    ):
        stage, surfer = Stage(server, provider), Browser()
        stage.connect(more='algorithms = ["ES256"]')

        assert surfer.sign_on(stage.origin, "ben").status_code == 401
        surfer.close()


def test_signing_out_offers_to_sign_out_at_the_provider_too(stage: Stage, surfer: Browser) -> None:
    stage.connect(more="sign_out = true")

    page = surfer.get(f"{stage.origin}/console/sign-in?ended&at=acme")
    leave = surfer.get(f"{stage.origin}/console/sign-in/leave/acme")

    assert "Sign out at" in page.text
    assert "/console/sign-in/leave/acme" in page.text
    assert leave.headers["location"].startswith(f"{stage.provider.issuer}/session/end?client_id=accredit&post_logout")
    assert surfer.get(str(leave.headers["location"])).status_code == 200


def test_a_provider_that_does_not_want_it_has_no_page_for_signing_out(stage: Stage, surfer: Browser) -> None:
    page = surfer.get(f"{stage.origin}/console/sign-in?ended&at=acme")

    assert "Sign out at" not in page.text
    assert surfer.get(f"{stage.origin}/console/sign-in/leave/acme").status_code == 404


def test_an_address_tells_where_its_owner_signs_in_and_nothing_of_the_person(stage: Stage, surfer: Browser) -> None:
    def ask(email: str) -> str:
        form = {"email": email, "return": "/console/agents"}
        return surfer.post(f"{stage.origin}/console/sign-in/find", form, Sec_Fetch_Site="same-origin").text

    known, unknown, elsewhere = ask("ana@Example.com "), ask("nobody@example.com"), ask("ana@elsewhere.test")

    assert 'href="/console/sign-in/with/acme?return=%2Fconsole%2Fagents"' in known
    assert known.replace("Example.com ", "example.com") == unknown
    assert "No sign-in page is known" in elsewhere


def test_a_provider_that_does_not_answer_is_no_failure_of_ours(stage: Stage, surfer: Browser) -> None:
    async def add() -> Started:
        from accredit.sensitive import Sensitive
        from tests.federation.stage import describe
        from tests.rooms import ADMINISTRATOR

        text = describe("http://localhost:9", name="gone").replace("example.com", "gone.test")
        await stage.server.sign_on.providers.add(text, "gone", Sensitive("s"), ADMINISTRATOR)
        return Started("", "", False)

    stage.server.call(add)

    answer = surfer.get(f"{stage.origin}/console/sign-in/with/gone")

    assert answer.status_code == 503
    assert "The provider cannot be asked" in answer.text
    assert surfer.cookie(stage.origin, ATTEMPT) is None
