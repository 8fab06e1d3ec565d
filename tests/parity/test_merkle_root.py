"""Our roots against an independent implementation of the same tree, `pymerkle`."""

from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from accredit.audit import tree
from accredit.audit.tiles import Edge


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=600))
def test_the_root_is_pymerkles_root(entries: list[bytes]) -> None:
    theirs = InmemoryTree(algorithm="sha256")
    for entry in entries:
        theirs.append_entry(entry)

    leaves = b"".join(map(tree.leaf_hash, entries))

    edge, _ = Edge().grow(leaves)
    assert tree.root(leaves) == edge.root() == theirs.get_root()
