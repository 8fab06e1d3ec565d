"""Checkpoints: the size and root of the log at one moment, as a signed note.

https://c2sp.org/signed-note@v1.0.0, https://c2sp.org/tlog-checkpoint@v1.0.0 and, for witnesses and for the
signature that a quantum computer cannot forge, https://c2sp.org/tlog-cosignature@v1.1.0.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from accredit.audit.errors import CheckpointRefused
from accredit.audit.tree import HASH_BYTES

ED25519 = 0x01
COSIGNATURE_V1 = 0x04
ML_DSA_44 = 0x06

_PUBLIC_BYTES = {ED25519: 32, COSIGNATURE_V1: 32, ML_DSA_44: 1312}
_KEY_ID_BYTES = 4
_TIME_BYTES = 8
_SIGNATURE_LIMIT = 64
_CHECKPOINT_LINES = 3
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_KEY_ID = re.compile(r"[0-9a-f]{8}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class Checkpoint(msgspec.Struct, frozen=True):
    """What is signed: the log's name, how many events it holds, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class Signature(msgspec.Struct, frozen=True):
    """One signature line of a note: who, which of its keys, and the bytes that the key's type defines."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """The line, with its em dash and newline."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


class Note(msgspec.Struct, frozen=True):
    """A text and its signatures, none of them verified yet."""

    text: str
    signatures: tuple[Signature, ...]


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key, the name that it signs under, and its signature type."""

    name: str
    kind: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that name the key in a signature line."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:_KEY_ID_BYTES]

    def text(self) -> str:
        """The vkey: `name+key id+base64(type ‖ public key)`."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"

    def check(self, checkpoint_text: str, signature: bytes) -> None:
        """Verify one signature over a checkpoint's text. Raises CheckpointRefused."""
        try:
            match self.kind:
                case 0x01:
                    Ed25519PublicKey.from_public_bytes(self.public).verify(signature, checkpoint_text.encode())
                case 0x04:
                    time, value = _timed(signature)
                    message = _cosigned_v1(checkpoint_text, time)
                    Ed25519PublicKey.from_public_bytes(self.public).verify(value, message)
                case _:
                    time, value = _timed(signature)
                    message = _cosigned_subtree(self.name, parse_checkpoint_text(checkpoint_text), time)
                    MLDSA44PublicKey.from_public_bytes(self.public).verify(value, message)
        except (InvalidSignature, ValueError) as error:
            raise CheckpointRefused(f"the signature of {self.name} is not valid", detail=repr(error)) from error


class Signer(Protocol):
    """Signs this log's checkpoints."""

    def verifier_keys(self, origin: str) -> tuple[VerifierKey, ...]:
        """The public keys that `sign` uses, under the log's name."""

    def sign(self, checkpoint: Checkpoint, seconds: int) -> str:
        """The signed note, one line a key. `seconds` since 1970 UTC goes into the signatures that carry a time."""


class LogSigner:
    """Signs with Ed25519, which every verifier knows, and beside it with ML-DSA-44."""

    def __init__(self, ed25519: Ed25519PrivateKey, ml_dsa_44: MLDSA44PrivateKey) -> None:
        self._ed25519 = ed25519
        self._ml_dsa_44 = ml_dsa_44

    def verifier_keys(self, origin: str) -> tuple[VerifierKey, ...]:
        """The two public keys, under the log's name."""
        return (
            VerifierKey(origin, ED25519, self._ed25519.public_key().public_bytes_raw()),
            VerifierKey(origin, ML_DSA_44, self._ml_dsa_44.public_key().public_bytes_raw()),
        )

    def sign(self, checkpoint: Checkpoint, seconds: int) -> str:
        """The signed note with two lines."""
        text = checkpoint.text()
        classic, quantum_safe = self.verifier_keys(checkpoint.origin)
        time = seconds.to_bytes(_TIME_BYTES)
        message = _cosigned_subtree(checkpoint.origin, checkpoint, seconds)
        signatures = (
            Signature(checkpoint.origin, classic.key_id, self._ed25519.sign(text.encode())),
            Signature(checkpoint.origin, quantum_safe.key_id, time + self._ml_dsa_44.sign(message)),
        )
        return encode_note(Note(text, signatures))


def encode_note(note: Note) -> str:
    """The text, an empty line, and the signature lines."""
    return f"{note.text}\n{''.join(signature.line() for signature in note.signatures)}"


def parse_note(note: str) -> Note:
    """Split a note into its text and its signatures, verifying none. Raises CheckpointRefused."""
    if _CONTROL.search(note) or not note.endswith("\n"):
        raise CheckpointRefused("a note is lines of text without control characters")
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines:
        raise CheckpointRefused("a note is a text, an empty line and signature lines")
    signatures = tuple(_parse_signature(line) for line in lines.removesuffix("\n").split("\n"))
    if len(signatures) > _SIGNATURE_LIMIT:
        raise CheckpointRefused(f"a note with more than {_SIGNATURE_LIMIT} signatures is not read")
    return Note(text + "\n", signatures)


def parse_checkpoint_text(text: str) -> Checkpoint:
    """Read the lines that are signed; lines after the third are for others. Raises CheckpointRefused."""
    lines = text.split("\n")
    if lines[-1] != "" or len(lines) <= _CHECKPOINT_LINES or "" in lines[:-1]:
        raise CheckpointRefused("a checkpoint is at least three lines: origin, size and root")
    origin, size, root = lines[:_CHECKPOINT_LINES]
    if not _SIZE.fullmatch(size):
        raise CheckpointRefused("a checkpoint's size is a decimal number")
    root_bytes = _decode(root)
    if len(root_bytes) != HASH_BYTES:
        raise CheckpointRefused("a checkpoint's root is 32 bytes")
    return Checkpoint(origin, int(size), root_bytes)


def parse_vkey(text: str) -> VerifierKey:
    """Read a vkey. Raises CheckpointRefused if it is malformed, of an unknown type, or its id does not fit."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    key = _decode(encoded)
    if not _is_name(name) or not _KEY_ID.fullmatch(key_id) or not key or len(key) - 1 != _PUBLIC_BYTES.get(key[0]):
        raise CheckpointRefused("not a verifier key", next_step="it reads name+id+key, as /audit/key shows it")
    parsed = VerifierKey(name, key[0], key[1:])
    if parsed.key_id.hex() != key_id:
        raise CheckpointRefused("a verifier key's id does not fit the key", next_step="copy it again")
    return parsed


def open_checkpoint(note: str, keys: Sequence[VerifierKey], *, every_key: bool = False) -> Checkpoint:
    """Verify a signed checkpoint and return what it says.

    Signatures of unknown keys are ignored. One that a known key did not make refuses the whole note, and at least
    one key under the log's own name must have signed; with `every_key`, each of `keys`. Raises CheckpointRefused.
    """
    parsed = parse_note(note)
    checkpoint = parse_checkpoint_text(parsed.text)
    known = {(key.name, key.key_id): key for key in keys}
    signed: set[VerifierKey] = set()
    for signature in parsed.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            key.check(parsed.text, signature.value)
            signed.add(key)
    if not any(key.name == checkpoint.origin for key in signed):
        raise CheckpointRefused(
            f"no trusted key of {checkpoint.origin} has signed this checkpoint",
            next_step="compare the verifier key with the one that the log's operator gave you",
        )
    if every_key and signed != set(keys):
        raise CheckpointRefused("a signature of a trusted key is missing from this checkpoint")
    return checkpoint


def _cosigned_v1(checkpoint_text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{checkpoint_text}".encode()


def _cosigned_subtree(cosigner: str, checkpoint: Checkpoint, time: int) -> bytes:
    # tlog-cosignature, "ML-DSA-44 signed message"; a checkpoint is the subtree that starts at 0.
    parts = [
        b"subtree/v1\n\0",
        _with_length(cosigner),
        time.to_bytes(8),
        _with_length(checkpoint.origin),
        (0).to_bytes(8),
        checkpoint.size.to_bytes(8),
        checkpoint.root,
    ]
    return b"".join(parts)


def _with_length(name: str) -> bytes:
    encoded = name.encode()
    try:
        return len(encoded).to_bytes(1) + encoded
    except OverflowError as error:
        raise CheckpointRefused("a log's name has at most 255 bytes") from error


def _timed(signature: bytes) -> tuple[int, bytes]:
    return int.from_bytes(signature[:_TIME_BYTES]), signature[_TIME_BYTES:]


def _parse_signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    value = _decode(encoded)
    if dash != "—" or not _is_name(name) or len(value) <= _KEY_ID_BYTES:
        raise CheckpointRefused("a signature line reads: em dash, name, base64")
    return Signature(name, value[:_KEY_ID_BYTES], value[_KEY_ID_BYTES:])


def _is_name(name: str) -> bool:
    return name != "" and "+" not in name and not any(character.isspace() for character in name)


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointRefused("not base64", detail=str(error)) from error
    # Unused bits and missing padding would give one value several spellings.
    if base64.b64encode(raw).decode() != text:
        raise CheckpointRefused("not canonical base64")
    return raw
