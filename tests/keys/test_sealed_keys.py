"""Keys at rest: made once, sealed, and useless without the master key."""

import stat
from functools import partial
from pathlib import Path

import pytest

from accredit.canonical import base64url
from accredit.errors import InputRefused, Unavailable
from accredit.ids import new_id
from accredit.keys.keyring import add_keys, missing_purposes, new_keys, open_keyring
from accredit.keys.seal import Sealer
from accredit.keys.unsealers.environment import EnvironmentUnsealer
from accredit.keys.unsealers.file import FileUnsealer
from tests.keys.keyrings import a_custody, make_missing
from tests.rooms import Rooms, with_rooms


def test_keys_are_made_once_and_open_again(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        custody = a_custody()
        wanted = missing_purposes(rooms.database)
        # Two processes that look at once: what the second has made is thrown away.
        for rows in (
            await new_keys(wanted, custody, 1.0, new_id),
            await new_keys(wanted, custody, 2.0, new_id),
        ):
            await rooms.transactions.change(partial(add_keys, rows=rows))

        first, second = (open_keyring(rooms.database, custody, rooms.clock) for _ in range(2))

        assert missing_purposes(rooms.database) == ()
        assert first.jwks() == second.jwks()
        assert [key["alg"] for key in first.jwks()["keys"]] == ["ES256", "RS256", "EdDSA"]
        assert not {"d", "p", "q"} & {member for key in first.jwks()["keys"] for member in key}
        secrets = [first.client_secret, first.session, first.refresh_token, first.authorization, first.nonce]
        assert [len(secret) for secret in secrets] == [32] * 5
        assert len(set(secrets)) == 5

    with_rooms(tmp_path, act)


def test_an_installation_of_the_first_version_gets_what_it_lacks_and_keeps_what_it_has(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        custody = a_custody()
        old = ("access_token", "log", "log_mldsa44", "client_secret", "session")
        wanted = [one for one in missing_purposes(rooms.database) if one.purpose in old and one.algorithm[0] != "R"]
        before = await new_keys((one for one in wanted if one.algorithm != "EdDSA"), custody, 1.0, new_id)
        await rooms.transactions.change(lambda tx: add_keys(tx, before))
        with pytest.raises(Unavailable, match="no key for access_token"):
            open_keyring(rooms.database, custody, rooms.clock)

        await make_missing(rooms, custody)

        keyring = open_keyring(rooms.database, custody, rooms.clock)
        assert keyring.signer("ES256").key_id == before[0].id
        assert keyring.signer("RS256").algorithm == "RS256"
        assert len(keyring.refresh_token) == 32

    with_rooms(tmp_path, act)


def test_another_master_key_opens_nothing(tmp_path: Path) -> None:
    async def act(rooms: Rooms) -> None:
        await make_missing(rooms, a_custody())

        with pytest.raises(Unavailable, match="master key"):
            open_keyring(rooms.database, a_custody(b"\x01" * 32), rooms.clock)

    with_rooms(tmp_path, act)


def test_a_sealed_text_opens_only_in_its_own_place_and_unchanged() -> None:
    sealer = Sealer(bytes(32))
    sealed = sealer.seal(b"secret", "log/key_1")

    assert sealer.open(sealed, "log/key_1") == b"secret"
    for text, context in (
        (sealed, "log/key_2"),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), "log/key_1"),
        (b"\x02" + sealed[1:], "log/key_1"),
        (b"", "log/key_1"),
    ):
        with pytest.raises(Unavailable):
            sealer.open(text, context)


def test_the_master_key_file_is_made_private_and_only_once(tmp_path: Path) -> None:
    first = FileUnsealer(tmp_path)
    key = first.master_key()
    second = FileUnsealer(tmp_path)

    assert second.master_key() == key
    assert (first.made, second.made) == (True, False)
    assert stat.S_IMODE((tmp_path / "master.key").stat().st_mode) == 0o600


def test_a_master_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    FileUnsealer(tmp_path).master_key()
    (tmp_path / "master.key").chmod(0o644)

    with pytest.raises(InputRefused, match="read by others"):
        FileUnsealer(tmp_path).master_key()


@pytest.mark.parametrize("text", ["", "short", base64url(bytes(31)), base64url(bytes(32)) + "=", "é"])
def test_a_malformed_master_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "master.key").write_text(text)
    (tmp_path / "master.key").chmod(0o600)

    for unsealer in (FileUnsealer(tmp_path), EnvironmentUnsealer(text)):
        with pytest.raises(InputRefused) as caught:
            unsealer.master_key()

        assert not text or text not in caught.value.explanation
