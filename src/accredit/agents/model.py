"""Agents: first-class identities. An agent is an OAuth client; its id is its `client_id` and `sub`."""

from dataclasses import dataclass
from enum import StrEnum

from accredit.agents.client_metadata import ClientMetadata
from accredit.ids import AgentId, CredentialId, PersonId


class AgentStatus(StrEnum):
    """`active` ⇄ `suspended`; either → `retired`, which is final."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


class CredentialKind(StrEnum):
    """How an agent may prove itself."""

    CLIENT_SECRET = "client_secret"  # noqa: S105  # a name, not a secret
    PUBLIC_KEY = "public_key"
    # The subject of a certificate that an authority signed (RFC 8705 §2.1), or one certificate by itself (§2.2).
    TLS_SUBJECT = "tls_subject"
    TLS_CERTIFICATE = "tls_certificate"
    # An assertion of a trusted issuer about a workload (RFC 7523).
    FEDERATED = "federated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One way in. A secret is kept as a keyed hash only; `jwks` is a JWK Set as JSON text (RFC 7517).

    `issuer`, `subject` and `claims` (claim → the value that it must have) are a federated workload's. A TLS subject is
    `subject`, as `dn:CN=…`, `dns:…`, `uri:…` or `email:…`; a certificate's is its `x5t#S256` (RFC 8705 §3.1).
    """

    id: CredentialId
    agent: AgentId
    kind: CredentialKind
    secret_hash: bytes | None
    jwks: str | None
    created_at: float
    revoked_at: float | None
    issuer: str | None = None
    subject: str | None = None
    claims: tuple[tuple[str, str], ...] = ()


DEFAULT_MAX_SESSION_SECONDS = 28_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent as it is now. `epoch` grows when everything that it holds ends; `version` with every change.

    `max_session_seconds` bounds every token and refresh chain; `may_act` are the ids of the agents that may act with
    its tokens (RFC 8693 §4.4). `client_url` is its client_id if it is known by a metadata document.
    """

    id: AgentId
    name: str
    owner: PersonId
    owner_email: str
    type: str
    roles: tuple[str, ...]
    systems: tuple[str, ...]
    capability_level: int
    status: AgentStatus
    epoch: int
    version: int
    created_at: float
    credentials: tuple[Credential, ...]
    max_session_seconds: int = DEFAULT_MAX_SESSION_SECONDS
    may_act: tuple[AgentId, ...] = ()
    client: ClientMetadata | None = None
    client_url: str | None = None

    @property
    def client_id(self) -> str:
        """The name that it goes by as a client: its id, or the address of its metadata document."""
        return self.client_url or self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationToken:
    """An initial access token (RFC 7591 §3): who registers with it makes an agent of this owner, with these rights."""

    id: str
    owner: PersonId
    owner_email: str
    roles: tuple[str, ...]
    systems: tuple[str, ...]
    uses_left: int
    created_at: float
    expires_at: float
