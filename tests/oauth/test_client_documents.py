"""A client_id that is a URL: what is asked for, how often, and which document is believed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import pytest
import uvloop
from joserfc.jwk import ECKey

from accredit.agents.client_metadata import ClientMetadata
from accredit.oauth import client_documents
from accredit.oauth.client_documents import (
    ClientDocumentRefused,
    ClientDocuments,
    ClientDocumentUnavailable,
    is_client_url,
)
from accredit.oauth.errors import OAuthError
from accredit.outbound.guarded import Guarded
from tests.gateway.upstreams import Received, Upstream, scripted, until_closed
from tests.rooms import TestClock

T = TypeVar("T")
CALLBACK = "http://127.0.0.1/callback"
KEY = ECKey.generate_key("P-256")


class Site:
    """A client's web server: what it answers can be set. `%URL%` in the body is the document's own address."""

    def __init__(self) -> None:
        self.status = b"200 OK"
        self.headers = [b"Content-Type: application/json"]
        self.members: dict[str, Any] = {"redirect_uris": [CALLBACK]}
        self.body: bytes | None = None
        self.delay = 0.0
        self.upstream: Upstream

    def url(self, path: str = "/client.json") -> str:
        return self.upstream.url.removesuffix("/mcp") + path

    @property
    def asked(self) -> int:
        return len(self.upstream.received)

    async def answer(self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.delay)
        document = {"client_id": self.url(request.path), **self.members}
        body = self.body if self.body is not None else msgspec.json.encode(document)
        head = b"\r\n".join((b"HTTP/1.1 " + self.status, *self.headers, b"Content-Length: %d" % len(body)))
        writer.write(head + b"\r\n\r\n" + body)


def _with(act: Callable[[Site, ClientDocuments, TestClock], Awaitable[T]], *hosts: str) -> T:
    async def run() -> T:
        async with _site() as site:
            clock = TestClock()
            return await act(site, ClientDocuments(Guarded(("127.0.0.1",)), clock, hosts or ("*",)), clock)

    return uvloop.run(run())


@asynccontextmanager
async def _site() -> Any:
    site = Site()
    async with scripted(site.answer) as upstream:
        site.upstream = upstream
        yield site


def _refused(change: Callable[[Site], None]) -> OAuthError:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> OAuthError:
        change(site)
        with pytest.raises(OAuthError) as failure:
            await documents.get(site.url())
        assert site.asked == 1
        return failure.value

    return _with(act)


def test_a_client_is_what_the_document_at_its_url_says() -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        site.members |= {"client_name": "Reader", "grant_types": ["authorization_code"]}

        found = await documents.get(site.url())

        assert found == ClientMetadata(
            client_name="Reader",
            redirect_uris=(CALLBACK,),
            grant_types=("authorization_code",),
            token_endpoint_auth_method="none",
        )
        assert site.upstream.received[0].header("accept") == "application/json"
        assert site.upstream.received[0].header("cookie") is None

    _with(act)


def test_a_client_may_prove_itself_with_keys_of_its_document() -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        site.members |= {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [KEY.as_dict(private=False)]},
        }

        found = await documents.get(site.url())

        assert found.token_endpoint_auth_method == "private_key_jwt"
        assert msgspec.json.decode(found.jwks)["keys"][0]["x"] == KEY.as_dict(private=False)["x"]

    _with(act)


def test_nothing_that_the_document_names_is_fetched() -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        names = ("logo_uri", "client_uri", "policy_uri", "tos_uri", "jwks_uri")
        site.members |= {name: site.url(f"/{name}") for name in names}
        site.members |= {"token_endpoint_auth_method": "private_key_jwt"}

        await documents.get(site.url())

        assert [request.path for request in site.upstream.received] == ["/client.json"]

    _with(act)


def _members(**members: Any) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        site.members |= members

    return change


def _body(body: bytes) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        site.body = body

    return change


def _status(status: bytes, *headers: bytes) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        site.status = status
        site.headers += headers

    return change


def _type(kind: bytes) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        site.headers = [b"Content-Type: " + kind] if kind else []

    return change


REFUSED: dict[str, Callable[[Site], None]] = {
    "another's client_id": _members(client_id="https://other.example/client.json"),
    "client_id is null": _members(client_id=None),
    "client_id is a list": _members(client_id=["x"]),
    "no redirect uris": _members(redirect_uris=[]),
    "no redirect uris for another grant": _members(
        redirect_uris=[], grant_types=["urn:ietf:params:oauth:grant-type:device_code"]
    ),
    "script as redirect": _members(redirect_uris=["javascript:alert(1)"]),
    "http redirect": _members(redirect_uris=["http://client.example/cb"]),
    "a secret": _members(client_secret="s"),
    "a secret's end": _members(client_secret_expires_at=0),
    "client_secret_basic": _members(token_endpoint_auth_method="client_secret_basic"),
    "client_secret_post": _members(token_endpoint_auth_method="client_secret_post"),
    "client_secret_jwt": _members(token_endpoint_auth_method="client_secret_jwt"),
    "mtls": _members(token_endpoint_auth_method="tls_client_auth"),
    "method is a list": _members(token_endpoint_auth_method=["none"]),
    "keys are missing": _members(token_endpoint_auth_method="private_key_jwt"),
    "private keys": _members(jwks={"keys": [KEY.as_dict(private=True)]}),
    "symmetric keys": _members(jwks={"keys": [{"kty": "oct", "k": "AAAA"}]}),
    "name that turns around": _members(client_name="rea\u202eder"),
    "not JSON": _body(b"<html>"),
    "a list": _body(b"[]"),
    "null": _body(b"null"),
    "empty": _body(b""),
    "not UTF-8": _body(b'{"client_id":"\xff"}'),
    "nested": _body(b'{"a":' + b"[" * 4_000 + b"]" * 4_000 + b"}"),
    "not found": _status(b"404 Not Found"),
    "no content": _status(b"204 No Content"),
    "created": _status(b"201 Created"),
    "redirect": _status(b"302 Found", b"Location: /other.json"),
    "permanent redirect": _status(b"308 Permanent Redirect", b"Location: /other.json"),
    "html": _type(b"text/html"),
    "text": _type(b"text/plain"),
    "script": _type(b"application/javascript"),
    "no type": _type(b""),
}


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in REFUSED.items()])
def test_a_document_that_is_not_allowed_is_refused(change: Callable[[Site], None]) -> None:
    error = _refused(change)

    assert isinstance(error, ClientDocumentRefused)
    assert (error.code, error.status) == ("invalid_client", 400)


def test_a_name_that_stands_twice_is_refused() -> None:
    def change(site: Site) -> None:
        url = site.url()
        site.body = f'{{"client_id":"{url}","redirect_uris":["{CALLBACK}"],"client_id":"{url}"}}'.encode()

    assert isinstance(_refused(change), ClientDocumentRefused)


def test_a_document_that_is_too_large_is_not_read_to_its_end() -> None:
    assert isinstance(_refused(_members(padding="x" * 10_240)), ClientDocumentRefused)


@pytest.mark.parametrize(
    "kind", [b"application/json; charset=utf-8", b"application/oauth-client+json", b"Application/JSON"]
)
def test_json_has_several_names(kind: bytes) -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> ClientMetadata:
        _type(kind)(site)
        return await documents.get(site.url())

    assert _with(act).redirect_uris == (CALLBACK,)


@pytest.mark.parametrize(
    "url",
    ["https://client.example", "https://client.example/", "https://client.example/?a=b", "http://client.example/c",
     "https://client.example/../c", "https://client.example/%2e%2e/c", "https://client.example/c#f",
     "https://user@client.example/c", "https://127.1/c", "https://client.example:22/c", "https://сlient.example/c",
     "ftp://client.example/c", "agt_01", "", "https://client.example./c"],
)  # fmt: skip
def test_a_client_id_that_is_no_url_of_a_document_is_not_asked_for(url: str) -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        with pytest.raises(ClientDocumentRefused):
            await documents.get(url)

    _with(act)


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.2", "169.254.169.254", "[::1]", "localhost"])
def test_a_client_id_that_leads_inside_is_not_asked_for(host: str) -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        with pytest.raises(ClientDocumentUnavailable):
            await documents.get(f"https://{host}/c")

    _with(act)


@pytest.mark.parametrize(
    ("allowed", "is_accepted"),
    [
        ("*", True),
        ("127.0.0.1", True),
        ("client.example", False),
        ("*.0.0.1", True),
        ("*.127.0.0.1", False),
        ("0.0.1", False),
        ("*.0.1", True),
        ("*.1.0.0.1", False),
    ],
)
def test_only_clients_of_the_named_hosts_are_accepted(allowed: str, is_accepted: bool) -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        if is_accepted:
            await documents.get(site.url())
        else:
            with pytest.raises(ClientDocumentRefused):
                await documents.get(site.url())
        assert site.asked == int(is_accepted)

    _with(act, allowed)


def test_without_a_named_host_no_client_is_accepted() -> None:
    documents = ClientDocuments(Guarded(), TestClock(), ())

    assert not documents.is_open
    with pytest.raises(ClientDocumentRefused):
        asyncio.run(documents.get("https://client.example/c"))


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [(None, 60), (b"max-age=3600", 3600), (b"max-age=1", 60), (b"no-store", 60), (b"max-age=9999999", 86_400)],
    ids=["nothing", "an hour", "a second", "no store", "very long"],
)
def test_a_document_is_kept_as_long_as_it_says_within_bounds(cache_control: bytes | None, seconds: int) -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> list[int]:
        if cache_control is not None:
            site.headers.append(b"Cache-Control: " + cache_control)
        asked = []
        for wait in (0, seconds - 1, 1):
            clock.move(wait)
            await documents.get(site.url())
            asked.append(site.asked)
        return asked

    assert _with(act) == [1, 1, 2]


def test_a_changed_document_is_seen_when_the_old_one_has_aged() -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        await documents.get(site.url())
        site.members["redirect_uris"] = ["http://127.0.0.1/other"]
        clock.move(60)

        assert (await documents.get(site.url())).redirect_uris == ("http://127.0.0.1/other",)

    _with(act)


def test_a_document_that_is_gone_is_not_served_from_memory() -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        await documents.get(site.url())
        site.status = b"410 Gone"
        clock.move(60)

        with pytest.raises(ClientDocumentRefused):
            await documents.get(site.url())

    _with(act)


def test_a_failure_is_not_tried_again_at_once_and_is_forgotten_soon() -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        site.status = b"500 Internal Server Error"
        with pytest.raises(ClientDocumentRefused):
            await documents.get(site.url())
        site.status = b"200 OK"
        with pytest.raises(ClientDocumentUnavailable):
            await documents.get(site.url())
        assert site.asked == 1

        clock.move(10)

        assert await documents.get(site.url())

    _with(act)


def test_many_who_ask_at_once_make_one_request() -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        site.delay = 0.05

        found = await asyncio.gather(*(documents.get(site.url()) for _ in range(20)))

        assert (len(set(found)), site.asked) == (1, 1)

    _with(act)


def test_one_who_goes_away_takes_the_answer_from_nobody() -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        site.delay = 0.1
        first, second = (asyncio.create_task(documents.get(site.url())) for _ in range(2))
        await asyncio.sleep(0.02)

        first.cancel()

        assert (await second).redirect_uris == (CALLBACK,)
        assert site.asked == 1

    _with(act)


def test_one_host_is_asked_at_a_bounded_rate() -> None:
    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        for number in range(client_documents.HOST_PER_MINUTE):
            await documents.get(site.url(f"/{number}"))

        with pytest.raises(ClientDocumentUnavailable):
            await documents.get(site.url("/more"))

        assert site.asked == client_documents.HOST_PER_MINUTE
        clock.move(60)
        assert await documents.get(site.url("/more"))

    _with(act)


def test_strangers_cannot_use_up_the_turn_of_clients_that_were_here_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_documents, "NEW_PER_MINUTE", 3)

    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        await documents.get(site.url())
        clock.move(60)
        for number in range(3):
            await documents.get(site.url(f"/{number}"))
        with pytest.raises(ClientDocumentUnavailable):
            await documents.get(site.url("/more"))

        assert await documents.get(site.url())

    _with(act)


def test_memory_holds_a_bounded_number_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_documents, "_DOCUMENTS", 5)

    async def act(site: Site, documents: ClientDocuments, clock: TestClock) -> None:
        for number in range(9):
            await documents.get(site.url(f"/{number}"))
        site.status = b"404 Not Found"
        for number in range(9):
            with pytest.raises(ClientDocumentRefused):
                await documents.get(site.url(f"/no/{number}"))

        assert (len(documents._kept), len(documents._failed), documents._under_way) == (5, 5, {})
        assert await documents.get(site.url("/8"))

    _with(act)


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_documents, "FETCH_SECONDS", 0.1)

    async def silent(request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await until_closed(reader)

    async def run() -> None:
        async with scripted(silent) as upstream:
            with pytest.raises(ClientDocumentUnavailable):
                await ClientDocuments(Guarded(("127.0.0.1",)), TestClock(), ("*",)).get(upstream.url)

    uvloop.run(run())


def test_a_url_is_told_from_an_id() -> None:
    assert [is_client_url(one) for one in ("https://a.example/c", "http://localhost/c", "agt_1", "httpsx:", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]
