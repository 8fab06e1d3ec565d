"""How we prove ourselves at a provider's token endpoint: by a secret, or by a signed assertion (RFC 7523 §2.2)."""

from collections.abc import Mapping

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from accredit.clock import Clock
from accredit.federation.configuration import OidcProvider
from accredit.federation.errors import ProviderInvalid
from accredit.ids import new_id

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60
_EC_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_NAMING = ("kid", "x5t", "x5t#S256")
_NEXT = "give the client secret, or for private_key_jwt a private key: a JWK, or PEM"


class ClientProof:
    """The proof of one provider's configuration. Raises ProviderInvalid for a secret that does not fit it."""

    def __init__(self, configuration: OidcProvider, secret: str | None, clock: Clock) -> None:
        method = configuration.client_authentication
        if (secret is None) != (method == "none"):
            need = "takes no secret" if method == "none" else "needs a secret"
            raise ProviderInvalid(f"the client authentication {method} {need}", next_step=_NEXT)
        self._configuration = configuration
        self._secret = secret
        self._clock = clock
        self._key = _private_key(secret) if method == "private_key_jwt" and secret is not None else None

    def fields(self) -> Mapping[str, str]:
        """What is added to the form of a request."""
        one = self._configuration
        match one.client_authentication:
            case "client_secret_basic":
                return {}
            case "client_secret_post":
                return {"client_id": one.client_id, "client_secret": self._secret or ""}
            case "private_key_jwt":
                return {
                    "client_id": one.client_id,
                    "client_assertion_type": ASSERTION_TYPE,
                    "client_assertion": self._assertion(),
                }
            case "none":
                return {"client_id": one.client_id}

    def basic(self) -> tuple[str, str] | None:
        """Name and secret for the header Authorization, if they go there."""
        one = self._configuration
        return (one.client_id, self._secret or "") if one.client_authentication == "client_secret_basic" else None

    def _assertion(self) -> str:
        if self._key is None:
            raise ProviderInvalid("there is no key to sign with", next_step=_NEXT)
        one, now = self._configuration, int(self._clock.seconds())
        claims = {
            "iss": one.client_id,
            "sub": one.client_id,
            # RFC 7523bis: the issuer alone, so that no other server can use the assertion.
            "aud": one.assertion_audience or one.issuer,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
            "jti": new_id("jti"),
        }
        algorithm = _algorithm(self._key)
        known = self._key.as_dict(private=False)
        header = {"alg": algorithm, "typ": "JWT", **{name: str(known[name]) for name in _NAMING if known.get(name)}}
        return jws.serialize_compact(header, msgspec.json.encode(claims), self._key, algorithms=[algorithm])


def _private_key(text: str) -> RSAKey | ECKey:
    try:
        if text.lstrip().startswith("{"):
            jwk = msgspec.json.decode(text, type=dict[str, str | list[str]])
            found: RSAKey | ECKey = ECKey.import_key(jwk) if jwk.get("kty") == "EC" else RSAKey.import_key(jwk)
        else:
            found = _from_pem(text)
        if not found.is_private:
            raise ValueError("not private")
        _algorithm(found)
    except (JoseError, msgspec.MsgspecError, ValueError, TypeError, KeyError) as error:
        # The error's own text could hold a part of the key.
        raise ProviderInvalid(
            "the secret is not a private key, RSA or EC, as a JWK or in PEM",
            next_step=_NEXT,
            detail=type(error).__name__,
        ) from None
    return found


def _from_pem(text: str) -> RSAKey | ECKey:
    try:
        return RSAKey.import_key(text)
    except (JoseError, ValueError, TypeError):
        return ECKey.import_key(text)


def _algorithm(key: RSAKey | ECKey) -> str:
    if isinstance(key, RSAKey):
        return "RS256"
    return _EC_ALGORITHMS[str(key.as_dict(private=False)["crv"])]
