"""The tree as files: the coordinates of C2SP tlog-tiles."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accredit.audit import tree
from accredit.audit.errors import LogBroken
from accredit.audit.tiles import (
    Edge,
    EntryBundle,
    Tile,
    edge_tiles,
    node_reader,
    pack_entries,
    parse_entries,
    parse_path,
    tiles_between,
)
from accredit.errors import InputRefused
from tests.audit.logs import leaves, reference_root

WIDTHS = st.integers(1, 256)
NUMBERS = st.integers(0, 10**15)


@pytest.mark.parametrize(
    ("number", "path"),
    [(5, "005"), (999, "999"), (1000, "x001/000"), (67_000, "x067/000"), (1_234_067, "x001/x234/067")],
)
def test_a_number_is_written_in_groups_of_three_digits(number: int, path: str) -> None:
    assert Tile(0, number).path == f"tile/0/{path}"
    assert EntryBundle(number, 3).path == f"tile/entries/{path}.p/3"


@given(st.integers(0, 63), NUMBERS, WIDTHS)
def test_a_tiles_path_leads_back_to_it(level: int, number: int, width: int) -> None:
    tile = Tile(level, number, width)

    assert parse_path(tile.path) == tile


@given(NUMBERS, WIDTHS)
def test_an_entry_bundles_path_leads_back_to_it(number: int, width: int) -> None:
    bundle = EntryBundle(number, width)

    assert parse_path(bundle.path) == bundle


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/5",
        "tile/00/005",
        "tile/64/005",
        "tile/-1/005",
        "tile/0/x000/005",
        "tile/0/001/005",
        "tile/0/x001/5",
        "tile/0/005.p/0",
        "tile/0/005.p/256",
        "tile/0/005.p/07",
        "tile/0/005.p/",
        "tile/0/005\n",
        "tile/0/../005",
        "tile/0/٠٠٥",
        "tile/data/005",
        "/tile/0/005",
        "",
    ],
)
def test_a_second_spelling_of_a_path_is_refused(path: str) -> None:
    with pytest.raises(InputRefused):
        parse_path(path)


def test_a_tree_of_70000_leaves_has_the_tiles_that_the_specification_counts() -> None:
    tiles = list(tiles_between(0, 70_000))

    full = Counter(tile.level for tile in tiles if tile.width == 256)
    partial = {tile.level: tile.path for tile in tiles if tile.width < 256}

    assert full == {0: 273, 1: 1}
    assert partial == {0: "tile/0/273.p/112", 1: "tile/1/001.p/17", 2: "tile/2/000.p/1"}
    assert [(tile.level, tile.width) for tile in edge_tiles(70_000)] == [(0, 112), (1, 17), (2, 1)]


@given(st.lists(st.integers(0, 700), min_size=1, max_size=5))
def test_growing_changes_exactly_the_tiles_between_the_two_sizes(steps: list[int]) -> None:
    hashes = leaves(sum(steps))
    edge = Edge()

    for step in steps:
        grown, changed = edge.grow(b"".join(hashes[edge.size : edge.size + step]))

        expected = {(tile.level, tile.number): tile.width for tile in tiles_between(edge.size, grown.size)}
        assert {key: len(data) // 32 for key, data in changed.items()} == expected
        edge = grown

    assert edge.size == len(hashes)
    assert edge.root() == reference_root(hashes)


def test_a_tree_with_three_levels_grows_in_any_steps_to_the_same_tiles() -> None:
    hashes = leaves(66_000)
    stored: dict[tuple[int, int], bytes] = {}
    edge = Edge()

    for start, end in [(0, 1), (1, 255), (255, 257), (257, 65_535), (65_535, 65_537), (65_537, 66_000)]:
        edge, changed = edge.grow(b"".join(hashes[start:end]))
        assert all(data.startswith(stored.get(key, b"")) for key, data in changed.items())
        stored |= changed

    at_once, all_tiles = Edge().grow(b"".join(hashes))
    assert stored == all_tiles
    assert edge.root() == at_once.root() == tree.root(b"".join(hashes))


@given(st.integers(1, 1_500), st.data())
def test_proofs_read_from_tiles_verify(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    edge, stored = Edge().grow(b"".join(hashes))
    read = node_reader(lambda level, number: stored[level, number])

    inclusion = tree.inclusion_proof(index, size, read)
    consistency = tree.consistency_proof(index + 1, size, read)

    tree.check_inclusion(hashes[index], index, size, inclusion, edge.root())
    tree.check_consistency(index + 1, size, consistency, reference_root(hashes[: index + 1]), edge.root())


def test_a_tile_that_is_too_short_is_named() -> None:
    read = node_reader(lambda _level, _number: bytes(32))

    with pytest.raises(LogBroken, match="tile 0/0 is too short"):
        tree.root_at(2, read)


@given(st.lists(st.binary(max_size=80), max_size=256))
def test_an_entry_bundle_holds_what_was_packed(entries: list[bytes]) -> None:
    assert parse_entries(pack_entries(entries)) == tuple(entries)


def test_a_bundle_of_our_entries_has_the_size_that_readers_expect() -> None:
    assert len(pack_entries([bytes(33)] * 256)) == 8_960


@pytest.mark.parametrize("bundle", [b"\x00", b"\x00\x05abcd", b"\x00\x00" * 257])
def test_a_damaged_bundle_is_refused(bundle: bytes) -> None:
    with pytest.raises(InputRefused):
        parse_entries(bundle)
