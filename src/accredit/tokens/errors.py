"""Why a token is not taken."""

from dataclasses import dataclass

from accredit.errors import NotAuthenticated


@dataclass(frozen=True, slots=True)
class TokenNamed:
    """Whose token it is and which: known only when its signature is ours."""

    agent: str
    token_id: str


class InvalidToken(NotAuthenticated):
    """RFC 6750 §3.1 `invalid_token`: malformed, not ours, expired, for another audience, or ended.

    `token` is set if the signature is ours: then it can be told whose token was refused. `scheme` is the one that the
    challenge names (RFC 9110 §11.6.1).
    """

    code = "invalid_token"
    scheme = "Bearer"

    def __init__(self, explanation: str, *, next_step: str, detail: str = "", token: TokenNamed | None = None) -> None:
        super().__init__(explanation, next_step=next_step, detail=detail)
        self.token = token


class NoToken(InvalidToken):
    """The request held no token at all; the challenge then names no error (RFC 6750 §3.1)."""


class NotProved(InvalidToken):
    """The token is bound to a key by DPoP, and came without a proof of that key (RFC 9449 §7.1)."""

    scheme = "DPoP"


class ProofInvalid(NotProved):
    """The DPoP proof does not hold (RFC 9449 §4.3)."""

    code = "invalid_dpop_proof"


class NonceNeeded(NotProved):
    """The DPoP proof needs a nonce of ours: `nonce` (RFC 9449 §8 and §9)."""

    code = "use_dpop_nonce"

    def __init__(self, nonce: str) -> None:
        super().__init__("the DPoP proof needs a nonce of ours", next_step="put the header DPoP-Nonce into a new proof")
        self.nonce = nonce
