"""The tree as files: C2SP tlog-tiles coordinates, paths and entry bundles, and the right edge that grows. Pure.

A full tile holds 256 hashes. Tile `n` of level `l` holds the hashes of complete subtrees of 256^l leaves, and the
last tile of each level is partial: its width is part of its path. https://c2sp.org/tlog-tiles@v0.1.0
"""

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from accredit.audit import tree
from accredit.audit.errors import LogBroken
from accredit.errors import InputRefused

WIDTH = 256
TILE_BYTES = WIDTH * tree.HASH_BYTES
_HEIGHT = 8
_HIGHEST_LEVEL = 63
_LENGTH_BYTES = 2
_ENTRY_LIMIT = 65_535

_PATH = re.compile(
    r"tile/(?P<level>[0-9]{1,2}|entries)/(?P<number>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?"
)

ReadTile = Callable[[int, int], bytes]
"""`read(level, number)` → the hashes of a tile, at least as many as are asked for."""


class Tile(msgspec.Struct, frozen=True):
    """Where hashes are: level, number within the level, and how many of the 256 there are."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """`tile/<L>/<N>[.p/<W>]`."""
        return f"tile/{self.level}/{_number_path(self.number)}{_width_path(self.width)}"


class EntryBundle(msgspec.Struct, frozen=True):
    """Where entries are: the same number and width as the tile of level 0 over them."""

    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """`tile/entries/<N>[.p/<W>]`."""
        return f"tile/entries/{_number_path(self.number)}{_width_path(self.width)}"


def parse_path(path: str) -> Tile | EntryBundle:
    """Read a path such as `tile/0/x001/067.p/3`. Raises InputRefused for every other spelling."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise InputRefused("not the path of a tile", next_step="see https://c2sp.org/tlog-tiles")
    number = int(match["number"].replace("x", "").replace("/", ""))
    width = int(match["width"]) if match["width"] else WIDTH
    parsed = EntryBundle(number, width) if match["level"] == "entries" else Tile(int(match["level"]), number, width)
    # Compared as text, so that leading zeros, a width of 0 or 256 and levels above 63 are no second name.
    if parsed.path != path or not width or (isinstance(parsed, Tile) and parsed.level > _HIGHEST_LEVEL):
        raise InputRefused("not the path of a tile", next_step="see https://c2sp.org/tlog-tiles")
    return parsed


def tiles_between(old: int, new: int) -> Iterator[Tile]:
    """The tiles that a tree of `new` leaves has, or has wider, than one of `old`."""
    level = 0
    while new >> (_HEIGHT * level):
        before, after = old >> (_HEIGHT * level), new >> (_HEIGHT * level)
        if after > before:
            for number in range(before // WIDTH, (after - 1) // WIDTH + 1):
                yield Tile(level, number, min(WIDTH, after - number * WIDTH))
        level += 1


def edge_tiles(size: int) -> tuple[Tile, ...]:
    """The partial tiles of a tree, from level 0 upwards, with a width of 0 where a level has none."""
    levels = range((size.bit_length() + _HEIGHT - 1) // _HEIGHT)
    counts = [size >> (_HEIGHT * level) for level in levels]
    return tuple(Tile(level, count // WIDTH, count % WIDTH) for level, count in zip(levels, counts, strict=True))


def node_reader(read: ReadTile) -> tree.ReadNode:
    """Read any complete subtree's hash from tiles. It raises LogBroken if a tile is shorter than it must be."""

    def node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, _HEIGHT)
        number, first = divmod(index << height, WIDTH)
        start = first * tree.HASH_BYTES
        end = start + (tree.HASH_BYTES << height)
        data = read(tile_level, number)
        if len(data) < end:
            raise LogBroken(f"tile {tile_level}/{number} is too short", seq=index << level)
        return tree.root(data[start:end])

    return node


def pack_entries(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: each entry after its length as two bytes, big-endian."""
    return b"".join([len(entry).to_bytes(_LENGTH_BYTES) + entry for entry in entries])


def parse_entries(bundle: bytes) -> tuple[bytes, ...]:
    """The entries of a bundle. Raises InputRefused if it ends within an entry or holds more than 256."""
    entries: list[bytes] = []
    position = 0
    while position < len(bundle):
        start = position + _LENGTH_BYTES
        position = start + int.from_bytes(bundle[start - _LENGTH_BYTES : start])
        if start > len(bundle) or position > len(bundle):
            raise InputRefused("an entry bundle ends within an entry")
        entries.append(bundle[start:position])
    if len(entries) > WIDTH:
        raise InputRefused("an entry bundle holds more than 256 entries")
    return tuple(entries)


class Edge(msgspec.Struct, frozen=True):
    """The right edge of a tree: all that is needed to add leaves. `levels` holds the partial tile of each level."""

    size: int = 0
    levels: tuple[bytes, ...] = ()

    def grow(self, leaves: bytes) -> tuple["Edge", dict[tuple[int, int], bytes]]:
        """Add leaf hashes; returns the new edge, and the tiles that are new or wider by (level, number)."""
        levels = list(self.levels)
        changed: dict[tuple[int, int], bytes] = {}
        level, incoming = 0, leaves
        while incoming:
            if level == len(levels):
                levels.append(b"")
            first = self.size >> (_HEIGHT * (level + 1))
            data = levels[level] + incoming
            tiles = [data[start : start + TILE_BYTES] for start in range(0, len(data), TILE_BYTES)]
            changed.update({(level, first + n): tile for n, tile in enumerate(tiles)})
            levels[level] = tiles[-1] if len(tiles[-1]) < TILE_BYTES else b""
            incoming = b"".join([tree.root(tile) for tile in tiles if len(tile) == TILE_BYTES])
            level += 1
        return Edge(self.size + len(leaves) // tree.HASH_BYTES, tuple(levels)), changed

    def root(self) -> bytes:
        """The root of the tree."""
        below = b""
        for partial in self.levels:
            hashes = partial + below
            below = tree.root(hashes) if hashes else b""
        return below or tree.EMPTY_ROOT


def _number_path(number: int) -> str:
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:  # noqa: PLR2004 - groups of three digits
        number //= 1000
        groups.append(f"x{number % 1000:03d}")
    return "/".join(reversed(groups))


def _width_path(width: int) -> str:
    return "" if width == WIDTH else f".p/{width}"
