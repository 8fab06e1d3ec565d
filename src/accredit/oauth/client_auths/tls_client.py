"""`tls_client_auth` and `self_signed_tls_client_auth`: a client proves itself by its certificate (RFC 8705 §2).

The TLS layer has proved that the client holds the certificate's key. Here it is checked whose certificate it is.
"""

import base64
import binascii
import hmac
from collections import OrderedDict
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from accredit.agents.certificates import certificate_thumbprint, has_subject
from accredit.agents.model import Agent, AgentStatus, CredentialKind
from accredit.agents.registry import Agents
from accredit.clock import Clock
from accredit.errors import InputRefused
from accredit.oauth.client_auth import NONE, AuthenticatedClient, ClientRequest, invalid_client, look_up

BY_AUTHORITY = "tls_client_auth"
SELF_SIGNED = "self_signed_tls_client_auth"
_PROOFS = frozenset(("client_secret", "client_assertion", "client_assertion_type"))
_CACHE_LIMIT = 4_096


class TlsClient:
    """Both methods. Without authorities no certificate of an authority is taken, whatever a proxy let through.

    A proxy that is to let self-signed certificates through cannot check any chain: so chains are verified here.
    """

    def __init__(self, agents: Agents, clock: Clock, header: str, authorities: str) -> None:
        self._agents = agents
        self._clock = clock
        self._store = Store(_load(authorities)) if authorities else None
        self.methods: tuple[str, ...] = ()
        if header:
            self.methods = (SELF_SIGNED,) if self._store is None else (BY_AUTHORITY, SELF_SIGNED)
        self._in_jwks: OrderedDict[str, frozenset[str]] = OrderedDict()

    def method_of(self, request: ClientRequest) -> str | None:
        """Told by a client_id and a certificate with nothing else; which of both it is, the agent's credentials say."""
        if request.certificate is None or request.authorization is not None or "client_id" not in request.form:
            return None
        return None if not _PROOFS.isdisjoint(request.form) else BY_AUTHORITY

    async def authenticate(self, request: ClientRequest) -> AuthenticatedClient:
        """Raises InvalidClient, alike for an unknown agent, another certificate and an agent that is not active."""
        client_id = request.form["client_id"]
        claimed = await look_up(self._agents, client_id)
        agent = claimed.agent
        method = self._method(agent, request.certificate or b"")
        if agent is None or method is None or agent.client_id != client_id:
            await claimed.even_out(self._agents)
            raise invalid_client()
        if agent.status is not AgentStatus.ACTIVE:
            raise invalid_client(detail="the agent is not active")
        return AuthenticatedClient(agent=agent, method=method)

    def _method(self, agent: Agent | None, der: bytes) -> str | None:
        """How this certificate proves the agent; None if it does not. Costs the same for an agent that is unknown."""
        certificate = x509.load_der_x509_certificate(der)
        is_valid = self._is_in_time(certificate)
        is_vouched_for = self._is_vouched_for(certificate)
        if agent is None:
            return None
        if agent.client is not None and agent.client.is_public:
            # A public client proves nothing by a certificate, but its tokens can be bound to one (RFC 8705 §4).
            return NONE
        held = [one for one in agent.credentials if one.revoked_at is None]
        subjects = [one.subject for one in held if one.kind is CredentialKind.TLS_SUBJECT and one.subject is not None]
        if is_vouched_for and any(has_subject(certificate, subject) for subject in subjects):
            return BY_AUTHORITY
        thumbprint = certificate_thumbprint(der)
        if is_valid and any(hmac.compare_digest(thumbprint, one) for one in self._registered(agent)):
            return SELF_SIGNED
        return None

    def _is_in_time(self, certificate: x509.Certificate) -> bool:
        now = datetime.fromtimestamp(self._clock.seconds(), UTC)
        return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc

    def _is_vouched_for(self, certificate: x509.Certificate) -> bool:
        if self._store is None:
            return False
        now = datetime.fromtimestamp(self._clock.seconds(), UTC)
        builder = PolicyBuilder().store(self._store).time(now)
        # RFC 8705 §2.1.2: the subject may stand in the DN alone, where web PKI demands alternative names.
        leaf = ExtensionPolicy.webpki_defaults_ee().may_be_present(
            x509.SubjectAlternativeName, Criticality.AGNOSTIC, None
        )
        verifier = builder.extension_policies(
            ee_policy=leaf, ca_policy=ExtensionPolicy.webpki_defaults_ca()
        ).build_client_verifier()
        try:
            verifier.verify(certificate, [])
        except VerificationError:
            return False
        return True

    def _registered(self, agent: Agent) -> frozenset[str]:
        """The thumbprints of the certificates that the agent registered, in a JWK Set too (RFC 8705 §2.2.2)."""
        held = [one for one in agent.credentials if one.revoked_at is None]
        single = {one.subject for one in held if one.kind is CredentialKind.TLS_CERTIFICATE and one.subject is not None}
        sets = [one.jwks for one in held if one.kind is CredentialKind.PUBLIC_KEY and one.jwks]
        if agent.client is not None and agent.client.jwks:
            sets.append(agent.client.jwks)
        return frozenset(single).union(*(self._certificates_in(jwks) for jwks in sets))

    def _certificates_in(self, jwks: str) -> frozenset[str]:
        known = self._in_jwks.get(jwks)
        if known is None:
            known = self._in_jwks[jwks] = _thumbprints(jwks)
            if len(self._in_jwks) > _CACHE_LIMIT:
                self._in_jwks.popitem(last=False)
        return known


def _thumbprints(jwks: str) -> frozenset[str]:
    """Of the first certificate of each `x5c`, the one that holds the key (RFC 7517 §4.7)."""
    found: set[str] = set()
    for key in msgspec.json.decode(jwks)["keys"]:
        chain = key.get("x5c")
        if isinstance(chain, list) and chain and isinstance(chain[0], str):
            try:
                found.add(certificate_thumbprint(base64.b64decode(chain[0], validate=True)))
            except (binascii.Error, ValueError):
                # Not base64: no certificate of anybody.
                continue
    return frozenset(found)


def _load(path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise InputRefused(
            f"client_certificate_authorities: {path} holds no certificates in PEM", detail=str(error)
        ) from error
