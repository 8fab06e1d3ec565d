"""JWTs that are no access tokens: each has a type of its own, so that none can pass for another (RFC 8725 §3.11)."""

import msgspec

from accredit.canonical import base64url
from accredit.keys.keyring import Keyring


async def sign_jwt(keyring: Keyring, kind: str, claims: msgspec.Struct, algorithm: str = "ES256") -> str:
    """Sign claims as a JWT whose `typ` is `kind`. Raises Unavailable if the key is away."""
    signer = keyring.signer(algorithm)
    header = msgspec.json.encode({"alg": signer.algorithm, "typ": kind, "kid": signer.key_id})
    signing_input = f"{base64url(header)}.{base64url(msgspec.json.encode(claims))}".encode()
    return (signing_input + b"." + base64url(await signer.sign(signing_input)).encode()).decode()
