"""Where the master key comes from."""

from typing import Protocol

MASTER_KEY_BYTES = 32


class Unsealer(Protocol):
    """One source of the master key."""

    def master_key(self) -> bytes:
        """The 32 bytes. Raises InputRefused if the source holds something else; never makes a second key."""
