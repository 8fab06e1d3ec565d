"""The key that a client proves with a token request, and that the token is then bound to (RFC 9449 §5, RFC 8705 §3)."""

from accredit.agents.certificates import certificate_thumbprint
from accredit.oauth.client_auth import AuthenticatedClient, ClientRequest
from accredit.oauth.errors import InvalidDpopProof, InvalidRequest, UseDpopNonce
from accredit.storage.writer import Once
from accredit.tokens.binding import Binding
from accredit.tokens.errors import NonceNeeded, ProofInvalid
from accredit.tokens.model import Confirmation

TLS_METHODS = ("tls_client_auth", "self_signed_tls_client_auth")


class Senders:
    """Finds the key of a request to the endpoint at `url`."""

    def __init__(self, binding: Binding, url: str) -> None:
        self._binding = binding
        self._url = url

    def confirm(
        self, client: AuthenticatedClient, request: ClientRequest
    ) -> tuple[Confirmation | None, tuple[Once, ...]]:
        """The key to bind to, and the proof that every decision must spend.

        By the proof if there is one. By the certificate if the client authenticated with it, asked for that in its
        metadata, or if every token must be bound. Raises InvalidDpopProof, UseDpopNonce, InvalidRequest.
        """
        jkt, once = self.prove(request)
        metadata = client.agent.client
        demanded = metadata is not None and metadata.tls_client_certificate_bound_access_tokens
        if request.certificate is None:
            if demanded:
                raise InvalidRequest("the token must be bound to a certificate", next_step="connect with one")
            return (None if jkt is None else Confirmation(jkt=jkt)), once
        binds = demanded or (jkt is None and (client.method in TLS_METHODS or self._binding.required))
        thumbprint = certificate_thumbprint(request.certificate) if binds else None
        if jkt is None and thumbprint is None:
            return None, once
        return Confirmation(jkt=jkt, x5t_s256=thumbprint), once

    def prove(self, request: ClientRequest) -> tuple[str | None, tuple[Once, ...]]:
        """The thumbprint of the key of the DPoP proof, and what must not be used again; None without a proof.

        Raises InvalidDpopProof, UseDpopNonce.
        """
        if request.dpop is None:
            return None, ()
        try:
            proved = self._binding.prove(request.dpop, "POST", self._url)
        except NonceNeeded as error:
            raise UseDpopNonce(error.explanation, next_step=error.next_step) from error
        except ProofInvalid as error:
            raise InvalidDpopProof(error.explanation, next_step=error.next_step, detail=error.detail) from error
        return proved.jkt, (proved.once,)

    def nonce(self, request: ClientRequest | None) -> tuple[tuple[bytes, bytes], ...]:
        """The header with the next nonce, for a client that uses proofs (RFC 9449 §8.2)."""
        if self._binding.nonces is None or request is None or request.dpop is None:
            return ()
        return ((b"dpop-nonce", self._binding.nonces.new().encode()),)
