"""DPoP proofs: a JWT made for one request with the key that a token is bound to (RFC 9449 §4)."""

import hashlib
import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from accredit.canonical import base64url, from_base64url
from accredit.clock import Clock
from accredit.errors import InputRefused
from accredit.storage.writer import Once
from accredit.tokens.errors import NonceNeeded, ProofInvalid

PROOF_ALGORITHMS = ("ES256", "ES384", "PS256", "RS256", "Ed25519", "EdDSA")
"""Asymmetric only (RFC 9449 §4.2); what metadata lists as `dpop_signing_alg_values_supported`."""

PROOF_LIMIT_BYTES = 4_096
WINDOW_SECONDS = 60
LEEWAY_SECONDS = 10
JTI_LIMIT = 256
NONCE_SECONDS = 60
_CACHE_LIMIT = 4_096
_MINIMUM_RSA_BITS = 2_048
# A longer key costs this server more than it costs its owner.
_MAXIMUM_RSA_BITS = 4_096
_MAXIMUM_EXPONENT = 0xFFFF_FFFF
_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_HEADER_MEMBERS = frozenset(("typ", "alg", "jwk", "kid"))
_ED25519 = ("OKP", "Ed25519")
_CURVES = {"ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "Ed25519": _ED25519, "EdDSA": _ED25519}
_MEMBERS = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("n", "e")}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNREADABLE = (JoseError, InputRefused, ValueError, TypeError, KeyError, msgspec.MsgspecError, RecursionError)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True, slots=True)
class Proved:
    """A proof that holds: the thumbprint of its key (RFC 7638), and what must not be used again."""

    jkt: str
    once: Once


@dataclass(frozen=True, slots=True)
class _Header:
    algorithm: str
    key: ECKey | OKPKey | RSAKey
    jkt: str


class _Claims(msgspec.Struct, frozen=True):
    jti: str
    htm: str
    htu: str
    iat: float
    ath: str | None = None
    nonce: str | None = None


class Nonces:
    """Nonces that need no memory: the HMAC of the minute in which they were made (RFC 9449 §8).

    One is taken in its minute and in the next, by every process that has the key.
    """

    def __init__(self, key: bytes, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._made: dict[int, str] = {}

    def new(self) -> str:
        """The nonce of this minute."""
        return self._of(int(self._clock.seconds()) // NONCE_SECONDS)

    def is_fresh(self, unverified: str) -> bool:
        """Whether a nonce is ours, and of this minute or the last."""
        now = int(self._clock.seconds()) // NONCE_SECONDS
        presented = unverified.encode("utf-8", "replace")
        return any(hmac.compare_digest(presented, self._of(minute).encode()) for minute in (now, now - 1))

    def _of(self, minute: int) -> str:
        made = self._made.get(minute)
        if made is None:
            if len(self._made) > 2:  # noqa: PLR2004  # this minute's, the last's and one on the way out
                self._made.clear()
            made = base64url(hmac.new(self._key, b"dpop-nonce\0%d" % minute, hashlib.sha256).digest())
            self._made[minute] = made
        return made


class Proofs:
    """Checks proofs. Without `nonces` none is asked for."""

    def __init__(self, clock: Clock, nonces: Nonces | None = None) -> None:
        self._clock = clock
        self._nonces = nonces
        # A client's header, with its key, is the same in every proof.
        self._headers: OrderedDict[str, _Header] = OrderedDict()

    def check(self, unverified: str, method: str, url: str, token: str | None = None) -> Proved:
        """Check a proof for one request (RFC 9449 §4.3). `url` is the request's as this server calls itself.

        `token` is the access token that goes with it. Raises ProofInvalid, NonceNeeded. Whether its `jti` was used
        before is known when `Proved.once` is spent.
        """
        header, claims = self._open(unverified)
        now = self._clock.seconds()
        if claims.htm != method or _normalised(claims.htu) != _normalised(url):
            raise ProofInvalid("the DPoP proof was made for another request", next_step=f"set htm and htu to {url}")
        if not now - WINDOW_SECONDS <= claims.iat <= now + LEEWAY_SECONDS:
            raise ProofInvalid("the DPoP proof was not made just now", next_step="make a new one; set the clock")
        if not 0 < len(claims.jti) <= JTI_LIMIT:
            raise ProofInvalid("the jti of the DPoP proof is empty or too long", next_step="use 128 random bits")
        if token is not None and not _is_hash_of(claims.ath, token):
            raise ProofInvalid("the DPoP proof is for another access token", next_step="set ath (RFC 9449 §4.2)")
        if self._nonces is not None and not self._nonces.is_fresh(claims.nonce or ""):
            raise NonceNeeded(self._nonces.new())
        key = hashlib.sha256(f"dpop\0{header.jkt}\0{claims.jti}".encode("utf-8", "surrogatepass")).digest()
        return Proved(header.jkt, Once(key, claims.iat + WINDOW_SECONDS + LEEWAY_SECONDS))

    def _open(self, unverified: str) -> tuple[_Header, _Claims]:
        if len(unverified) > PROOF_LIMIT_BYTES or not unverified.isascii():
            raise _malformed()
        signing_input, _, signature = unverified.rpartition(".")
        segment, _, payload = signing_input.partition(".")
        try:
            header = self._headers.get(segment) or _read_header(segment)
            algorithm = JWSRegistry.algorithms[header.algorithm]
            if not algorithm.verify(signing_input.encode(), from_base64url(signature), header.key):
                raise _malformed("signature")
            claims = msgspec.json.decode(from_base64url(payload), type=_Claims)
        except _UNREADABLE as error:
            raise _malformed(type(error).__name__) from error
        # Only what has proved itself is remembered: a stranger cannot push others out for nothing.
        self._headers[segment] = header
        if len(self._headers) > _CACHE_LIMIT:
            self._headers.popitem(last=False)
        return header, claims


def _read_header(segment: str) -> _Header:
    """Raises ProofInvalid, and what decoding raises."""
    header = msgspec.json.decode(from_base64url(segment))
    if not isinstance(header, dict) or not header.keys() <= _HEADER_MEMBERS or header.get("typ") != "dpop+jwt":
        raise _malformed("header")
    algorithm, jwk = header["alg"], header["jwk"]
    if algorithm not in PROOF_ALGORITHMS or not isinstance(jwk, dict):
        raise _malformed("algorithm")
    # RFC 9449 §4.3: a private key in the proof is no proof of anything.
    if not _PRIVATE.isdisjoint(jwk):
        raise _malformed("private key")
    kind, curve = _CURVES.get(algorithm, ("RSA", None))
    if jwk.get("kty") != kind or (curve is not None and jwk.get("crv") != curve):
        raise _malformed("key of another kind")
    members = {name: jwk[name] for name in _MEMBERS[kind]}
    if not all(isinstance(value, str) for value in members.values()):
        raise _malformed("key")
    key = _import(kind, members)
    return _Header(algorithm, key, key.thumbprint())


def _import(kind: str, members: dict[str, str]) -> ECKey | OKPKey | RSAKey:
    values = {name: from_base64url(text) for name, text in members.items() if name != "crv"}
    jwk: dict[str, str | list[str]] = {"kty": kind, **members}
    if kind == "EC":
        return ECKey.import_key(jwk)
    if kind == "OKP":
        return OKPKey.import_key(jwk)
    bits, exponent = int.from_bytes(values["n"]).bit_length(), int.from_bytes(values["e"])
    if not _MINIMUM_RSA_BITS <= bits <= _MAXIMUM_RSA_BITS or exponent > _MAXIMUM_EXPONENT:
        raise _malformed("size of the key")
    return RSAKey.import_key(jwk)


def access_token_hash(token: str) -> str:
    """The `ath` of a token (RFC 9449 §4.2)."""
    return base64url(hashlib.sha256(token.encode("ascii")).digest())


def _is_hash_of(ath: str | None, token: str) -> bool:
    return ath is not None and ath.isascii() and hmac.compare_digest(ath, access_token_hash(token))


def _normalised(url: str) -> tuple[str, str, int | None, str] | None:
    """Scheme, host, port and path as RFC 3986 §6.2.2 and §6.2.3 have them, without query and fragment (RFC 9449 §4.3).

    None, which equals no address of ours, for what is no http URL. Dot segments stay: our addresses have none.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not host or parts.username is not None or not url.isascii():
        return None
    path = _ESCAPE.sub(_unescape, parts.path) or "/"
    return parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], path


def _unescape(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    return char if char in _UNRESERVED else found[0].upper()


def _malformed(detail: str = "") -> ProofInvalid:
    return ProofInvalid("this is no DPoP proof", next_step="see RFC 9449 §4.2", detail=detail)
