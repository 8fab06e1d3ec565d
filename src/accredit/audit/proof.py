"""The proof that one event is in the log, as a file that verifies offline: https://c2sp.org/tlog-proof@v1."""

import base64
import binascii
import re
from collections.abc import Sequence

import msgspec

from accredit.audit import tree
from accredit.audit.checkpoint import Checkpoint, VerifierKey, open_checkpoint
from accredit.audit.errors import ProofRefused

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_EXTRA = "extra "
_HEIGHT_LIMIT = 63


class TlogProof(msgspec.Struct, frozen=True):
    """An event's index, the hashes from its leaf up to the root, and the signed checkpoint, verbatim.

    `extra` is for the application and is not authenticated.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None


def encode_proof(proof: TlogProof) -> str:
    """The text of a `.tlog-proof` file."""
    lines = [_HEADER]
    if proof.extra is not None:
        lines.append(_EXTRA + base64.b64encode(proof.extra).decode())
    lines.append(f"index {proof.index}")
    lines.extend(base64.b64encode(value).decode() for value in proof.hashes)
    return "\n".join(lines) + "\n\n" + proof.checkpoint


def parse_proof(text: str) -> TlogProof:
    """Read a `.tlog-proof` file, verifying nothing. Raises ProofRefused."""
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines.pop(0) != _HEADER:
        raise ProofRefused(f"a proof begins with {_HEADER}, and a checkpoint follows after an empty line")
    extra = _decode(lines.pop(0).removeprefix(_EXTRA)) if lines and lines[0].startswith(_EXTRA) else None
    index = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if index is None:
        raise ProofRefused("a proof names the index of its event")
    if len(lines) > _HEIGHT_LIMIT:
        raise ProofRefused("no tree is as high as this proof is long")
    hashes = tuple(_decode(line) for line in lines)
    if any(len(value) != tree.HASH_BYTES for value in hashes):
        raise ProofRefused("a hash of a proof is 32 bytes")
    return TlogProof(int(index[1]), hashes, checkpoint, extra)


def check_proof(proof: TlogProof, entry: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Verify that `entry` is in the log that `keys` sign for; returns the checkpoint that says so.

    Raises ProofRefused, and CheckpointRefused if no trusted key signed.
    """
    checkpoint = open_checkpoint(proof.checkpoint, keys)
    tree.check_inclusion(tree.leaf_hash(entry), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return checkpoint


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProofRefused("not base64", detail=str(error)) from error
    if base64.b64encode(raw).decode() != text:
        raise ProofRefused("not canonical base64")
    return raw
