"""Keys that never leave OpenBao's (or HashiCorp Vault's) transit engine: it signs, the row keeps a reference.

The reference holds the public half and is sealed like a private key, so that what verifies is known at a start without
asking anybody, and a changed row cannot put another key in its place. What comes back is verified before it is used.
"""

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from accredit.canonical import from_base64url
from accredit.errors import Error, InputRefused, Unavailable
from accredit.ids import KeyId
from accredit.keys.algorithms import AlgorithmName, PublicKey, SignatureInvalid, algorithm_of
from accredit.keys.signer import VerificationKey
from accredit.outbound import Outbound
from accredit.outbound.client import Timeouts
from accredit.outbound.target import Target, parse_target
from accredit.sensitive import Sensitive

CONNECT_SECONDS = 2.0
SIGN_SECONDS = 4.0
_ANSWER_BYTES = 65_536
_TRANSIT_TYPES: dict[AlgorithmName, str] = {"ES256": "ecdsa-p256", "RS256": "rsa-2048", "EdDSA": "ed25519"}
# A key is made for one version and never rotated in place: our own rotation makes another key.
_VERSION = 1
_SIGNATURE_PREFIX = f"vault:v{_VERSION}:"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OK = 200
_NO_CONTENT = 204
_NEXT = "look at OpenBao and at the token in openbao_token_file"
_log = structlog.get_logger("accredit.keys")


class _Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the row keeps: the engine's mount, the key's name there, its public half in DER (SubjectPublicKeyInfo)."""

    mount: str
    name: str
    public: bytes


class _Version(msgspec.Struct):
    public_key: str


class _KeyData(msgspec.Struct):
    type: str
    latest_version: int
    keys: dict[str, _Version]


class _KeyAnswer(msgspec.Struct):
    data: _KeyData


class _SignatureData(msgspec.Struct):
    signature: str


class _SignatureAnswer(msgspec.Struct):
    data: _SignatureData


class _Ask(Protocol):
    async def __call__(self, method: str, path: str, body: Mapping[str, object] | None) -> bytes:
        """The body of the answer of 200 or 204. Raises Unavailable."""


class TransitSigner(VerificationKey):
    """One key in the engine."""

    def __init__(self, key_id: KeyId, algorithm: AlgorithmName, public_key: PublicKey, path: str, ask: _Ask) -> None:
        super().__init__(key_id, algorithm, public_key)
        self._path = path
        self._ask = ask

    async def sign(self, data: bytes) -> bytes:
        """Ask the engine. Raises Unavailable if it does not answer in time, or with what this key did not sign."""
        body: dict[str, object] = {
            "input": base64.b64encode(data).decode(),
            "key_version": _VERSION,
            "hash_algorithm": "sha2-256",
            "marshaling_algorithm": "jws",
        }
        if self.algorithm == "RS256":
            # RFC 7518 §3.3; the engine's own default is PSS.
            body["signature_algorithm"] = "pkcs1v15"
        answer = await self._ask("POST", self._path, body)
        try:
            text = msgspec.json.decode(answer, type=_SignatureAnswer).data.signature
            if not text.startswith(_SIGNATURE_PREFIX):
                raise SignatureInvalid("the signature is of another version of the key")
            signature = from_base64url(text.removeprefix(_SIGNATURE_PREFIX))
            self.verify(data, signature)
        except (Error, msgspec.MsgspecError) as error:
            _log.error("openbao answered with no signature of this key", key=self.key_id, error=type(error).__name__)
            raise _unavailable(f"not a signature: {error}") from error
        return signature


class OpenBaoTransit:
    """The engine at one address. Without an address its keys still verify, and sign nothing.

    `token_file` is read at each request, so that an agent which renews the token need not tell us. The token needs
    `update` on `{mount}/keys/accredit-*` and `{mount}/sign/accredit-*`, and `read` on the former.
    """

    name = "openbao_transit"

    def __init__(self, outbound: Outbound, *, address: str, mount: str, token_file: str) -> None:
        if address:
            target = parse_target(address)
            if target.scheme != "https" and target.host not in _LOOPBACK:
                raise InputRefused("openbao_address must be https: a token is sent there", next_step="write https://")
            if not token_file:
                raise InputRefused("openbao_token_file is missing", next_step="name the file that holds the token")
            parse_target(f"{address}/v1/{mount}/keys")
        self._outbound = outbound
        self._address = address
        self._mount = mount
        self._token_file = Path(token_file)
        self._timeouts = Timeouts(CONNECT_SECONDS, SIGN_SECONDS)

    async def make(self, key_id: KeyId, algorithm: AlgorithmName) -> bytes:
        """Make a key that cannot be exported, and keep a reference to it."""
        name = f"accredit-{key_id}"
        path = f"{self._mount}/keys/{name}"
        kind = _TRANSIT_TYPES[algorithm]
        await self._ask("POST", path, {"type": kind, "exportable": False, "allow_plaintext_backup": False})
        try:
            made = msgspec.json.decode(await self._ask("GET", path, None), type=_KeyAnswer).data
            public = _read_public_key(made.keys[str(_VERSION)].public_key)
        except (msgspec.MsgspecError, ValueError, KeyError) as error:
            raise _unavailable(f"the new key cannot be read: {type(error).__name__}") from error
        if made.type != kind or made.latest_version != _VERSION or algorithm_of(public) != algorithm:
            raise _unavailable("the new key is of another type than was asked for")
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return msgspec.json.encode(_Reference(self._mount, name, der))

    def open(self, key_id: KeyId, algorithm: AlgorithmName, kept: bytes) -> TransitSigner:
        """Raises Unavailable if the row says another algorithm than the key is for."""
        try:
            reference = msgspec.json.decode(kept, type=_Reference)
            public = load_der_public_key(reference.public)
        except (msgspec.MsgspecError, ValueError) as error:
            raise Unavailable("a signing key cannot be read", detail=f"{key_id}: {type(error).__name__}") from error
        if algorithm_of(public) != algorithm:
            raise Unavailable("a signing key has another type than its row says", detail=key_id)
        path = f"{reference.mount}/sign/{reference.name}"
        return TransitSigner(key_id, algorithm, public, path, self._ask)  # type: ignore[arg-type]  # `algorithm_of`

    async def _ask(self, method: str, path: str, body: Mapping[str, object] | None) -> bytes:
        target = self._target(path)
        headers = [("x-vault-token", self._token().reveal()), ("x-vault-request", "true")]
        encoded = None
        if body is not None:
            encoded = msgspec.json.encode(body)
            headers.append(("content-type", "application/json"))
        try:
            # `Timeouts` bound each wait; this bounds their sum.
            async with asyncio.timeout(SIGN_SECONDS):
                async with self._outbound.open(method, target, headers, encoded, self._timeouts) as answer:
                    content = await answer.read_all(_ANSWER_BYTES)
        except TimeoutError as error:
            raise _unavailable(f"no answer within {SIGN_SECONDS} s") from error
        except Unavailable as error:
            raise _unavailable(f"{error.explanation} {error.detail}") from error
        if answer.status not in (_OK, _NO_CONTENT):
            raise _unavailable(f"status {answer.status}")
        return content

    def _target(self, path: str) -> Target:
        if not self._address:
            raise Unavailable("the signing key is in OpenBao, and openbao_address is not set", next_step="set it")
        return parse_target(f"{self._address}/v1/{path}")

    def _token(self) -> Sensitive:
        try:
            text = self._token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise _unavailable(f"openbao_token_file cannot be read: {type(error).__name__}") from error
        if not text.isprintable() or " " in text or not text:
            raise _unavailable("openbao_token_file does not hold one token")
        return Sensitive(text)


def _read_public_key(text: str) -> PublicKey:
    """PEM, and for Ed25519 the 32 bytes in base64. Raises ValueError."""
    if text.startswith("-----BEGIN"):
        return load_pem_public_key(text.encode())  # type: ignore[return-value]  # `algorithm_of` tells its type
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))


def _unavailable(detail: str) -> Unavailable:
    return Unavailable("OpenBao does not sign now", next_step=_NEXT, detail=detail)
