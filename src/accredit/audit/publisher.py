"""Where the log is published: tiles that never change, then the checkpoint over them."""

from collections.abc import Mapping
from typing import Protocol


class Publisher(Protocol):
    """A place that others can read. Every method may be repeated after a failure, whatever the failure left."""

    async def claim(self) -> None:
        """Become the only process that publishes here, until `release` or until the process ends.

        Raises AlreadySequenced if another one is.
        """

    async def release(self) -> None:
        """Give the place up."""

    async def read(self, path: str) -> bytes | None:
        """What is published at a path, None if nothing is. Raises Unavailable."""

    async def add(self, files: Mapping[str, bytes]) -> None:
        """Publish files that never change; durable on return. A file that is there with the same bytes is left.

        A partial tile may be removed when its full tile is there. Raises LogBroken if a file is there with other
        bytes, and Unavailable.
        """

    async def replace(self, path: str, data: bytes) -> None:
        """Publish a file that changes, durably: a reader sees the old bytes or the new. Raises Unavailable."""
