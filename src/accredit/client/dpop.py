"""Proof of possession (RFC 9449): a token that is stolen without its key is of no use."""

import base64
import hashlib
import secrets
import time
from urllib.parse import urlsplit

import msgspec
from joserfc import jws
from joserfc.jwk import ECKey

from accredit.client.metadata import origin

_JTI_BYTES = 16
_ALGORITHM = "ES256"


class DpopKey:
    """The key of one client instance (P-256, ES256).

        auth = OAuth(url, PrivateKey("agt_1", pem), dpop=DpopKey.generate())

    It is made once, and can be kept with `export`.
    """

    def __init__(self, key: ECKey) -> None:
        self._key = key
        self._public = key.as_dict(private=False)
        self._jwk = {name: self._public[name] for name in ("kty", "crv", "x", "y")}

    def __repr__(self) -> str:
        return f"DpopKey({self.thumbprint})"

    @classmethod
    def generate(cls) -> "DpopKey":
        """A new key, in memory only."""
        return cls(ECKey.generate_key("P-256", private=True))

    @classmethod
    def load(cls, exported: str) -> "DpopKey":
        """A key that `export` wrote. Raises ValueError."""
        key = ECKey.import_key(msgspec.json.decode(exported, type=dict[str, str | list[str]]))
        if not key.is_private or key.curve_name != "P-256":
            raise ValueError("not a private P-256 key")
        return cls(key)

    def export(self) -> str:
        """The private key as a JWK: keep it like a password."""
        return msgspec.json.encode(self._key.as_dict(private=True)).decode()

    @property
    def thumbprint(self) -> str:
        """The `jkt` that the server binds tokens to (RFC 7638)."""
        return self._key.thumbprint()

    def proof(self, method: str, url: str, *, nonce: str | None = None, access_token: str | None = None) -> str:
        """A proof for one request (§4.2). With an access token it holds that token's hash."""
        claims: dict[str, str | int] = {
            "jti": secrets.token_urlsafe(_JTI_BYTES),
            "htm": method,
            # §4.2: without query and fragment.
            "htu": origin(url) + (urlsplit(url).path or "/"),
            "iat": int(time.time()),
        }
        if nonce is not None:
            claims["nonce"] = nonce
        if access_token is not None:
            digest = hashlib.sha256(access_token.encode()).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        header = {"typ": "dpop+jwt", "alg": _ALGORITHM, "jwk": self._jwk}
        return jws.serialize_compact(header, msgspec.json.encode(claims), self._key, algorithms=[_ALGORITHM])


class Nonces:
    """The newest nonce of each server (§8): authorization server and resource have their own, by origin."""

    def __init__(self) -> None:
        self._newest: dict[str, str] = {}

    def get(self, url: str) -> str | None:
        """The nonce to use for a request to this address."""
        return self._newest.get(origin(url))

    def note(self, url: str, nonce: str | None) -> bool:
        """Remember the `DPoP-Nonce` of an answer; whether it is another than before."""
        if not nonce or self._newest.get(origin(url)) == nonce:
            return False
        self._newest[origin(url)] = nonce
        return True
