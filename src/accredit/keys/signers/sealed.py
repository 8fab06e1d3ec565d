"""Keys of our own: the private half is in the row, sealed by the master key, and open in memory."""

import asyncio

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from accredit.errors import Unavailable
from accredit.ids import KeyId
from accredit.keys.algorithms import (
    AlgorithmName,
    PrivateKey,
    algorithm_of,
    generate_private_key,
    make_signature,
)
from accredit.keys.signer import SEALED, VerificationKey


class SealedSigner(VerificationKey):
    """The key object is kept: parsing it is dearer than signing."""

    def __init__(self, key_id: KeyId, private_key: PrivateKey) -> None:
        algorithm = algorithm_of(private_key)
        if algorithm is None:
            raise TypeError("no token is signed with a key of this kind")
        super().__init__(key_id, algorithm, private_key.public_key())
        self._private_key = private_key

    async def sign(self, data: bytes) -> bytes:
        """Sign here and now: awaiting it never suspends."""
        return make_signature(self._private_key, data)


class SealedKeys:
    """The embedded place."""

    name = SEALED

    async def make(self, key_id: KeyId, algorithm: AlgorithmName) -> bytes:
        """The private key in PKCS #8."""
        del key_id
        key = await asyncio.to_thread(generate_private_key, algorithm)
        return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def open(self, key_id: KeyId, algorithm: AlgorithmName, kept: bytes) -> SealedSigner:
        """Raises Unavailable if the row says another algorithm than the key is for."""
        try:
            key = load_der_private_key(kept, None)
        except ValueError as error:
            raise Unavailable("a signing key cannot be read", detail=f"{key_id}: {type(error).__name__}") from error
        if algorithm_of(key) != algorithm:
            raise Unavailable("a signing key has another type than its row says", detail=key_id)
        return SealedSigner(key_id, key)  # type: ignore[arg-type]  # `algorithm_of` has told its type
