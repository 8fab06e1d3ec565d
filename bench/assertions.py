"""JWTs that a bench signs beforehand: so many that each is sent once."""

import json
import secrets
import time

from cryptography.hazmat.primitives.asymmetric import ec

from accredit.canonical import base64url
from accredit.keys.algorithms import make_signature

LIFETIME_SECONDS = 240


class Signing:
    """One P-256 key."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._header = base64url(json.dumps({"alg": "ES256", "typ": "JWT", "kid": "bench"}).encode())

    @property
    def jwk(self) -> dict[str, str]:
        """The public half."""
        point = self._key.public_key().public_numbers()
        x, y = base64url(point.x.to_bytes(32)), base64url(point.y.to_bytes(32))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "bench", "alg": "ES256", "use": "sig"}

    def jwts(self, count: int, *, issuer: str, subject: str, audience: str) -> list[str]:
        """Each with a `jti` of its own, from now on."""
        now = int(time.time())
        claims: dict[str, str | int] = {
            "iss": issuer,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
        }
        return [self._sign({**claims, "jti": secrets.token_urlsafe(12)}) for _ in range(count)]

    def _sign(self, claims: dict[str, str | int]) -> str:
        signing_input = f"{self._header}.{base64url(json.dumps(claims).encode())}"
        return f"{signing_input}.{base64url(make_signature(self._key, signing_input.encode()))}"
