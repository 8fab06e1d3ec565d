"""Keys that a client publishes at its jwks_uri."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from joserfc.jwk import ECKey

from accredit.agents.client_metadata import parse_client_metadata
from accredit.agents.new_agent import NewAgent
from accredit.oauth.client_keys import ClientKeySets, ClientKeysUnavailable
from accredit.outbound.guarded import Guarded
from tests.gateway.upstreams import Received, Upstream, scripted
from tests.oauth.endpoint import Endpoint, with_endpoint
from tests.oauth.test_private_key_jwt import KEY, ask, sign
from tests.rooms import ADMINISTRATOR, TestClock


class Site:
    """Serves what `body` holds, with `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.kind = "application/jwk-set+json"
        self.body = _set("a")
        self.upstream: Upstream

    @property
    def asked(self) -> int:
        return len(self.upstream.received)

    async def answer(self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = len(self.body)
        head = f"HTTP/1.1 {self.status} X\r\nContent-Type: {self.kind}\r\nContent-Length: {length}\r\n\r\n"
        writer.write(head.encode() + self.body)


def _key(kid: str, *, private: bool = False) -> dict[str, Any]:
    return {**ECKey.generate_key("P-256").as_dict(private=private), "kid": kid}


def _set(*kids: str) -> bytes:
    return msgspec.json.encode({"keys": [_key(kid) for kid in kids]})


def _kids(jwks: str) -> list[str]:
    return [key["kid"] for key in msgspec.json.decode(jwks)["keys"]]


def _with(act: Callable[[Site, ClientKeySets, TestClock], Awaitable[None]]) -> None:
    async def run() -> None:
        site, clock = Site(), TestClock()
        async with scripted(site.answer) as upstream:
            site.upstream = upstream
            await act(site, ClientKeySets(Guarded(("127.0.0.1",)), clock), clock)

    uvloop.run(run())


def test_keys_are_asked_for_once_and_kept() -> None:
    async def act(site: Site, sets: ClientKeySets, clock: TestClock) -> None:
        found = await asyncio.gather(*(sets.get(site.upstream.url, "a") for _ in range(5)))
        clock.move(599)
        await sets.get(site.upstream.url, "a")

        assert _kids(found[0]) == ["a"]
        assert (len(set(found)), site.asked) == (1, 1)
        clock.move(1)
        await sets.get(site.upstream.url, "a")
        assert site.asked == 2

    _with(act)


def test_rotated_keys_are_found_by_their_kid_but_strangers_cannot_have_us_ask_without_end() -> None:
    async def act(site: Site, sets: ClientKeySets, clock: TestClock) -> None:
        await sets.get(site.upstream.url, "a")
        site.body = _set("b")
        for _ in range(50):
            assert _kids(await sets.get(site.upstream.url, "unknown")) == ["a"]
        assert site.asked == 1

        clock.move(30)

        assert _kids(await sets.get(site.upstream.url, "b")) == ["b"]
        assert site.asked == 2

    _with(act)


def test_the_last_keys_serve_on_for_an_hour_when_the_server_is_silent() -> None:
    async def act(site: Site, sets: ClientKeySets, clock: TestClock) -> None:
        await sets.get(site.upstream.url, "a")
        site.status = 500
        clock.move(3_599)
        assert _kids(await sets.get(site.upstream.url, "a")) == ["a"]

        clock.move(1)

        with pytest.raises(ClientKeysUnavailable):
            await sets.get(site.upstream.url, "a")

    _with(act)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"keys":[]}', b"\xff", b'{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}',
     msgspec.json.encode({"keys": [_key("a", private=True)]}), b'{"keys":["' + b"x" * 20_000 + b'"]}'],
    ids=["empty", "a list", "no key", "no text", "symmetric", "private", "too large"],
)  # fmt: skip
def test_what_is_no_set_of_public_keys_is_not_used(body: bytes) -> None:
    async def act(site: Site, sets: ClientKeySets, clock: TestClock) -> None:
        site.body = body

        for _ in range(2):
            with pytest.raises(ClientKeysUnavailable):
                await sets.get(site.upstream.url, "a")

        assert site.asked == 1

    _with(act)


@pytest.mark.parametrize("url", ["https://127.0.0.2/k", "http://client.example/k", "https://[::1]/k", "file:///k"])
def test_keys_inside_are_not_asked_for(url: str) -> None:
    async def act(site: Site, sets: ClientKeySets, clock: TestClock) -> None:
        with pytest.raises(ClientKeysUnavailable):
            await sets.get(url, None)

    _with(act)


CALLBACK = "http://127.0.0.1/callback"
ALONE = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt"}


async def _describe(endpoint: Endpoint, **members: Any) -> None:
    metadata = parse_client_metadata(ALONE | members)
    await endpoint.rooms.agents.set_client("reader", metadata, ADMINISTRATOR)


def test_a_client_proves_itself_with_the_keys_of_its_metadata(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        assert (await ask(endpoint, sign(endpoint)))[0] == 401
        await _describe(endpoint, jwks={"keys": [KEY.as_dict(private=False)]})

        assert (await ask(endpoint, sign(endpoint, jti="j-2")))[0] == 200

        await _describe(endpoint, jwks={"keys": [_key("k1")]})
        assert (await ask(endpoint, sign(endpoint, jti="j-3")))[0] == 401

    with_endpoint(tmp_path, act)


def test_keys_of_a_client_that_has_another_method_prove_nothing(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await _describe(
            endpoint, jwks={"keys": [KEY.as_dict(private=False)]}, token_endpoint_auth_method="client_secret_basic"
        )

        assert (await ask(endpoint, sign(endpoint)))[0] == 401

    with_endpoint(tmp_path, act)


def test_a_client_proves_itself_with_the_keys_at_its_jwks_uri(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        site = Site()
        site.body = msgspec.json.encode({"keys": [KEY.as_dict(private=False)]})
        async with scripted(site.answer) as upstream:
            site.upstream = upstream
            await _describe(endpoint, jwks_uri=upstream.url)

            statuses = [(await ask(endpoint, sign(endpoint, jti=f"j-{n}")))[0] for n in range(3)]

            assert (statuses, site.asked) == ([200] * 3, 1)

    with_endpoint(tmp_path, act, private_hosts=("127.0.0.1",))


def test_a_client_whose_keys_cannot_be_had_is_refused_like_any_other(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        await _describe(endpoint, jwks_uri="https://127.0.0.1/keys")

        status, answer = await ask(endpoint, sign(endpoint))

        assert (status, answer["error"]) == (401, "invalid_client")
        assert "keys" not in answer["error_description"]

    with_endpoint(tmp_path, act)


def test_a_client_known_by_its_document_has_the_keys_that_stand_there_now(tmp_path: Path) -> None:
    async def act(endpoint: Endpoint) -> None:
        site = Site()
        async with scripted(site.answer) as upstream:
            site.upstream = upstream
            url = upstream.url
            members = ALONE | {
                "client_id": url,
                "redirect_uris": [CALLBACK],
                "grant_types": ["authorization_code", "client_credentials"],
                "jwks": {"keys": [KEY.as_dict(private=False)]},
            }
            site.body, site.kind = msgspec.json.encode(members), "application/json"
            metadata = parse_client_metadata(members)
            agent = await endpoint.rooms.agents.create(
                NewAgent(
                    name="by document",
                    owner="ana@example.com",
                    roles=("ai-agent-readonly",),
                    systems=("crm",),
                    client=metadata,
                    client_url=url,
                ),
                ADMINISTRATOR,
            )

            assert (await ask(endpoint, sign(endpoint, iss=url, sub=url)))[0] == 200
            # One name a client.
            assert (await ask(endpoint, sign(endpoint, iss=agent.id, sub=agent.id, jti="j-2")))[0] == 401
            site.body = msgspec.json.encode(members | {"jwks": {"keys": [_key("k1")]}})
            endpoint.rooms.clock.move(60)
            assert (await ask(endpoint, sign(endpoint, iss=url, sub=url, jti="j-3")))[0] == 401

    with_endpoint(tmp_path, act, private_hosts=("127.0.0.1",))
