"""Keys in OpenBao's transit engine, against a real OpenBao."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import msgspec
import pytest
import structlog
import uvloop
from sqlalchemy import select

from accredit.errors import InputRefused, Unavailable
from accredit.ids import KeyId
from accredit.keys.algorithms import AlgorithmName
from accredit.keys.signer import Signer
from accredit.keys.signers import openbao_transit
from accredit.keys.signers.openbao_transit import OpenBaoTransit
from accredit.outbound import Outbound
from accredit.storage.schema import keys
from tests.keys.keyrings import a_custody, open_installation
from tests.keys.openbao import OpenBao, openbao
from tests.rooms import Rooms, with_rooms

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

KEY_ID = KeyId("key_01TEST")
TEXT = b"header.payload"


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    with openbao(tmp_path_factory.mktemp("openbao")) as running:
        yield running


@asynccontextmanager
async def transit(address: str, token_file: Path) -> AsyncIterator[OpenBaoTransit]:
    outbound = Outbound()
    try:
        yield OpenBaoTransit(outbound, address=address, mount="transit", token_file=str(token_file))
    finally:
        await outbound.close()


async def made(place: OpenBaoTransit, algorithm: AlgorithmName, key_id: str) -> Signer:
    kept = await place.make(KeyId(key_id), algorithm)
    return place.open(KeyId(key_id), algorithm, kept)


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """The address of a server that answers each connection like this."""
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(cast("asyncio.Task[None]", asyncio.current_task()))
        await reader.readuntil(b"\r\n\r\n")
        await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_the_engine_signs_what_the_published_key_verifies(bao: OpenBao, algorithm: AlgorithmName) -> None:
    async def act() -> None:
        async with transit(bao.address, bao.token_file) as place:
            signer = await made(place, algorithm, f"key_{algorithm}")

            signer.verify(TEXT, await signer.sign(TEXT))

            assert signer.public_jwk["alg"] == algorithm

    uvloop.run(act())


def test_the_private_key_never_leaves_the_engine_and_the_row_keeps_a_sealed_reference(
    bao: OpenBao, tmp_path: Path
) -> None:
    async def act(rooms: Rooms) -> None:
        async with transit(bao.address, bao.token_file) as place:
            custody = a_custody(bytes(32), place)
            keyring, rotation = await open_installation(rooms, custody)
            signer = keyring.signer()
            signer.verify(TEXT, await signer.sign(TEXT))

            rows = await rooms.database.read(
                lambda c: c.execute(select(keys).where(keys.c.purpose == "access_token")).all()
            )
            assert {row.kept_in for row in rows} == {"openbao_transit"}
            assert not any(b"accredit-" in row.sealed for row in rows)
            for row in rows:
                held = bao.root("GET", f"transit/keys/accredit-{row.id}")["data"]
                assert (held["exportable"], held["allow_plaintext_backup"]) == (False, False)

            new = await rotation.rotate("ES256", at_once=True, record=lambda _tx, _key: None)
            assert new.kept_in == "openbao_transit"
            assert keyring.signer().key_id == new.id
            keyring.signer().verify(TEXT, await keyring.signer().sign(TEXT))

    with_rooms(tmp_path, act)


def test_a_key_that_is_rotated_in_the_engine_still_signs_with_what_was_published(bao: OpenBao) -> None:
    async def act() -> None:
        async with transit(bao.address, bao.token_file) as place:
            signer = await made(place, "ES256", "key_turned")
            bao.root("POST", "transit/keys/accredit-key_turned/rotate")

            signer.verify(TEXT, await signer.sign(TEXT))

    uvloop.run(act())


def test_a_signature_of_another_key_is_not_used(bao: OpenBao) -> None:
    async def act() -> None:
        async with transit(bao.address, bao.token_file) as place:
            kept = await place.make(KeyId("key_one"), "ES256")
            await place.make(KeyId("key_two"), "ES256")
            # As if someone had put another key in this one's place in the engine.
            signer = place.open(KeyId("key_one"), "ES256", kept.replace(b"accredit-key_one", b"accredit-key_two"))

            with pytest.raises(Unavailable):
                await signer.sign(TEXT)

    uvloop.run(act())


def test_a_reference_to_a_key_of_another_algorithm_is_not_opened(bao: OpenBao) -> None:
    async def act() -> None:
        async with transit(bao.address, bao.token_file) as place:
            kept = await place.make(KeyId("key_kind"), "EdDSA")

            for algorithm, text in (("RS256", kept), ("EdDSA", b"{}"), ("EdDSA", kept[:-9])):
                with pytest.raises(Unavailable):
                    place.open(KeyId("key_kind"), algorithm, text)  # type: ignore[arg-type]  # both are algorithms

    uvloop.run(act())


def test_its_loss_gives_no_signature_and_its_public_half_still_verifies(tmp_path: Path) -> None:
    async def act(running: OpenBao) -> None:
        async with transit(running.address, running.token_file) as place:
            kept = await place.make(KEY_ID, "ES256")
            signer = place.open(KEY_ID, "ES256", kept)
            signature = await signer.sign(TEXT)

            running.stop()

            with pytest.raises(Unavailable, match="does not sign now"):
                await signer.sign(TEXT)
            with pytest.raises(Unavailable, match="does not sign now"):
                await place.make(KeyId("key_02TEST"), "ES256")
            place.open(KEY_ID, "ES256", kept).verify(TEXT, signature)

    with openbao(tmp_path) as running:
        uvloop.run(act(running))


def test_without_its_address_its_keys_verify_and_sign_nothing(bao: OpenBao) -> None:
    async def act() -> None:
        async with transit(bao.address, bao.token_file) as place:
            kept = await place.make(KeyId("key_left"), "ES256")
            signature = await place.open(KeyId("key_left"), "ES256", kept).sign(TEXT)
        async with transit("", Path()) as away:
            signer = away.open(KeyId("key_left"), "ES256", kept)

            signer.verify(TEXT, signature)
            with pytest.raises(Unavailable, match="openbao_address"):
                await signer.sign(TEXT)

    uvloop.run(act())


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("s.not-a-token", id="unknown"),
        pytest.param("", id="empty"),
        pytest.param("two tokens", id="two"),
        pytest.param("a\r\nx-vault-wrap-ttl: 60s", id="a header smuggled in"),
        pytest.param(None, id="no file"),
    ],
)
def test_a_token_that_does_not_do_signs_nothing_and_is_told_to_nobody(
    bao: OpenBao, tmp_path: Path, token: str | None
) -> None:
    async def act() -> None:
        async with transit(bao.address, bao.token_file) as place:
            kept = await place.make(KEY_ID, "ES256")
        path = tmp_path / "token"
        if token is not None:
            path.write_text(token)
        async with transit(bao.address, path) as place:
            with structlog.testing.capture_logs() as logs, pytest.raises(Unavailable) as caught:
                await place.open(KEY_ID, "ES256", kept).sign(TEXT)

        said = f"{caught.value} {caught.value.detail} {logs}"
        assert not token or token not in said

    uvloop.run(act())


def test_a_renewed_token_is_taken_up_without_a_restart(bao: OpenBao, tmp_path: Path) -> None:
    async def act() -> None:
        path = tmp_path / "token"
        path.write_text(bao.token_file.read_text())
        async with transit(bao.address, path) as place:
            signer = await made(place, "ES256", "key_renewed")
            path.write_text("s.expired")
            with pytest.raises(Unavailable):
                await signer.sign(TEXT)

            path.write_text(bao.token_file.read_text())

            signer.verify(TEXT, await signer.sign(TEXT))

    uvloop.run(act())


def test_an_engine_that_does_not_answer_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(openbao_transit, "SIGN_SECONDS", 0.3)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Each byte is in time; the whole never ends.
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not reader.at_eof() and reader.exception() is None:
                writer.write(b" ")
                await asyncio.sleep(0.05)

    async def act() -> None:
        (tmp_path / "token").write_text("s.token")
        began = time.monotonic()
        async with answering(drip) as address, transit(address, tmp_path / "token") as place:
            with pytest.raises(Unavailable, match="does not sign now"):
                await place.make(KEY_ID, "ES256")
        assert time.monotonic() - began < 3

    uvloop.run(act())


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("vault:v1:", id="empty"),
        pytest.param("vault:v1:" + "A" * 86, id="zeros"),
        pytest.param("vault:v2:" + "A" * 86, id="another version"),
        pytest.param("vault:v1:not base64url", id="not base64url"),
        pytest.param(None, id="null"),
    ],
)
def test_what_is_no_signature_is_not_used(bao: OpenBao, tmp_path: Path, signature: str | None) -> None:
    body = msgspec.json.encode({"data": {"signature": signature}})

    async def forge(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    async def act() -> None:
        async with transit(bao.address, bao.token_file) as place:
            kept = await place.make(KEY_ID, "ES256")
        (tmp_path / "token").write_text("s.token")
        async with answering(forge) as address, transit(address, tmp_path / "token") as place:
            with pytest.raises(Unavailable, match="does not sign now"):
                await place.open(KEY_ID, "ES256", kept).sign(TEXT)

    uvloop.run(act())


@pytest.mark.parametrize(
    ("address", "mount", "token_file"),
    [
        pytest.param("http://bao.example.com:8200", "transit", "token", id="a token in the clear"),
        pytest.param("https://u:p@bao.example.com", "transit", "token", id="user information"),
        pytest.param("https://bao.example.com", "a/../b", "token", id="a mount with dots"),
        pytest.param("https://bao.example.com", "transit", "", id="no token"),
    ],
)
def test_unfit_settings_are_refused_at_the_start(address: str, mount: str, token_file: str) -> None:
    with pytest.raises(InputRefused):
        OpenBaoTransit(Outbound(), address=address, mount=mount, token_file=token_file)
