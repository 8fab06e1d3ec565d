"""The bytes that get hashed or signed: JSON in the form of RFC 8785, and strict base64.

RFC 8785 is what `msgspec` writes with sorted keys, as long as keys are ASCII and numbers are integers below 2^53
or floats that both write alike; `encode` refuses the rest. `tests/parity` holds it to an independent library.
"""

import base64
import binascii
import hashlib

import msgspec

from accredit.errors import InputRefused

_encoder = msgspec.json.Encoder(order="sorted")


def encode(value: object) -> bytes:
    """Encode a value of strings, integers, booleans, null, lists and objects with ASCII keys (RFC 8785).

    Raises InputRefused for a float, an integer that a double cannot hold, or a key that is not ASCII.
    """
    _check(value)
    return _encoder.encode(value)


def sha256_hex(data: bytes) -> str:
    """`sha256:` and the hexadecimal digest, as policy sets and facts are named in events."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Decode base64url without padding, refusing every other spelling of the same bytes.

    Raises InputRefused.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputRefused("not base64url", detail=str(error)) from error
    if base64url(raw) != text:
        raise InputRefused("not canonical base64url")
    return raw


def _check(value: object) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if abs(value) > 2**53 - 1:
            raise InputRefused("an integer beyond 2^53 - 1 has no canonical form (RFC 8785 §3.2.2.3)")
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise InputRefused("a key that is not ASCII is not sorted alike everywhere")
            _check(item)
    else:
        raise InputRefused(f"{type(value).__name__} has no canonical form here")
