"""The Authorization header → Caller (RFC 6750 §2.1, RFC 9449 §7), and challenges for those who fail (RFC 9728 §5.1)."""

from accredit.agents.certificates import certificate_thumbprint
from accredit.tokens.dpop import PROOF_ALGORITHMS, Nonces
from accredit.tokens.errors import InvalidToken, NoToken, ProofInvalid
from accredit.tokens.model import Caller, Presented
from accredit.tokens.verify import Verifier
from accredit.web.asgi import Scope
from accredit.web.certificates import CertificateHeaderInvalid, ClientCertificates

Headers = list[tuple[bytes, bytes]]
_ALGORITHMS = " ".join(PROOF_ALGORITHMS)
_SCHEMES = {b"bearer": "bearer", b"dpop": "dpop"}


class Bearer:
    """Authenticates requests. A token in the query or the body is not looked at (RFC 9700 §4.3.2).

    `issuer` is how this server calls itself: a proof is for that address, whatever the Host header says. With
    `required` the challenge says that a token must be bound to a key.
    """

    def __init__(
        self,
        verifier: Verifier,
        issuer: str,
        certificates: ClientCertificates | None = None,
        nonces: Nonces | None = None,
        *,
        required: bool = False,
    ) -> None:
        self._nonces = nonces
        self._verifier = verifier
        self._issuer = issuer
        self._certificates = certificates or ClientCertificates()
        self._required = required

    async def authenticate(self, scope: Scope, audience: str) -> Caller:
        """The caller of a request for one audience. What its `once` holds must be spent before the effect.

        Raises NoToken, InvalidToken, Unavailable.
        """
        scheme, token = _credentials(scope["headers"])
        presented = Presented(
            scheme=scheme,
            proof=dpop_header(scope["headers"]),
            method=scope["method"],
            url=self._issuer + _path(scope),
            certificate=self._certificate(scope),
        )
        return await self._verifier.verify(token, audience, presented)

    def challenges(self, error: InvalidToken, resource_metadata: str) -> Headers:
        """The WWW-Authenticate headers of a 401; a client that must bind its tokens is told so (RFC 9449 §7.1)."""
        values = [challenge(error, resource_metadata)]
        if self._required and error.scheme == "Bearer":
            values.append(f'DPoP algs="{_ALGORITHMS}", resource_metadata="{resource_metadata}"')
        return [(b"www-authenticate", value.encode()) for value in values]

    def nonce_for(self, caller: Caller) -> tuple[tuple[bytes, bytes], ...]:
        """The header with the next nonce, for a caller that makes proofs (RFC 9449 §8.2)."""
        bound = caller.confirmation
        if self._nonces is None or bound is None or bound.jkt is None:
            return ()
        return ((b"dpop-nonce", self._nonces.new().encode()),)

    def _certificate(self, scope: Scope) -> str | None:
        try:
            certificate = self._certificates.of(scope)
        except CertificateHeaderInvalid as error:
            next_step = "the proxy in front of this server must set the header itself"
            raise InvalidToken(error.explanation, next_step=next_step, detail=error.detail) from error
        return None if certificate is None else certificate_thumbprint(certificate)


def bearer_token(headers: Headers) -> str:
    """The token of the one Authorization header, of the scheme Bearer. Raises NoToken, InvalidToken."""
    scheme, token = _credentials(headers)
    if scheme != "bearer":
        raise NoToken("the Authorization scheme is not Bearer", next_step="send Authorization: Bearer and the token")
    return token


def dpop_header(headers: Headers) -> str | None:
    """The one DPoP header (RFC 9449 §4.3: not more than one). Raises ProofInvalid."""
    values = [value for name, value in headers if name == b"dpop"]
    if len(values) > 1:
        raise ProofInvalid("the request holds two DPoP headers", next_step="send one proof")
    return values[0].decode("latin-1") if values else None


def challenge(error: InvalidToken, resource_metadata: str) -> str:
    """The WWW-Authenticate value of a 401, in the scheme that the token should have come with."""
    parts = [] if isinstance(error, NoToken) else [f'error="{error.code}"', f'error_description="{error.explanation}"']
    if error.scheme == "DPoP":
        parts.append(f'algs="{_ALGORITHMS}"')
    return f"{error.scheme} " + ", ".join([*parts, f'resource_metadata="{resource_metadata}"'])


def scope_challenge(scope: str, resource_metadata: str, scheme: str = "Bearer") -> str:
    """The WWW-Authenticate value of a 403 for a token that lacks a scope (RFC 6750 §3.1)."""
    description = "the token lacks a scope that this call needs"
    parts = ('error="insufficient_scope"', f'scope="{scope}"', f'error_description="{description}"')
    return f"{scheme} " + ", ".join([*parts, f'resource_metadata="{resource_metadata}"'])


def _credentials(headers: Headers) -> tuple[str, str]:
    """The scheme in small letters and the token. Raises NoToken, InvalidToken."""
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        raise NoToken("the request holds no access token", next_step="send Authorization: Bearer and the token")
    if len(values) > 1:
        raise InvalidToken("the request holds two Authorization headers", next_step="send one")
    name, _, token = values[0].partition(b" ")
    scheme = _SCHEMES.get(name.lower())
    if scheme is None:
        raise NoToken("the Authorization scheme is not Bearer", next_step="send Authorization: Bearer and the token")
    return scheme, token.strip().decode("latin-1")


def _path(scope: Scope) -> str:
    """The path as it was sent: a proof is compared with what the client wrote."""
    raw = scope.get("raw_path")
    return raw.partition(b"?")[0].decode("latin-1") if isinstance(raw, bytes) else str(scope["path"])
