"""Checkpoints: signed notes as C2SP defines them, against a worked example that two other verifiers accepted."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from accredit.audit import tree
from accredit.audit.checkpoint import (
    COSIGNATURE_V1,
    ED25519,
    Checkpoint,
    VerifierKey,
    encode_note,
    open_checkpoint,
    parse_checkpoint_text,
    parse_note,
    parse_vkey,
)
from accredit.audit.errors import CheckpointRefused
from tests.audit.logs import SIGNER

VKEY = "audit.example.com/log+e3a410b2+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
WITNESS = "witness.example.com/w1+969980cf+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
EXAMPLE = """audit.example.com/log
3
LP73YnWX4AtWSXV3Stco7yEHBnWfym1kE4xt/By/LNo=

— audit.example.com/log 46QQsl+NW2AeL/QQ1BgTZpIkHo+HN2kiJCQ6oQQ2lx3Y+LA14q0SXXpnU/22thu/O/WszHa3hdoUWcKwC5nTmcgOAwU=
— witness.example.com/w1 \
lpmAzwAAAABrSdIAisMOEg71WnIZ13QRlakpX3lzAL36IvwyqQGYfYy9mLItV9v9wVGKn2v07vakadeMBdtnXRGmoJ7PTIR1zeGUDw==
"""
ENTRIES = [b'{"n":0}', b'{"n":1}', b'{"n":2}']
ORIGIN = "accredit/01JDTEST"
KEYS = SIGNER.verifier_keys(ORIGIN)
NOTE = SIGNER.sign(Checkpoint(ORIGIN, 7, bytes(range(32))), 1_800_000_000)


def test_the_worked_example_verifies_with_the_logs_key() -> None:
    checkpoint = open_checkpoint(EXAMPLE, [parse_vkey(VKEY)])

    root = tree.root(b"".join(map(tree.leaf_hash, ENTRIES)))
    assert tree.leaf_hash(ENTRIES[0]).hex() == "f94070abfd2da0bf72902eb13a808e794f954d9e2745c682a158f6ed0d4ac036"
    assert checkpoint == Checkpoint("audit.example.com/log", 3, root)


def test_the_worked_examples_witness_verifies_too() -> None:
    open_checkpoint(EXAMPLE, [parse_vkey(VKEY), parse_vkey(WITNESS)], every_key=True)


def test_the_worked_examples_keys_are_made_from_its_seeds() -> None:
    log = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    witness = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64))).public_key().public_bytes_raw()

    assert VerifierKey("audit.example.com/log", ED25519, log).text() == VKEY
    assert VerifierKey("witness.example.com/w1", COSIGNATURE_V1, witness).text() == WITNESS


def test_our_own_ed25519_line_is_the_worked_examples_line() -> None:
    note = SIGNER.sign(parse_checkpoint_text(parse_note(EXAMPLE).text), 1_800_000_000)

    assert note.splitlines()[4] == EXAMPLE.splitlines()[4]


def test_a_witness_alone_does_not_make_a_checkpoint() -> None:
    with pytest.raises(CheckpointRefused, match="no trusted key"):
        open_checkpoint(EXAMPLE, [parse_vkey(WITNESS)])


def test_a_note_carries_both_signatures_and_each_verifies_alone() -> None:
    for key in KEYS:
        assert open_checkpoint(NOTE, [key], every_key=True).size == 7
    assert [len(line) for line in NOTE.splitlines()[4:]] == [len(ORIGIN) + 95, len(ORIGIN) + 3_247]


def test_an_ml_dsa_key_has_a_vkey_of_the_size_that_the_research_measured() -> None:
    key = KEYS[1]

    assert len(key.text()) == len(ORIGIN) + 10 + 1_752
    assert parse_vkey(key.text()) == key


def test_a_checkpoint_of_an_empty_tree_can_be_signed() -> None:
    empty = Checkpoint(ORIGIN, 0, tree.EMPTY_ROOT)

    assert open_checkpoint(SIGNER.sign(empty, 0), KEYS, every_key=True) == empty


def test_signatures_of_unknown_keys_are_ignored() -> None:
    stranger = parse_note(EXAMPLE).signatures[1].line()

    assert open_checkpoint(NOTE + stranger, KEYS, every_key=True).size == 7


def test_a_known_key_that_did_not_sign_this_refuses_the_whole_note() -> None:
    other = SIGNER.sign(Checkpoint(ORIGIN, 8, bytes(range(32))), 1_800_000_000)
    forged = "".join(NOTE.splitlines(keepends=True)[:5]) + other.splitlines(keepends=True)[5]

    with pytest.raises(CheckpointRefused, match="not valid"):
        open_checkpoint(forged, KEYS)


def test_a_missing_signature_is_noticed_by_who_asks_for_every_key() -> None:
    classic_only = "".join(NOTE.splitlines(keepends=True)[:5])

    assert open_checkpoint(classic_only, KEYS).size == 7
    with pytest.raises(CheckpointRefused, match="missing"):
        open_checkpoint(classic_only, KEYS, every_key=True)


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(1, 255))
def test_one_byte_changed_anywhere_in_a_note_is_refused(position: int, change: int) -> None:
    raw = bytearray(NOTE.encode())
    raw[position] ^= change

    with pytest.raises((CheckpointRefused, UnicodeDecodeError)):
        open_checkpoint(raw.decode(), KEYS, every_key=True)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_reads_back_as_it_was_written(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root)

    assert parse_checkpoint_text(checkpoint.text()) == checkpoint


@given(st.text())
def test_arbitrary_text_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(CheckpointRefused):
        open_checkpoint(text, KEYS)


def test_a_note_reads_back_as_it_was_written() -> None:
    assert encode_note(parse_note(EXAMPLE)) == EXAMPLE


@pytest.mark.parametrize(
    "text",
    [
        "o\n1\n",
        "o\n01\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "o\n-1\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "o\n1\n" + base64.b64encode(bytes(31)).decode() + "\n",
        "o\n1\n" + base64.b64encode(bytes(32)).decode(),
        "o\n1\n" + base64.b64encode(bytes(32)).decode() + "\n\n",
        "\n1\n" + base64.b64encode(bytes(32)).decode() + "\n",
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointRefused):
        parse_checkpoint_text(text)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "name",
        VKEY.replace("e3a410b2", "e3a410b3"),
        VKEY.replace("e3a410b2", "E3A410B2"),
        VKEY.replace("+AQ", "+Ag"),
        VKEY[:-4],
        " " + VKEY,
        VKEY.replace("audit", "au dit"),
    ],
)
def test_a_malformed_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(CheckpointRefused):
        parse_vkey(vkey)
