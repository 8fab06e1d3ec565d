"""An agent's seal: a star polygon drawn from the SHA-256 of its id.

A name is chosen by whoever makes the agent; a seal is not. It helps the eye to tell two agents apart and proves
nothing: there are 50 forms in 6 colours.
"""

import hashlib
import math
from functools import lru_cache
from typing import NamedTuple

COLOURS = 6

# {n/k}: n corners, each joined to the k-th after it; n and k have no common divisor, so it is one line.
_STARS = ((5, 2), (7, 2), (7, 3), (8, 3), (9, 4), (10, 3), (11, 3), (11, 4), (11, 5), (12, 5))
_CENTRE = 12.0
_RADIUS = 11.0


class Seal(NamedTuple):
    """`path` is the `d` of an SVG path in a box of 24 by 24; `colour` is 0 to 5."""

    path: str
    colour: int


@lru_cache(maxsize=4096)
def seal_of(identity: str) -> Seal:
    """The seal of an id."""
    digest = hashlib.sha256(identity.encode()).digest()
    corners, step = _STARS[digest[1] % len(_STARS)]
    figure = _FIGURES[digest[2] % len(_FIGURES)]
    return Seal(_star(corners, step, _RADIUS) + figure, digest[0] % COLOURS)


def _star(corners: int, step: int, radius: float) -> str:
    points = []
    for corner in range(corners):
        angle = 2 * math.pi * (corner * step % corners) / corners
        points.append(f"{_number(_CENTRE + radius * math.sin(angle))} {_number(_CENTRE - radius * math.cos(angle))}")
    return "M" + "L".join(points) + "z"


def _circle(radius: int) -> str:
    top = _number(_CENTRE - radius)
    return f"M12 {top}a{radius} {radius} 0 1 1 0 {2 * radius}a{radius} {radius} 0 1 1 0-{2 * radius}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


_FIGURES = ("", _circle(3), _circle(11), _circle(11) + _circle(4), _star(5, 2, 4.5))
