"""Envelope sealing of secrets at rest: AES-256-GCM under the master key (NIST SP 800-38D)."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from accredit.errors import Unavailable

_VERSION = b"\x01"
_NONCE_BYTES = 12


class Sealer:
    """Seals and opens under one 256-bit key. `context` binds a text to its place, so rows cannot be swapped."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, context: str) -> bytes:
        """Encrypt under a fresh nonce."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Decrypt. Raises Unavailable if the key is another one or the text was changed."""
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] != _VERSION:
            raise Unavailable("a sealed key has a form that this version does not know")
        try:
            return self._cipher.decrypt(nonce, body, context.encode())
        except InvalidTag as error:
            raise Unavailable(
                "the keys cannot be opened with this master key",
                next_step="put back the master.key or ACCREDIT_MASTER_KEY that this data folder was made with",
            ) from error
