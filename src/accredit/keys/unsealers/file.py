"""The master key from a file of mode 0600 in the data folder; made at the first start."""

import os
import stat
from pathlib import Path

from accredit.canonical import base64url, from_base64url
from accredit.errors import InputRefused
from accredit.keys.unsealer import MASTER_KEY_BYTES

NAME = "master.key"


class FileUnsealer:
    """`made` tells whether this start made the key, so that the start message can say to back it up."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.made = False

    def master_key(self) -> bytes:
        """Read it, or make it if there is none. Raises InputRefused if others may read it or it is malformed."""
        if not self.path.exists():
            self._make()
        if stat.S_IMODE(self.path.stat().st_mode) & 0o077:
            raise InputRefused(f"{self.path} may be read by others", next_step=f"chmod 600 {self.path}")
        try:
            key = from_base64url(self.path.read_text(encoding="ascii").strip())
        except (InputRefused, UnicodeDecodeError):
            key = b""
        if len(key) != MASTER_KEY_BYTES:
            raise InputRefused(f"{self.path} must hold base64url of 32 bytes", next_step="put back your backup of it")
        return key

    def _make(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(base64url(os.urandom(MASTER_KEY_BYTES)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.made = True
