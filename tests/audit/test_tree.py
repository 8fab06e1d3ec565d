"""The Merkle tree of RFC 6962: known vectors, and what must hold for every tree and every proof."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accredit.audit import tree
from accredit.audit.errors import ProofRefused
from tests.audit.logs import leaves, reader_of, reference_root

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "vectors" / "rfc6962.json").read_text())
ENTRIES = [bytes.fromhex(entry) for entry in VECTORS["entries"]]
ROOTS = [bytes.fromhex(root) for root in VECTORS["roots"]]
SIZES = st.integers(1, 600)


def hashes_of(case: dict[str, Any]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(value) for value in case["proof"])


@pytest.mark.parametrize("size", range(9))
def test_the_root_is_the_reference_tests_root(size: int) -> None:
    assert tree.root(b"".join(map(tree.leaf_hash, ENTRIES[:size]))) == ROOTS[size]


@pytest.mark.parametrize("case", VECTORS["inclusion"])
def test_an_inclusion_proof_is_the_reference_tests_proof(case: dict[str, Any]) -> None:
    hashes = [tree.leaf_hash(entry) for entry in ENTRIES]

    proof = tree.inclusion_proof(case["index"], case["size"], reader_of(hashes))

    assert proof == hashes_of(case)
    tree.check_inclusion(hashes[case["index"]], case["index"], case["size"], proof, ROOTS[case["size"]])


@pytest.mark.parametrize("case", VECTORS["consistency"])
def test_a_consistency_proof_is_the_reference_tests_proof(case: dict[str, Any]) -> None:
    hashes = [tree.leaf_hash(entry) for entry in ENTRIES]

    proof = tree.consistency_proof(case["old"], case["new"], reader_of(hashes))

    assert proof == hashes_of(case)
    tree.check_consistency(case["old"], case["new"], proof, ROOTS[case["old"]], ROOTS[case["new"]])


@given(st.integers(0, 600))
def test_the_root_is_the_one_that_the_rfc_defines(size: int) -> None:
    hashes = leaves(size)

    assert tree.root(b"".join(hashes)) == reference_root(hashes)


@given(SIZES)
def test_the_root_from_subtrees_is_the_root_from_leaves(size: int) -> None:
    hashes = leaves(size)

    assert tree.root_at(size, reader_of(hashes)) == tree.root(b"".join(hashes))


@given(SIZES, st.data())
def test_every_inclusion_proof_verifies(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)

    proof = tree.inclusion_proof(index, size, reader_of(hashes))

    tree.check_inclusion(hashes[index], index, size, proof, reference_root(hashes))


@given(SIZES, st.data())
def test_every_consistency_proof_verifies(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    hashes = leaves(size)

    proof = tree.consistency_proof(old, size, reader_of(hashes))

    tree.check_consistency(old, size, proof, reference_root(hashes[:old]), reference_root(hashes))


@given(SIZES, st.data())
def test_an_inclusion_proof_with_one_bit_flipped_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    proof = tree.inclusion_proof(index, size, reader_of(hashes))
    parts = [hashes[index], reference_root(hashes), *proof]
    leaf, root, *spoiled = flip_one_bit(parts, data)

    with pytest.raises(ProofRefused):
        tree.check_inclusion(leaf, index, size, spoiled, root)


@given(SIZES, st.data())
def test_a_consistency_proof_with_one_bit_flipped_is_refused(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    hashes = leaves(size)
    proof = tree.consistency_proof(old, size, reader_of(hashes))
    parts = [reference_root(hashes[:old]), reference_root(hashes), *proof]
    old_root, new_root, *spoiled = flip_one_bit(parts, data)

    with pytest.raises(ProofRefused):
        tree.check_consistency(old, size, spoiled, old_root, new_root)


@given(SIZES, st.data())
def test_a_proof_serves_no_other_index(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size).filter(lambda value: value != index))
    hashes = leaves(size)
    proof = tree.inclusion_proof(index, size, reader_of(hashes))

    with pytest.raises(ProofRefused):
        tree.check_inclusion(hashes[index], other, size, proof, reference_root(hashes))


@given(SIZES, st.data())
def test_a_proof_with_a_hash_more_or_less_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    proof = tree.inclusion_proof(index, size, reader_of(hashes))
    longer = (*proof, sha256(b"more").digest())

    with pytest.raises(ProofRefused):
        tree.check_inclusion(hashes[index], index, size, longer, reference_root(hashes))
    if proof:
        with pytest.raises(ProofRefused):
            tree.check_inclusion(hashes[index], index, size, proof[:-1], reference_root(hashes))


@pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5), (-1, 5)])
def test_no_consistency_proof_is_made_or_accepted_for_impossible_sizes(old: int, new: int) -> None:
    hashes = leaves(6)

    with pytest.raises(ProofRefused):
        tree.consistency_proof(old, new, reader_of(hashes))
    with pytest.raises(ProofRefused):
        tree.check_consistency(old, new, [], reference_root(hashes), reference_root(hashes))


def test_two_trees_of_one_size_with_different_roots_are_refused() -> None:
    one, other = leaves(2)

    with pytest.raises(ProofRefused):
        tree.check_consistency(2, 2, [], one, other)


def test_a_hash_of_another_length_is_refused() -> None:
    with pytest.raises(ProofRefused, match="32 bytes"):
        tree.check_inclusion(b"short", 0, 1, [], b"short")


def flip_one_bit(parts: list[bytes], data: st.DataObject) -> list[bytes]:
    part = data.draw(st.integers(0, len(parts) - 1))
    bit = data.draw(st.integers(0, 255))
    value = int.from_bytes(parts[part]) ^ (1 << bit)
    return [*parts[:part], value.to_bytes(32), *parts[part + 1 :]]
