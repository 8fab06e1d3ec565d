"""An authenticator in software: it makes passkeys and shows them, truthfully or not, as a test asks."""

import hashlib
import json
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import encode_cbor

from accredit.canonical import base64url, from_base64url
from accredit.ids import random_bytes

ORIGIN = "http://localhost:8400"

_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40
Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(kw_only=True)
class Authenticator:
    """One passkey on one device. Each member can be set to what an honest device would not say."""

    key: Key = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    algorithm: int = -7
    credential_id: bytes = field(default_factory=lambda: random_bytes(32))
    origin: str = ORIGIN
    rp_id: str = "localhost"
    user_handle: bytes | None = None
    count: int = 0
    verifies: bool = True
    present: bool = True
    client_data: dict[str, object] = field(default_factory=dict)
    format: str = "none"

    def create(self, options: str) -> str:
        """Answer `navigator.credentials.create()`."""
        asked = json.loads(options)
        self.user_handle = from_base64url(asked["user"]["id"])
        client_data = self._client_data("webauthn.create", asked["challenge"])
        length = len(self.credential_id).to_bytes(2)
        data = self._data(_ATTESTED) + bytes(16) + length + self.credential_id + encode_cbor(self._cose())
        attestation = encode_cbor({"fmt": self.format, "attStmt": {}, "authData": data})
        return self._answer({"clientDataJSON": client_data, "attestationObject": attestation})

    def get(self, options: str) -> str:
        """Answer `navigator.credentials.get()`, counting one up where it counts at all."""
        asked = json.loads(options)
        client_data = self._client_data("webauthn.get", asked["challenge"])
        if self.count:
            self.count += 1
        data = self._data(0)
        signature = self._sign(data + hashlib.sha256(client_data).digest())
        response = {"clientDataJSON": client_data, "authenticatorData": data, "signature": signature}
        if self.user_handle is not None:
            response["userHandle"] = self.user_handle
        return self._answer(response)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False, **self.client_data}
        return json.dumps(said).encode()

    def _data(self, flags: int) -> bytes:
        flags |= (_PRESENT if self.present else 0) | (_VERIFIED if self.verifies else 0)
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def _cose(self) -> dict[int, object]:
        match self.key:
            case ec.EllipticCurvePrivateKey():
                public = self.key.public_key().public_numbers()
                size = (self.key.curve.key_size + 7) // 8
                curve = {256: 1, 384: 2}[self.key.curve.key_size]
                x, y = public.x.to_bytes(size), public.y.to_bytes(size)
                return {1: 2, 3: self.algorithm, -1: curve, -2: x, -3: y}
            case ed25519.Ed25519PrivateKey():
                return {1: 1, 3: self.algorithm, -1: 6, -2: self.key.public_key().public_bytes_raw()}
            case rsa.RSAPrivateKey():
                numbers = self.key.public_key().public_numbers()
                return {1: 3, 3: self.algorithm, -1: numbers.n.to_bytes(256), -2: numbers.e.to_bytes(3)}

    def _sign(self, data: bytes) -> bytes:
        match self.key:
            case ec.EllipticCurvePrivateKey():
                return self.key.sign(data, ec.ECDSA(SHA256()))
            case ed25519.Ed25519PrivateKey():
                return self.key.sign(data)
            case rsa.RSAPrivateKey():
                return self.key.sign(data, PKCS1v15(), SHA256())

    def _answer(self, response: dict[str, bytes]) -> str:
        credential_id = base64url(self.credential_id)
        return json.dumps(
            {
                "id": credential_id,
                "rawId": credential_id,
                "type": "public-key",
                "response": {name: base64url(value) for name, value in response.items()},
            }
        )
