"""What signs tokens, and where such keys are kept: two interfaces, implemented in `signers`."""

from typing import Protocol

from joserfc.jwk import ECKey, OKPKey, RSAKey

from accredit.ids import KeyId
from accredit.keys.algorithms import AlgorithmName, PublicKey, check_signature, public_jwk

SEALED = "sealed"
"""The embedded place, whose keys are in the rows themselves."""

Jwk = ECKey | RSAKey | OKPKey
_JWK_TYPES: dict[str, type[ECKey] | type[RSAKey] | type[OKPKey]] = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}


class VerificationKey:
    """The public half of one key: what it is called, how it is published, and what it signed.

    `algorithm` is the only one that a signature of this key may claim (RFC 8725 §3.1). `public_jwk` is its entry in the
    JWKS document (RFC 7517 §4), `jwk` the same for joserfc.
    """

    def __init__(self, key_id: KeyId, algorithm: AlgorithmName, public_key: PublicKey) -> None:
        self.key_id = key_id
        self.algorithm = algorithm
        self.public_jwk = public_jwk(key_id, public_key)
        self.jwk: Jwk = _JWK_TYPES[self.public_jwk["kty"]].import_key(dict(self.public_jwk))
        self._public_key = public_key

    def verify(self, data: bytes, signature: bytes) -> None:
        """Check a signature in the form of JWS. Raises SignatureInvalid."""
        check_signature(self._public_key, data, signature)


class Signer(Protocol):
    """One key that signs, wherever its private half is. See `VerificationKey` for its public half."""

    @property
    def key_id(self) -> KeyId:
        """The `kid`."""

    @property
    def algorithm(self) -> AlgorithmName:
        """The JOSE `alg`."""

    @property
    def public_jwk(self) -> dict[str, str]:
        """The entry in the JWKS document."""

    @property
    def jwk(self) -> Jwk:
        """The public half for joserfc."""

    def verify(self, data: bytes, signature: bytes) -> None:
        """Check a signature in the form of JWS. Raises SignatureInvalid. Asks nobody."""

    async def sign(self, data: bytes) -> bytes:
        """Sign, in the form of JWS.

        A local key never suspends the caller. Raises Unavailable if the place that keeps the key does not answer in
        its time; there is no signature then, and it may be asked for again.
        """


class KeyPlace(Protocol):
    """A place that keeps private keys."""

    @property
    def name(self) -> str:
        """Its name in the table of `signers` and in the rows."""

    async def make(self, key_id: KeyId, algorithm: AlgorithmName) -> bytes:
        """Make a key, and return what its row is to keep (it is sealed there).

        Called once for an id; a key whose row was never written signs nothing. Raises Unavailable.
        """

    def open(self, key_id: KeyId, algorithm: AlgorithmName, kept: bytes) -> Signer:
        """The signer of a key that was made here. Asks nobody. Raises Unavailable if `kept` is not as it was made."""
