"""Sender-constrained tokens: a token that is bound to a key is worth nothing without proof of that key.

DPoP (RFC 9449) and mutual TLS (RFC 8705 §3).
"""

import hmac

from accredit.clock import Clock
from accredit.storage.writer import Once
from accredit.tokens.dpop import Nonces, Proofs, Proved
from accredit.tokens.errors import InvalidToken, NotProved
from accredit.tokens.model import Confirmation, Presented


class Binding:
    """Checks proofs of possession. With `required`, a token that is bound to nothing is not taken."""

    def __init__(self, clock: Clock, nonces: Nonces | None = None, *, required: bool = False) -> None:
        self._proofs = Proofs(clock, nonces)
        self.nonces = nonces
        self.required = required

    def prove(self, proof: str, method: str, url: str) -> Proved:
        """Check a DPoP proof that comes with no token: which key a new one is to be bound to (RFC 9449 §5).

        Raises ProofInvalid, NonceNeeded.
        """
        return self._proofs.check(proof, method, url)

    def check(self, confirmation: Confirmation | None, presented: Presented, token: str) -> tuple[Once, ...]:
        """Check that who presents a token holds the key that it is bound to; returns what must not be used again.

        Raises InvalidToken.
        """
        if confirmation is None:
            self._check_unbound(presented)
            return ()
        if confirmation.x5t_s256 is not None:
            _check_certificate(confirmation.x5t_s256, presented.certificate)
        if confirmation.jkt is None:
            if presented.scheme != "bearer":
                raise NotProved("the token is not bound by DPoP", next_step="send it as Bearer (RFC 8705 §3)")
            return ()
        # RFC 9449 §7.1: not as Bearer, else a thief would only have to leave the proof out.
        if presented.scheme != "dpop" or presented.proof is None:
            raise NotProved("the token is bound to a key", next_step="send Authorization: DPoP, and a proof in DPoP")
        proved = self._proofs.check(presented.proof, presented.method, presented.url, token)
        if not hmac.compare_digest(proved.jkt, confirmation.jkt):
            raise NotProved("the token is bound to another key", next_step="prove the key that it was issued for")
        return (proved.once,)

    def _check_unbound(self, presented: Presented) -> None:
        if presented.scheme != "bearer":
            raise NotProved("the token is not bound to a key", next_step="send it as Bearer, or ask for a bound one")
        if self.required:
            raise NotProved("only tokens that are bound to a key are taken", next_step="ask for one with a DPoP proof")


def _check_certificate(bound: str, presented: str | None) -> None:
    if presented is None or not hmac.compare_digest(presented, bound):
        next_step = "connect with the certificate that it was issued for"
        raise InvalidToken("the token is bound to another certificate", next_step=next_step)
