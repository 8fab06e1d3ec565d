"""The Merkle tree of RFC 6962 §2.1 (RFC 9162 §2.1): hashes, roots, proofs and their verification. Pure functions."""

from collections.abc import Callable, Sequence
from hashlib import sha256

from accredit.audit.errors import ProofRefused

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

_LEAF = b"\x00"
_NODE = b"\x01"

ReadNode = Callable[[int, int], bytes]
"""`read(level, index)` → the hash over the leaves [index · 2^level, (index + 1) · 2^level), all of which exist."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry (RFC 6962 §2.1)."""
    return sha256(_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees (RFC 6962 §2.1)."""
    return sha256(_NODE + left + right).digest()


def root(hashes: bytes) -> bytes:
    """The root over hashes of 32 bytes, one after the other.

    They are leaf hashes, or hashes of complete subtrees of one size (the last one may be incomplete): pairing from
    the bottom and passing an odd one up gives the tree of RFC 6962, whose left subtrees are always complete.
    """
    if not hashes:
        return EMPTY_ROOT
    while len(hashes) > HASH_BYTES:
        paired = len(hashes) - len(hashes) % (2 * HASH_BYTES)
        pairs = [sha256(_NODE + hashes[i : i + 64]).digest() for i in range(0, paired, 64)]
        hashes = b"".join(pairs) + hashes[paired:]
    return hashes


def root_at(size: int, read: ReadNode) -> bytes:
    """The root of the first `size` leaves, from the hashes of complete subtrees."""
    return _range_hash(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: ReadNode) -> tuple[bytes, ...]:
    """The proof that leaf `index` is in the tree of `size` leaves, from the leaf upwards (RFC 9162 §2.1.3.1).

    Raises ProofRefused if there is no such leaf.
    """
    if not 0 <= index < size:
        raise ProofRefused(f"a tree of {size} events has no event {index}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_hash(middle, end, read))
            end = middle
        else:
            proof.append(_range_hash(start, middle, read))
            start = middle
    return tuple(reversed(proof))


def consistency_proof(old: int, new: int, read: ReadNode) -> tuple[bytes, ...]:
    """The proof that the tree of `old` leaves is the beginning of the tree of `new` (RFC 9162 §2.1.4.1).

    Raises ProofRefused if `old` is 0 or larger than `new`: there is nothing to prove.
    """
    if not 0 < old <= new:
        raise ProofRefused(f"no proof leads from {old} events to {new}")
    proof: list[bytes] = []
    start, end = 0, new
    # False while the old tree is still the whole left part: its root is known to who verifies.
    inside = False
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_range_hash(middle, end, read))
            end = middle
        else:
            proof.append(_range_hash(start, middle, read))
            start = middle
            inside = True
    if inside:
        proof.append(_range_hash(start, end, read))
    return tuple(reversed(proof))


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> None:
    """Verify an inclusion proof (RFC 9162 §2.1.3.2). Raises ProofRefused."""
    if not 0 <= index < size:
        raise ProofRefused(f"a tree of {size} events has no event {index}")
    _check_hashes([leaf, expected_root, *proof])
    _, result = _climb(index, size - 1, leaf, proof)
    if result != expected_root:
        raise ProofRefused(f"the proof of event {index} does not lead to the root")


def check_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Verify that one tree is the beginning of another (RFC 9162 §2.1.4.2). Raises ProofRefused."""
    if not 0 < old <= new:
        raise ProofRefused(f"no proof leads from {old} events to {new}")
    _check_hashes([old_root, new_root, *proof])
    if old == new:
        if proof or old_root != new_root:
            raise ProofRefused("two trees of the same size have different roots")
        return
    # §2.1.4.2 step 3: the old root itself begins the path when the old tree is complete.
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise ProofRefused("the proof is empty")
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    from_old, from_new = _climb(position, last, path[0], path[1:])
    if from_old != old_root or from_new != new_root:
        raise ProofRefused(f"the tree of {new} events does not begin with the tree of {old}")


def _split(size: int) -> int:
    """The largest power of two below `size` (RFC 6962 §2.1: k)."""
    return 1 << ((size - 1).bit_length() - 1)


def _range_hash(start: int, end: int, read: ReadNode) -> bytes:
    size = end - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return read(level, start >> level)
    middle = start + _split(size)
    return node_hash(_range_hash(start, middle, read), _range_hash(middle, end, read))


def _climb(position: int, last: int, start: bytes, siblings: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Hash upwards from `start` (RFC 9162 §2.1.3.2 step 4, §2.1.4.2 step 6).

    Returns the root of what lies left of and under the path, and the root of everything.
    """
    older = newer = start
    for sibling in siblings:
        if last == 0:
            raise ProofRefused("the proof is longer than the tree is high")
        if position & 1 or position == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            newer = node_hash(newer, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise ProofRefused("the proof is shorter than the tree is high")
    return older, newer


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(value) != HASH_BYTES for value in hashes):
        raise ProofRefused("a hash has not 32 bytes")
