"""A provider at the network's edge that says what a test wants it to say."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from accredit.canonical import base64url
from accredit.federation.asking import Asking, JsonAnswer
from accredit.federation.configuration import OidcProvider
from accredit.federation.connector import Attempt, Parts, Vouched
from accredit.federation.connectors.oidc import OidcConnector
from accredit.federation.jwks_cache import JwksCache
from accredit.outbound import Outbound
from tests.rooms import TestClock

ISSUER = "https://login.example.com"
CLIENT = "accredit"
NONCE = "the-nonce-of-this-attempt"
ACCESS_TOKEN = "an-access-token"  # of no server
RSA_KEY = RSAKey.generate_key(2_048, {"kid": "rsa"})
EC_KEY = ECKey.generate_key("P-256", {"kid": "ec"})
OKP_KEY = OKPKey.generate_key("Ed25519", {"kid": "okp"})
METADATA: Mapping[str, object] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "jwks_uri": "https://keys.example.net/jwks",
}


class LyingProvider(Asking):
    """`asked` counts what was asked for. Keys, metadata, tokens and userinfo are a test's to set."""

    def __init__(self) -> None:
        super().__init__(Outbound())
        self.clock = TestClock()
        self.metadata: dict[str, object] = dict(METADATA)
        self.keys: list[Any] = [one.as_dict(private=False) for one in (RSA_KEY, EC_KEY, OKP_KEY)]
        self.token_answer: dict[str, object] = {}
        self.token_status = 200
        self.userinfo: dict[str, object] = {}
        self.asked: list[str] = []
        self.sent: list[Mapping[str, str]] = []

    async def document(self, url: str, issuer: str, most_bytes: int = 0) -> bytes:
        self.asked.append(url)
        return json.dumps(self.metadata if url.startswith(ISSUER) else {"keys": self.keys}).encode()

    async def form(
        self, url: str, issuer: str, fields: Mapping[str, str], basic: tuple[str, str] | None = None
    ) -> JsonAnswer:
        self.sent.append(fields)
        return JsonAnswer(self.token_status, json.dumps(self.token_answer).encode())

    async def with_token(self, url: str, issuer: str, token: str) -> bytes:
        self.asked.append(url)
        return json.dumps(self.userinfo).encode()

    def claims(self, **changes: object) -> dict[str, object]:
        """Honest claims, but for the changes; None takes one away."""
        now = int(self.clock.seconds())
        honest: dict[str, object] = {
            "iss": ISSUER,
            "sub": "ana-7",
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "nonce": NONCE,
            "at_hash": base64url(hashlib.sha256(ACCESS_TOKEN.encode()).digest()[:16]),
            "email": "ana@example.com",
            "email_verified": True,
        }
        return {name: value for name, value in {**honest, **changes}.items() if value is not None}

    async def finish(self, id_token: object, *, fresh: bool = False, **configuration: Any) -> Vouched:
        """Take this ID token as the answer of the token endpoint, in an attempt that began now."""
        self.token_answer = {"id_token": id_token, "access_token": ACCESS_TOKEN, "token_type": "Bearer"}
        return await self.connector(**configuration).finish(self.attempt(fresh), {"code": "a-code"})

    def connector(self, **configuration: Any) -> OidcConnector:
        one = OidcProvider(
            name="acme",
            title="Acme",
            issuer=ISSUER,
            client_id=CLIENT,
            client_authentication="none",
            authoritative_domains=("example.com",),
            **{"algorithms": ("RS256", "ES256", "Ed25519"), **configuration},
        )
        cache = JwksCache(self.document, self.clock)
        return OidcConnector(one, None, Parts(asking=self, cache=cache, clock=self.clock, base="https://a.example.com"))

    def attempt(self, fresh: bool = False) -> Attempt:
        now = self.clock.seconds()
        return Attempt(
            provider="acme",
            return_path="/console",
            state="s",
            nonce=NONCE,
            verifier="v" * 43,
            request="",
            fresh=fresh,
            started_at=now,
            expires_at=now + 600,
        )


def sign(claims: object, key: Key | OctKey = RSA_KEY, alg: str = "RS256", **header: object) -> str:
    """A compact JWS; a header member that is None is left out."""
    whole = {"alg": alg, "kid": key.kid, "typ": "JWT", **header}
    members = {name: value for name, value in whole.items() if value is not None}
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return jws.serialize_compact(members, payload, key, registry=registry)


def unsigned(claims: object, **header: object) -> str:
    """The form of a JWS without a signature."""
    parts = (json.dumps({"alg": "none", **header}).encode(), json.dumps(claims).encode(), b"")
    return ".".join(base64url(part) for part in parts)
