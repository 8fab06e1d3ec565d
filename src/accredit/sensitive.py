"""A value that must not be shown: it never prints, formats, pickles or compares in variable time."""

import hmac
from typing import NoReturn


class Sensitive:
    """A secret text. `reveal` is the one way out, and is easy to search for."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself: only to hand it to the one who may have it."""
        return self._value

    def __repr__(self) -> str:
        return "Sensitive(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "Sensitive(…)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sensitive):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash in a dictionary would compare in variable time

    def __reduce__(self) -> NoReturn:
        raise TypeError("a sensitive value is not pickled")
