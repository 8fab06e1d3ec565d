"""The algorithms that sign tokens, by their JOSE names: made, written as a JWK, used and checked (RFC 7518, RFC 8037).

ES256 is the default. RS256 is for audiences that take nothing else (Microsoft Entra). Ed25519 goes by the name
`EdDSA`: RFC 9864 calls it `Ed25519`, but PyJWT and Authlib know only the old name, and what knows the new one (joserfc,
jose, oauth4webapi) takes the old one too. `docs/keys.md` has the versions that were tried.
"""

from typing import Literal, assert_never, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from accredit.canonical import base64url
from accredit.errors import NotAuthenticated
from accredit.ids import KeyId

AlgorithmName = Literal["ES256", "RS256", "EdDSA"]
ALGORITHMS: tuple[AlgorithmName, ...] = get_args(AlgorithmName)
"""In the order in which the JWKS document lists their keys."""
DEFAULT_ALGORITHM: AlgorithmName = "ES256"

PrivateKey = EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey
PublicKey = EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey

RSA_BITS = 2_048
_COORDINATE_BYTES = 32
_HASH = SHA256()
_ECDSA = ec.ECDSA(_HASH)
_PKCS1 = PKCS1v15()


class SignatureInvalid(NotAuthenticated):
    """The signature was not made by this key over this text."""

    code = "signature_invalid"


def generate_private_key(algorithm: AlgorithmName) -> PrivateKey:
    """A new key. RS256 takes a tenth of a second and more: not on the event loop of a server."""
    match algorithm:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "RS256":
            return rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS)
        case "EdDSA":
            return Ed25519PrivateKey.generate()
    assert_never(algorithm)


def algorithm_of(key: object) -> AlgorithmName | None:
    """The one algorithm that a key is for; None for a key that signs no tokens."""
    match key:
        case EllipticCurvePrivateKey() | EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1):
            return "ES256"
        case RSAPrivateKey() | RSAPublicKey() if key.key_size >= RSA_BITS:
            return "RS256"
        case Ed25519PrivateKey() | Ed25519PublicKey():
            return "EdDSA"
        case _:
            return None


def make_signature(key: PrivateKey, data: bytes) -> bytes:
    """Sign, in the form of JWS: `R ‖ S` for ES256 (RFC 7518 §3.4)."""
    if isinstance(key, EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(data, _ECDSA))
        return r.to_bytes(_COORDINATE_BYTES) + s.to_bytes(_COORDINATE_BYTES)
    if isinstance(key, RSAPrivateKey):
        return key.sign(data, _PKCS1, _HASH)
    return key.sign(data)


def check_signature(key: PublicKey, data: bytes, signature: bytes) -> None:
    """Raises SignatureInvalid."""
    try:
        if isinstance(key, EllipticCurvePublicKey):
            if len(signature) != 2 * _COORDINATE_BYTES:
                raise SignatureInvalid("the signature has another length than its algorithm's")
            r, s = signature[:_COORDINATE_BYTES], signature[_COORDINATE_BYTES:]
            key.verify(encode_dss_signature(int.from_bytes(r), int.from_bytes(s)), data, _ECDSA)
        elif isinstance(key, RSAPublicKey):
            key.verify(signature, data, _PKCS1, _HASH)
        else:
            key.verify(signature, data)
    except InvalidSignature as error:
        raise SignatureInvalid("the signature does not fit") from error


def public_jwk(key_id: KeyId, key: PublicKey) -> dict[str, str]:
    """The key's entry in the JWKS document (RFC 7517 §4), with `kid`, `alg` and `use`. Raises TypeError."""
    algorithm = algorithm_of(key)
    if algorithm is None:
        raise TypeError("no token is signed with a key of this kind")
    return {**_parameters(key), "alg": algorithm, "use": "sig", "kid": key_id}


def _parameters(key: PublicKey) -> dict[str, str]:
    if isinstance(key, EllipticCurvePublicKey):
        point = key.public_numbers()
        x, y = point.x.to_bytes(_COORDINATE_BYTES), point.y.to_bytes(_COORDINATE_BYTES)
        return {"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)}
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "n": _unsigned(numbers.n), "e": _unsigned(numbers.e)}
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(key.public_bytes_raw())}


def _unsigned(number: int) -> str:
    """Base64urlUInt (RFC 7518 §2): no leading zero octet."""
    return base64url(number.to_bytes((number.bit_length() + 7) // 8))
