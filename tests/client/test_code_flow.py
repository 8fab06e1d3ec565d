"""The person's part: the browser leg, and the attacks on it (RFC 9700 §4.4, §4.5, §4.7; RFC 9207)."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from accredit.client import (
    AuthorizationCode,
    AuthorizationFailed,
    AuthorizationResponse,
    ClientError,
    ClientSecret,
    CredentialRefused,
    Denied,
    DpopKey,
    MemoryStore,
    Misconfigured,
    NewClient,
    OAuth,
    PublicClient,
    Redirect,
    StepUpRequired,
    Unavailable,
)
from accredit.client.loopback import LoopbackRedirect
from tests.client.servers import Agrees, Reply, Seen, World


def person(here: World, redirect: Redirect) -> OAuth:
    return OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(redirect))


def test_the_code_is_bound_by_pkce_state_and_resource(here: World, http: httpx2.Client) -> None:
    redirect = Agrees()

    http.get(here.url, auth=person(here, redirect))

    (query,) = redirect.queries
    (form,) = here.tokens_asked
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert query["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert query["code_challenge_method"] == "S256"
    assert len(query["state"]) >= 32
    assert query["resource"] == form["resource"] == here.url
    assert query["redirect_uri"] == form["redirect_uri"]
    assert form["code"] == "the-code"


def test_state_and_verifier_are_new_each_time(here: World) -> None:
    redirect = Agrees()
    auth = person(here, redirect)

    auth.get_token()
    auth.forget()
    auth.get_token()

    first, second = redirect.queries
    assert first["state"] != second["state"]
    assert first["code_challenge"] != second["code_challenge"]


class Forged(Agrees):
    """A browser that comes back with something else."""

    def __init__(self, change: Callable[[AuthorizationResponse], AuthorizationResponse]) -> None:
        super().__init__()
        self._change = change

    def authorize(self, url: str) -> AuthorizationResponse:
        return self._change(super().authorize(url))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda good: AuthorizationResponse(code="the-code", iss=good.iss), id="no-state"),
        pytest.param(lambda good: AuthorizationResponse(code="c", iss=good.iss, state="other"), id="state"),
        pytest.param(lambda good: AuthorizationResponse(code="c", iss=good.iss, state="é"), id="state-not-ascii"),
        pytest.param(
            lambda good: AuthorizationResponse(code="c", iss="https://evil.example", state=good.state), id="mix-up"
        ),
        pytest.param(lambda good: AuthorizationResponse(code="c", iss=good.iss + "/", state=good.state), id="slash"),
        pytest.param(lambda good: AuthorizationResponse(code="c", state=good.state), id="no-iss"),
        pytest.param(lambda good: AuthorizationResponse(iss=good.iss, state=good.state), id="no-code"),
        pytest.param(
            lambda good: AuthorizationResponse(error="access_denied", state=good.state, iss="https://evil.example"),
            id="mix-up-by-error",
        ),
    ],
)
def test_an_answer_that_is_not_to_be_trusted_is_not_used(
    here: World, change: Callable[[AuthorizationResponse], AuthorizationResponse]
) -> None:
    here.metadata["authorization_response_iss_parameter_supported"] = True

    with pytest.raises(AuthorizationFailed):
        person(here, Forged(change)).get_token()

    assert here.tokens_asked == []


def test_an_issuer_that_never_says_who_it_is_is_accepted_where_none_was_announced(here: World) -> None:
    redirect = Forged(lambda good: AuthorizationResponse(code=good.code, state=good.state))

    assert person(here, redirect).get_token().access_token == "token-1"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("access_denied", Denied),
        ("invalid_scope", Denied),
        ("login_required", StepUpRequired),
        ("temporarily_unavailable", Unavailable),
    ],
)
def test_a_refusal_in_the_browser_is_typed(here: World, code: str, kind: type[ClientError]) -> None:
    redirect = Forged(lambda good: AuthorizationResponse(error=code, state=good.state, iss=good.iss))

    with pytest.raises(kind) as caught:
        person(here, redirect).get_token()

    assert caught.value.code == code
    assert caught.value.next_step


def test_a_parameter_that_is_there_twice_is_refused() -> None:
    with pytest.raises(AuthorizationFailed):
        AuthorizationResponse.from_url("http://127.0.0.1/callback?code=a&code=b&state=s")


def test_a_code_is_not_shown() -> None:
    assert "sesame" not in repr(AuthorizationResponse(code="sesame", state="s"))


def browser(*, first: Callable[[str], object] = lambda back: None) -> Callable[[str], None]:
    """A browser on another thread, which does something else before it comes back."""

    def go(url: str) -> None:
        answer = httpx2.get(url, timeout=10, trust_env=False)
        back = answer.headers["location"]
        first(back)
        httpx2.get(back, timeout=10, trust_env=False)

    return lambda url: threading.Thread(target=go, args=(url,)).start()


def test_the_loopback_redirect_takes_a_real_browser_there_and_back(here: World, http: httpx2.Client) -> None:
    redirect = LoopbackRedirect(open_browser=browser(), timeout_seconds=20)
    auth = OAuth(here.url, NewClient("Notes"), grant=AuthorizationCode(redirect))

    assert http.get(here.url, auth=auth).json() == {"token": "token-1"}

    (registration,) = here.issuer.at("/register")
    assert json.loads(registration.body)["redirect_uris"] == [here.tokens_asked[0]["redirect_uri"]]
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(here.tokens_asked[0]["redirect_uri"], trust_env=False)


def test_the_loopback_redirect_ignores_strangers(here: World) -> None:
    answers: list[int] = []

    def stranger(back: str) -> None:
        base = back.partition("?")[0]
        for url in (f"{base}?code=evil&state=guess", base, base.replace("callback", "x"), f"{base}?code=evil"):
            answers.append(httpx2.get(url, timeout=10, trust_env=False).status_code)

    redirect = LoopbackRedirect(open_browser=browser(first=stranger), timeout_seconds=20)

    assert person(here, redirect).get_token().access_token == "token-1"
    assert answers == [404, 404, 404, 404]
    assert here.tokens_asked[0]["code"] == "the-code"


def test_nobody_coming_back_is_an_error_after_the_time_limit(here: World) -> None:
    redirect = LoopbackRedirect(open_browser=lambda url: None, timeout_seconds=0.1)

    with pytest.raises(AuthorizationFailed):
        person(here, redirect).get_token()


def test_a_flow_that_failed_can_be_tried_again_at_the_same_address(here: World) -> None:
    redirect = LoopbackRedirect(open_browser=lambda url: None, timeout_seconds=0.1)
    first = redirect.redirect_uri
    with pytest.raises(AuthorizationFailed):
        redirect.authorize("http://localhost/?state=s")

    assert redirect.redirect_uri == first
    with pytest.raises(AuthorizationFailed):
        redirect.authorize("http://localhost/?state=s")


def test_an_async_redirect_needs_an_async_client(here: World) -> None:
    class Later:
        redirect_uri = "http://127.0.0.1:9/callback"

        async def authorize(self, url: str) -> AuthorizationResponse:
            raise AssertionError(url)

    with pytest.raises(Misconfigured):
        person(here, Later()).get_token()


def test_a_pushed_request_keeps_its_details_out_of_the_browser(here: World) -> None:
    here.metadata["pushed_authorization_request_endpoint"] = f"{here.issuer.url}/par"
    here.issuer.routes["/par"] = Reply(201, {"request_uri": "urn:x:1", "expires_in": 60})
    pushed: list[dict[str, str]] = []

    def let(seen: Seen) -> Reply:
        pushed.append(seen.query)
        (sent,) = here.issuer.at("/par")
        back = {"code": "the-code", "state": sent.form["state"], "iss": here.issuer.url}
        return Reply(302, {}, {"location": f"{sent.form['redirect_uri']}?{urlencode(back)}"})

    here.issuer.routes["/authorize"] = let
    client = ClientSecret("notes", "hush", issuer=here.issuer.url)

    OAuth(here.url, client, grant=AuthorizationCode(Agrees())).get_token()

    assert pushed == [{"client_id": "notes", "request_uri": "urn:x:1"}]
    (sent,) = here.issuer.at("/par")
    assert sent.basic == "notes:hush"
    assert sent.form["code_challenge_method"] == "S256"


def test_a_client_id_metadata_document_is_preferred_to_registration(here: World) -> None:
    here.metadata["client_id_metadata_document_supported"] = True
    document = "https://notes.example/client.json"

    OAuth(here.url, NewClient("Notes", document=document), grant=AuthorizationCode(Agrees())).get_token()

    assert here.tokens_asked[0]["client_id"] == document
    assert here.issuer.at("/register") == []


@pytest.mark.parametrize("document", ["http://notes.example/c", "https://notes.example", "https://u@n.example/c", "x"])
def test_a_document_at_an_address_that_no_server_would_take_is_refused_at_once(document: str) -> None:
    with pytest.raises(Misconfigured):
        NewClient("Notes", document=document)


def test_a_registration_says_what_the_client_is(here: World) -> None:
    new = NewClient("Notes", initial_access_token="let-me-in")

    OAuth(here.url, new, grant=AuthorizationCode(Agrees()), dpop=None).get_token()

    (seen,) = here.issuer.at("/register")
    assert seen.authorization == "Bearer let-me-in"
    assert json.loads(seen.body) == {
        "client_name": "Notes",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "redirect_uris": ["http://127.0.0.1:9/callback"],
        "application_type": "native",
    }


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Reply(403, {"error": "access_denied"}), Denied),
        (Reply(201, {}), Denied),
        (Reply(201, {"client_id": "x", "token_endpoint_auth_method": "private_key_jwt"}), Denied),
        (Reply(201, {"client_id": "x", "token_endpoint_auth_method": "client_secret_basic"}), Denied),
        (Reply(500, {}), Unavailable),
    ],
    ids=["refused", "empty", "another-method", "no-secret", "down"],
)
def test_a_registration_that_is_of_no_use_is_not_kept(here: World, answer: Reply, kind: type[ClientError]) -> None:
    here.issuer.routes["/register"] = answer
    store = MemoryStore()
    auth = OAuth(here.url, NewClient("Notes"), grant=AuthorizationCode(Agrees()), store=store)

    with pytest.raises(kind):
        auth.get_token()
    here.issuer.routes["/register"] = Reply(201, {"client_id": "registered"})

    assert auth.get_token().client_id == "registered"


@pytest.mark.parametrize(("ends", "registrations"), [(0, 1), (1, 2)], ids=["never", "past"])
def test_a_registered_secret_that_is_over_is_replaced(here: World, ends: int, registrations: int) -> None:
    here.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_basic"]
    here.issuer.routes["/register"] = Reply(
        201, {"client_id": "registered", "client_secret": "s", "client_secret_expires_at": ends}
    )
    auth = OAuth(here.url, NewClient("Notes"), grant=AuthorizationCode(Agrees()))

    auth.get_token()
    auth.forget()
    auth.get_token()

    assert len(here.issuer.at("/register")) == registrations
    assert here.issuer.at("/token")[0].basic == "registered:s"


def test_a_server_that_registers_nobody_says_what_to_do(here: World) -> None:
    del here.metadata["registration_endpoint"]

    with pytest.raises(Misconfigured) as caught:
        OAuth(here.url, NewClient("Notes"), grant=AuthorizationCode(Agrees())).get_token()

    assert "PublicClient" in caught.value.next_step


def test_a_client_that_the_server_has_forgotten_registers_anew(here: World) -> None:
    auth = OAuth(here.url, NewClient("Notes"), grant=AuthorizationCode(Agrees()))
    give = here.issuer.routes["/token"]
    here.issuer.routes["/token"] = Reply(401, {"error": "invalid_client"})
    with pytest.raises(CredentialRefused):
        auth.get_token()
    here.issuer.routes["/token"] = give

    auth.get_token()

    assert len(here.issuer.at("/register")) == 2


def test_a_bound_flow_names_its_key_from_the_beginning(here: World) -> None:
    here.token_type = "DPoP"
    key, redirect = DpopKey.generate(), Agrees()

    OAuth(here.url, PublicClient("notes"), grant=AuthorizationCode(redirect), dpop=key).get_token()

    assert redirect.queries[0]["dpop_jkt"] == key.thumbprint


def test_an_authorization_endpoint_with_a_query_keeps_it(here: World) -> None:
    here.metadata["authorization_endpoint"] = f"{here.issuer.url}/authorize?tenant=a"
    redirect = Agrees()

    person(here, redirect).get_token()

    assert parse_qs(urlsplit(redirect.asked[0]).query)["tenant"] == ["a"]
