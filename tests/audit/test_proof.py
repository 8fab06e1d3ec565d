"""The `.tlog-proof` file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accredit.audit import tree
from accredit.audit.checkpoint import Checkpoint
from accredit.audit.errors import CheckpointRefused, ProofRefused
from accredit.audit.proof import TlogProof, check_proof, encode_proof, parse_proof
from tests.audit.logs import SIGNER, reader_of, reference_root

ORIGIN = "accredit/01JDTEST"
KEYS = SIGNER.verifier_keys(ORIGIN)
ENTRIES = [b"entry %d" % n for n in range(5)]
HASHES = [tree.leaf_hash(entry) for entry in ENTRIES]
NOTE = SIGNER.sign(Checkpoint(ORIGIN, 5, reference_root(HASHES)), 1_800_000_000)
PROOF = TlogProof(2, tree.inclusion_proof(2, 5, reader_of(HASHES)), NOTE)
TEXT = encode_proof(PROOF)
# The part before the checkpoint, whose every byte means something; `test_checkpoint.py` has the rest.
HEAD = TEXT.index("\n\n")


def test_a_proof_verifies_with_the_logs_key_alone() -> None:
    checkpoint = check_proof(parse_proof(TEXT), ENTRIES[2], KEYS[:1])

    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 5)


def test_a_proof_has_the_form_that_the_specification_shows() -> None:
    lines = TEXT.splitlines()

    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 2"]
    assert lines[5:8] == ["", ORIGIN, "5"]


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.none() | st.binary(max_size=100),
)
def test_a_proof_reads_back_as_it_was_written(index: int, hashes: list[bytes], extra: bytes | None) -> None:
    proof = TlogProof(index, tuple(hashes), NOTE, extra)

    assert parse_proof(encode_proof(proof)) == proof


@given(st.integers(0, HEAD - 1), st.integers(1, 127))
def test_one_byte_changed_in_a_proof_is_refused(position: int, change: int) -> None:
    raw = bytearray(TEXT.encode())
    raw[position] = (raw[position] ^ change) & 0x7F

    with pytest.raises((ProofRefused, CheckpointRefused)):
        check_proof(parse_proof(raw.decode()), ENTRIES[2], KEYS)


def test_a_proof_does_not_serve_another_entry() -> None:
    with pytest.raises(ProofRefused, match="does not lead to the root"):
        check_proof(PROOF, ENTRIES[3], KEYS)


def test_a_proof_under_a_key_that_is_not_trusted_is_refused() -> None:
    with pytest.raises(CheckpointRefused, match="no trusted key"):
        check_proof(PROOF, ENTRIES[2], SIGNER.verifier_keys("another/log"))


@given(st.text())
def test_arbitrary_text_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(ProofRefused):
        parse_proof(text)


@pytest.mark.parametrize(
    "head", ["index 01", "index -1", "index", "extra \nindex 1\nAAAA", "index 1\nextra AAAA", "extra AAA\nindex 1"]
)
def test_a_malformed_proof_is_refused(head: str) -> None:
    with pytest.raises(ProofRefused):
        parse_proof(f"c2sp.org/tlog-proof@v1\n{head}\n\n{NOTE}")
