"""The master key from `ACCREDIT_MASTER_KEY`: base64url of 32 bytes."""

from accredit.canonical import from_base64url
from accredit.errors import InputRefused
from accredit.keys.unsealer import MASTER_KEY_BYTES


class EnvironmentUnsealer:
    """Holds what the variable said."""

    def __init__(self, text: str) -> None:
        self._text = text

    def master_key(self) -> bytes:
        """Decode it. Raises InputRefused, which never shows the value."""
        try:
            key = from_base64url(self._text.strip())
        except InputRefused:
            key = b""
        if len(key) != MASTER_KEY_BYTES:
            raise InputRefused(
                "ACCREDIT_MASTER_KEY must be base64url of 32 bytes, without padding",
                next_step="give the key that this installation was made with",
            )
        return key
