"""Signing access tokens with ES256 (RFC 7518 §3.4). The key object is kept: parsing it is dearer than signing."""

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey

from accredit.canonical import base64url
from accredit.ids import KeyId

_COORDINATE_BYTES = 32
_ES256 = ECDSA(SHA256())


class AccessTokenSigner:
    """One ES256 key. `public_jwk` is its entry in the JWKS document (RFC 7517 §4)."""

    algorithm = "ES256"

    def __init__(self, key_id: KeyId, private_key: EllipticCurvePrivateKey) -> None:
        self.key_id = key_id
        self._private_key = private_key
        self.public_key: EllipticCurvePublicKey = private_key.public_key()
        numbers = self.public_key.public_numbers()
        self.public_jwk = {
            "kty": "EC",
            "crv": "P-256",
            "x": base64url(numbers.x.to_bytes(_COORDINATE_BYTES)),
            "y": base64url(numbers.y.to_bytes(_COORDINATE_BYTES)),
            "alg": self.algorithm,
            "use": "sig",
            "kid": key_id,
        }
        self.jwk = ECKey.import_key(dict(self.public_jwk))

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes `R ‖ S` of the signature."""
        r, s = decode_dss_signature(self._private_key.sign(data, _ES256))
        return r.to_bytes(_COORDINATE_BYTES) + s.to_bytes(_COORDINATE_BYTES)
