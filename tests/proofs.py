"""DPoP proofs as a client makes them, by an independent library, and as a thief would."""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class ProofKey:
    """A client's key of one algorithm."""

    private: PrivateKey
    algorithm: str = "ES256"

    @property
    def jwk(self) -> dict[str, Any]:
        public = self.private.public_key()
        made: dict[str, Any]
        if isinstance(public, ec.EllipticCurvePublicKey):
            made = ECAlgorithm.to_jwk(public, as_dict=True)
        elif isinstance(public, rsa.RSAPublicKey):
            made = RSAAlgorithm.to_jwk(public, as_dict=True)
        else:
            made = OKPAlgorithm.to_jwk(public, as_dict=True)
        return {name: value for name, value in made.items() if name not in ("key_ops", "alg")}

    @property
    def thumbprint(self) -> str:
        """RFC 7638, by hand."""
        needed = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}[self.jwk["kty"]]
        text = "{" + ",".join(f'"{name}":"{self.jwk[name]}"' for name in needed) + "}"
        return _base64url(hashlib.sha256(text.encode()).digest())

    def proof(
        self,
        method: str,
        url: str,
        now: float,
        *,
        token: str | None = None,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A proof; a claim that is None is left out, a header member that is None too."""
        made: dict[str, Any] = {"jti": secrets.token_hex(16), "htm": method, "htu": url, "iat": int(now), **claims}
        if token is not None:
            made.setdefault("ath", _base64url(hashlib.sha256(token.encode()).digest()))
        head = {"typ": "dpop+jwt", "jwk": self.jwk, **(header or {})}
        return jwt.encode(
            {name: value for name, value in made.items() if value is not None},
            self.private,
            algorithm=self.algorithm,
            headers={name: value for name, value in head.items() if value is not None or name == "typ"},
        )


def new_proof_key() -> ProofKey:
    return ProofKey(ec.generate_private_key(ec.SECP256R1()))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
